"""Every text that is to be translated: of the catalogue, the templates and the program."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2.exceptions import TemplateSyntaxError
from jinja2.ext import babel_extract

from dispatcher.domain.catalogue import Catalogue, CommunicationType, FieldSpec
from dispatcher.domain.language import LANGUAGES
from dispatcher.errors import Problem, TemplateInvalid

_OPTIONS = {
    "trimmed": "true",
    "newstyle_gettext": "true",
    "trim_blocks": "true",
    "lstrip_blocks": "true",
    "silent": "false",
}
_FUNCTIONS = ("_", "gettext", "ngettext", "pgettext", "npgettext")
#: What begins a template's comment that is for translators.
_REMARK = "L10N:"
_PLACE = re.compile(r"{%-?\s*(macro|block)\s+([a-z_]+)")
#: Places that a note names one by one; more would hide the text from its translator.
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Message:
    """A text to translate.

    Attributes:
        text: The English text; with `context` it identifies the message.
        plural: The English plural; empty where there is none.
        context: What tells it from the same English text elsewhere; mostly empty.
        places: The files that it is in, relative to the root or to the program's folder.
        notes: Where in them it stands, for translators.
        formatted: Whether ``%(name)s`` in it is a placeholder; in the catalogue's texts ``{name}`` is one.
        languages: The languages that it is needed in.
    """

    text: str
    plural: str = ""
    context: str = ""
    places: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    formatted: bool = False
    languages: frozenset[str] = frozenset(LANGUAGES)

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it."""
        return self.context, self.text

    def joined(self, other: Message) -> Message:
        """The same message, found in both places."""
        return replace(
            self,
            plural=self.plural or other.plural,
            places=tuple(dict.fromkeys(self.places + other.places)),
            notes=tuple(dict.fromkeys(self.notes + other.notes)),
            formatted=self.formatted or other.formatted,
            languages=self.languages | other.languages,
        )


def messages(catalogue: Catalogue, templates: Path, program: Path) -> Sequence[Message]:
    """Every text, once: the catalogue's in its order, then those of the templates and of the program.

    Args:
        catalogue: The catalogue.
        templates: The folder of templates.
        program: The folder of the package ``dispatcher``.

    Raises:
        TemplateInvalid: A template cannot be read.
    """
    found: dict[tuple[str, str], Message] = {}
    texts = (*_catalogue(catalogue), *_templates(catalogue, templates), *_program(program))
    for message in texts:
        known = found.get(message.key)
        found[message.key] = known.joined(message) if known else message
    return [_shortened(message) for message in found.values()]


def _shortened(message: Message) -> Message:
    notes = message.notes
    if len(notes) > _NAMED:
        notes = (*notes[:_NAMED], f"and {len(notes) - _NAMED} more")
    return replace(message, notes=notes)


def _catalogue(catalogue: Catalogue) -> Iterator[Message]:
    for key, spec in catalogue.types.items():
        # Whatever language the mails of a type are in, the page of choices lists it in the reader's.
        yield _word(spec.title, f"title of {key}")
        if spec.optional and spec.description:
            yield _word(spec.description, f"description of {key}, on the page of choices")
        languages = frozenset(spec.languages)
        for text, note in _words_of(key, spec):
            yield replace(_word(text, note), languages=languages)


def _words_of(key: str, spec: CommunicationType) -> Iterator[tuple[str, str]]:
    yield spec.subject, f"subject of {key}{_meaning(spec, spec.subject)}"
    if spec.calendar and (text := spec.calendar.cancelled_subject):
        yield text, f"subject of {key} that is cancelled{_meaning(spec, text)}"
    if spec.calendar and (text := spec.calendar.moved_subject):
        yield text, f"subject of {key} that has another time than was announced{_meaning(spec, text)}"
    if spec.calendar and spec.calendar.title:
        yield spec.calendar.title, f"calendar entry of {key}{_meaning(spec, spec.calendar.title)}"
    for name, field in spec.fields.items():
        yield field.label, f"label of field {name} of {key}"
        yield from _words_of_field(f"field {name} of {key}", field)


def _meaning(spec: CommunicationType, text: str) -> str:
    """What the placeholders of a line stand for, since a translation moves them."""
    named = [f"{{{name}}} is {field.label}" for name, field in spec.fields.items() if f"{{{name}}}" in text]
    return f"; {', '.join(named)}" if named else ""


def _words_of_field(where: str, field: FieldSpec) -> Iterator[tuple[str, str]]:
    for choice, label in field.choices.items():
        yield label, f"choice {choice} of {where}"
    for name, column in field.columns.items():
        yield column.label, f"column {name} of {where}"


def _word(text: str, note: str) -> Message:
    return Message(text, places=("catalogue.yaml",), notes=(f"catalogue.yaml: {note}",))


def _templates(catalogue: Catalogue, folder: Path) -> Iterator[Message]:
    for file in sorted(folder.rglob("*.j2")):
        name = file.relative_to(folder).as_posix()
        place = f"templates/{name}"
        languages = _languages(catalogue, name.removesuffix(".html.j2").removesuffix(".txt.j2"))
        for message in _template(file, place):
            yield replace(message, languages=languages)


def _languages(catalogue: Catalogue, template: str) -> frozenset[str]:
    """The languages a template is rendered in; all of them for what other templates are made of."""
    using = [spec for spec in catalogue.types.values() if spec.template == template]
    return frozenset(language for spec in using for language in spec.languages) or frozenset(LANGUAGES)


def _template(file: Path, place: str) -> Iterator[Message]:
    try:
        raw = file.read_bytes()
        lines = raw.decode().splitlines()
        found = list(babel_extract(io.BytesIO(raw), _FUNCTIONS, [_REMARK], dict(_OPTIONS)))
    except TemplateSyntaxError as error:
        what = f"cannot be read: {str(error.message).rstrip('.')}"
        raise TemplateInvalid(Problem(f"{place}:{error.lineno}", what, "mend that line")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateInvalid(Problem(place, f"cannot be read: {error}")) from None
    for line, function, said, comments in found:
        texts = said if isinstance(said, tuple) else (said,)
        told = (" ".join(comment.removeprefix(_REMARK).split()) for comment in comments)
        notes = [f"{place}{_part(lines, line)}", *told]
        if message := _called(function, texts, place, notes):
            yield message


def _part(lines: Sequence[str], line: int) -> str:
    """The macro or block around a line, as its name says what the text is for."""
    for text in reversed(lines[:line]):
        if found := list(_PLACE.finditer(text)):
            return f": {found[-1][2]}"
    return ""


def _program(folder: Path) -> Iterator[Message]:
    root = folder.parent
    for file in sorted((folder / "web" / "pages").rglob("*.j2")):
        yield from _template(file, file.relative_to(root).as_posix())
    for file in sorted(folder.rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        if "gettext(" in source:
            yield from _calls(ast.parse(source), file.relative_to(root).as_posix())


def _calls(tree: ast.Module, place: str) -> Iterator[Message]:
    within = {
        id(inner): f": {outer.name.strip('_')}"
        for outer in ast.walk(tree)
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function in _FUNCTIONS[1:]:
            texts = [one.value if isinstance(one, ast.Constant) else None for one in node.args]
            if message := _called(function, texts, place, [f"{place}{within.get(id(node), '')}"]):
                yield message


def _called(
    function: str | None, arguments: Iterable[object], place: str, notes: Sequence[str]
) -> Message | None:
    """The message of a call of one of gettext's functions; None where its text is no constant."""
    takes = (["context"] if "p" in str(function).split("gettext")[0] else []) + ["text"]
    takes += ["plural"] if str(function).startswith("n") else []
    given = dict(zip(takes, arguments, strict=False))
    if not all(isinstance(given.get(name), str) for name in takes) or not given["text"]:
        return None
    texts = {name: str(value) for name, value in given.items()}
    formatted = "%" in texts["text"] + texts.get("plural", "")
    return Message(
        texts["text"],
        texts.get("plural", ""),
        texts.get("context", ""),
        places=(place,),
        notes=tuple(notes),
        formatted=formatted,
    )
