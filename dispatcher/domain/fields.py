"""The fields of an event: checked against its communication type, all problems at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from dispatcher.domain import moment
from dispatcher.domain.catalogue import CommunicationType, FieldSpec
from dispatcher.domain.said import PerLanguage, said_to
from dispatcher.domain.values import ValueInvalid, expected, parse_value
from dispatcher.errors import Problem

#: Cells and paragraphs of one field: a timeline of 200 updates of four paragraphs, each with its time.
MAX_PARTS_OF_FIELD = 1000


def parse_fields(
    spec: CommunicationType, given: Mapping[str, Any], *, partial: bool = False
) -> tuple[dict[str, Any], list[Problem]]:
    """Every field of `spec` with its typed value, None where an optional one is missing.

    Args:
        spec: The communication type.
        given: Plain JSON values by field.
        partial: Whether required fields may be missing (`who` asks about an event that is not there yet).

    Returns:
        The values, and everything that is wrong with them; use the values only if nothing is.
    """
    problems = list(_unknown(spec, given))
    values: dict[str, Any] = {}
    for key, field in spec.fields.items():
        value = given.get(key)
        value = field.default if value is None else value
        values[key] = None
        if value is None:
            if field.required and not partial:
                problems.append(_problem(key, "is missing", expected(field)))
            continue
        try:
            values[key] = parse_value(field, value)
        except ValueInvalid as error:
            what, fix = (*error.args, expected(field))[:2]
            problems.append(_problem(key, what, fix))
    return values, problems + list(_disordered(spec, values)) + list(_too_long(values))


def said_fields(spec: CommunicationType, values: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The typed values of `parse_fields` as a reader of `language` gets them.

    Texts, those of a list or a table among them, are `dispatcher.domain.said.Said`.
    """
    words = {"text", "paragraphs", "url", "list", "table"}
    return {
        key: said_to(language, value) if spec.fields[key].kind in words else value
        for key, value in values.items()
    }


def resolve_examples(value: Any, now: datetime) -> Any:
    """An example or default as an event would carry it: relative moments made absolute."""
    if isinstance(value, str) and moment.is_relative(value):
        return moment.resolve_relative(value, now).isoformat()
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: resolve_examples(item, now) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [resolve_examples(item, now) for item in value]
    return value


def known(spec: CommunicationType, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of an event's fields that the type has: an event may have become another type since."""
    return {key: value for key, value in fields.items() if key in spec.fields}


def filled(fields: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """An event's fields, with what its plan says where it says nothing itself."""
    return {**facts, **{key: value for key, value in fields.items() if value is not None}}


def sample(spec: CommunicationType, now: datetime) -> dict[str, Any]:
    """The field values of the type's examples, as an event sent at `now` would carry them."""
    return {
        key: _example(field, field.example, now)
        for key, field in spec.fields.items()
        if field.example is not None
    }


def from_text(field: FieldSpec, text: str) -> Any:
    """What was typed after ``--set key=`` as a plain JSON value; left as text where it cannot be."""
    if field.kind == "integer" and re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
        return int(text)
    if field.kind == "boolean" and text.strip().lower() in {"true", "false", "yes", "no"}:
        return text.strip().lower() in {"true", "yes"}
    if field.kind == "list":
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _example(field: FieldSpec, value: Any, now: datetime) -> Any:
    if field.kind == "list" and isinstance(value, list):
        return [_as_kind(field.items, item, now) for item in value]
    if field.kind == "table" and isinstance(value, list):
        return [_example_row(field, row, now) for row in value]
    return _as_kind(field.kind, value, now)


def _example_row(field: FieldSpec, row: Any, now: datetime) -> Any:
    if not isinstance(row, dict):
        return row
    kinds = {key: column.kind for key, column in field.columns.items()}
    return {key: _as_kind(kinds.get(key, "text"), value, now) for key, value in row.items()}


def _as_kind(kind: str, value: Any, now: datetime) -> Any:
    """Only where a moment is wanted is ``+1d`` one; a ``date`` wants its day."""
    if kind not in {"datetime", "date"}:
        return value
    plain = resolve_examples(value, now)
    relative = isinstance(value, str) and moment.is_relative(value)
    return plain[:10] if kind == "date" and relative else plain


def _problem(key: str, what: str, fix: str) -> Problem:
    return Problem(where=f"fields.{key}", what=what, fix=fix, key=key)


def _unknown(spec: CommunicationType, given: Mapping[str, Any]) -> Iterator[Problem]:
    for key in given:
        if key not in spec.fields:
            name = str(key)[:60]
            close = difflib.get_close_matches(name, spec.fields, n=1)
            known = ", ".join(spec.fields)
            hint = f"did you mean {close[0]}" if close else f"the fields are {known}" if known else ""
            what = "is no field of this type"
            yield _problem(name if name.isprintable() else ascii(name), what, hint or "leave it out")


def _disordered(spec: CommunicationType, values: Mapping[str, Any]) -> Iterator[Problem]:
    for key, field in spec.fields.items():
        if field.after is None:
            continue
        later, earlier = values.get(key), values.get(field.after)
        if not isinstance(later, date) or not isinstance(earlier, date) or type(later) is not type(earlier):
            continue  # missing, wrong by itself, or a fault of the catalogue, which coherence finds
        if later <= earlier:
            what = f"{later.isoformat()} is not after {field.after} {earlier.isoformat()}"
            yield _problem(key, what, f"give a moment after {field.after}")


def _too_long(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Every paragraph is laid out for each kind of reader: thousands take minutes, and nobody reads them."""
    for key, value in values.items():
        if (parts := _parts(value)) > MAX_PARTS_OF_FIELD:
            yield _problem(
                key,
                f"has {parts} paragraphs in all",
                f"give at most {MAX_PARTS_OF_FIELD}, and link to the rest",
            )


def _parts(value: Any) -> int:
    """The paragraphs in a value, in the language that has most: its own, or those of its rows."""
    if isinstance(value, tuple):
        return sum(map(_parts, value))
    if isinstance(value, PerLanguage):
        return max(map(_parts, value.values.values()))
    return sum(map(_parts, value.values())) if isinstance(value, dict) else 1
