"""What a model refuses, as problems with file, line and column, in words that say what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dispatcher.domain.catalogue import Colour, TemplateName
from dispatcher.domain.instance import HttpUrl, InstanceId
from dispatcher.domain.words import FieldKey, Line, TypeKey
from dispatcher.errors import Problem
from dispatcher.files.source import Document, KeyPath, dotted

_KEY_MARK = "[key]"


class Wording(NamedTuple):
    """What is wrong, and what would be right."""

    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class Guide:
    """What is known about one kind of file beyond its model.

    Attributes:
        model: The model of the whole file.
        hints: What to do about a missing, empty or foreign key, by dotted key without indexes; ``*.label``
            stands for every ``label``.
        shapes: What an entry is and looks like, by the name of its model.
    """

    model: type[BaseModel]
    hints: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, Wording] = field(default_factory=dict)


def problems_of_error(error: ValidationError, document: Document, guide: Guide) -> list[Problem]:
    """Every fault that pydantic found, in the order of the file, but for values that are not known."""
    found = []
    for details in error.errors(include_url=False):
        is_key = details["loc"][-1:] == (_KEY_MARK,)
        path = details["loc"][:-1] if is_key else details["loc"]
        if any(path[: len(hidden)] == hidden for hidden in document.doubtful):
            continue
        is_key = is_key or details["type"] == "extra_forbidden"
        wording = _worded(details, path, document, guide)
        found.append((document.place(path, key=is_key), problem_at(document, path, *wording, key=is_key)))
    return [problem for _, problem in sorted(found, key=lambda pair: pair[0])]


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems of one file by line and column."""
    return sorted(problems, key=lambda problem: [int(part) for part in problem.where.rsplit(":", 2)[1:]])


def problem_at(document: Document, path: KeyPath, what: str, fix: str, *, key: bool = False) -> Problem:
    """A problem with the value at `path`, or with its key."""
    return Problem(document.where(path, key=key), what, fix, dotted(path))


def meant(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """``did you mean …``, else `otherwise`, else all that is known."""
    by_case = {candidate.casefold(): candidate for candidate in known}
    text = re.sub(r"[\s_]+", "-", word.strip().casefold())
    close = difflib.get_close_matches(text, by_case, n=1) or difflib.get_close_matches(
        word.casefold(), by_case, n=1
    )
    if close:
        return f"did you mean {by_case[close[0]]}"
    return otherwise or f"use one of {', '.join(sorted(by_case.values()))}"


def shown(value: Any) -> str:
    """A value as a message quotes it: short, control characters escaped."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def kind_of(value: Any) -> str:
    """What a value is, for a sentence that begins with ``is``."""
    kinds = ((bool, "true or false"), ((int, float), "a number"), (str, "text"), (dict, "a mapping"))
    named = next((name for kind, name in kinds if isinstance(value, kind)), "a list")
    return "empty" if value is None else named


def _worded(details: ErrorDetails, path: KeyPath, document: Document, guide: Guide) -> Wording:
    if details["type"] == "missing":
        return Wording("is missing", _hint(path, guide) or f"add `{path[-1]}: …`")
    if details["type"] == "extra_forbidden":
        keys = keys_at(guide.model, path[:-1])
        close = meant(str(path[-1]), keys, otherwise=f"the keys are {', '.join(keys)}")
        return Wording("is no key here", _hint(path, guide) or close)
    if details["input"] is None:
        return Wording(
            "is empty", _hint(path, guide) or "give a value, or remove the line where the key is optional"
        )
    worder = _WORDERS.get(details["type"])
    if worder is not None:
        return worder(details, path, document, guide)
    return Wording(f"{shown(details['input'])} cannot be used: {details['msg']}", "")


def _hint(path: KeyPath, guide: Guide) -> str:
    whole = dotted(tuple(part for part in path if not isinstance(part, int)))
    return guide.hints.get(whole) or guide.hints.get(f"*.{path[-1] if path else ''}", "")


def _not_text(details: ErrorDetails, path: KeyPath, document: Document, _: Guide) -> Wording:
    value = details["input"]
    if isinstance(value, dict | list):
        return Wording(f"is {kind_of(value)}, not text", "write text")
    key = f"{path[-1]}: " if isinstance(path[-1], str) else ""
    plain = document.plain.get(path, str(value))
    return Wording(f"is {kind_of(value)}, not text", f'quote it: {key}"{plain}"')


def _pattern(details: ErrorDetails, *_: Any) -> Wording:
    fix = _PATTERNS.get(details["ctx"]["pattern"], f"it must match {details['ctx']['pattern']}")
    return Wording(f"{shown(details['input'])} cannot be used", fix)


def _none_of(details: ErrorDetails, *_: Any) -> Wording:
    expected = str(details["ctx"]["expected"])
    allowed = re.findall(r"'([^']*)'", expected) or [expected]
    fix = f"use {allowed[0]}" if len(allowed) == 1 else f"use one of {', '.join(allowed)}"
    return Wording(f"{shown(details['input'])} is not known", fix)


def _value(details: ErrorDetails, *_: Any) -> Wording:
    what, _semicolon, fix = str(details["ctx"]["error"]).partition("; ")
    return Wording(what, fix)


def _no_list(details: ErrorDetails, path: KeyPath, *_: Any) -> Wording:
    example = shown(details["input"]).strip("'\"") if isinstance(details["input"], str) else "…"
    return Wording(f"is {kind_of(details['input'])}, not a list", f"write {path[-1]}: [{example}]")


def _no_mapping(details: ErrorDetails, path: KeyPath, _: Document, guide: Guide) -> Wording:
    name = str(details.get("ctx", {}).get("class_name", ""))
    if not path:
        return Wording(f"the file is {kind_of(details['input'])}, not a mapping", "write key: value lines")
    shape = guide.shapes.get(name)
    if shape:
        return Wording(f"is {kind_of(details['input'])}, not {shape.what}", shape.fix)
    return Wording(f"is {kind_of(details['input'])}, not a mapping", "write key: value pairs below it")


def _empty(_: ErrorDetails, path: KeyPath, __: Document, guide: Guide) -> Wording:
    return Wording("is empty", _hint(path, guide) or "give at least one entry")


def _too_long(details: ErrorDetails, *_: Any) -> Wording:
    length, limit = len(details["input"]), details["ctx"]["max_length"]
    return Wording(f"is {length} characters long", f"use at most {limit}")


def _no_date(details: ErrorDetails, *_: Any) -> Wording:
    return Wording(f"{shown(details['input'])} is no date", "write a day of the calendar, like 2027-03-31")


def _no_bool(details: ErrorDetails, *_: Any) -> Wording:
    return Wording(f"{shown(details['input'])} is neither true nor false", "write true or false")


_Worder = Callable[[ErrorDetails, KeyPath, Document, Guide], Wording]
_WORDERS: Mapping[str, _Worder] = {
    "string_type": _not_text,
    "string_pattern_mismatch": _pattern,
    "string_too_short": _empty,
    "too_short": _empty,
    "string_too_long": _too_long,
    "literal_error": _none_of,
    "enum": _none_of,
    "value_error": _value,
    "list_type": _no_list,
    "model_type": _no_mapping,
    "model_attributes_type": _no_mapping,
    "dict_type": _no_mapping,
    "date_from_datetime_parsing": _no_date,
    "date_parsing": _no_date,
    "bool_parsing": _no_bool,
    "bool_type": _no_bool,
}


def _regex(annotation: Any) -> str:
    return next(str(part.pattern) for part in get_args(annotation)[1:] if getattr(part, "pattern", None))


_PATTERNS: Mapping[str, str] = {
    _regex(InstanceId): "use letters, digits, dots, hyphens and underscores, at most 100 of them",
    _regex(HttpUrl): "write an address that begins with https:// or http://",
    _regex(Line): "write text on one line, without control characters",
    _regex(Colour): 'write six hexadecimal digits in quotes, like "#FFDDB3"',
    _regex(TypeKey): "use lower-case words joined by hyphens, like planned-maintenance",
    _regex(FieldKey): "use lower-case letters, digits and underscores, like started_at",
    _regex(TemplateName): "use lower-case letters, digits and hyphens, without a folder or an extension",
}


def keys_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that a file may use at `path`, in the order of the model."""
    annotation: Any = model
    for part in path:
        annotation = _inside(_bare(annotation), part)
    bare = _bare(annotation)
    if not (isinstance(bare, type) and issubclass(bare, BaseModel)):
        return []
    return [info.alias or name for name, info in bare.model_fields.items() if not info.exclude]


def _inside(annotation: Any, part: Any) -> Any:
    """The annotation of what stands under `part`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            if part in (name, info.alias):
                return info.annotation
        return None
    return get_args(annotation)[-1] if get_origin(annotation) in (dict, list) else None


def _bare(annotation: Any) -> Any:
    """The annotation without its constraints and without ``None``."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        return _bare(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation
