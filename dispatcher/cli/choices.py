"""Options that several commands share, and what is made of them."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from dispatcher.app import Project
from dispatcher.domain.catalogue import CommunicationType
from dispatcher.domain.fields import from_text
from dispatcher.domain.instance import Instance
from dispatcher.errors import EventInvalid, Problem
from dispatcher.files.source import parse

MAX_DATA = 1024 * 1024

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A field's value; repeatable.", show_default=False),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Fields as a JSON or YAML object; - for standard input.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def type_of(project: Project, key: str) -> CommunicationType:
    """The communication type.

    Raises:
        EventInvalid: There is none of that name.
    """
    if key not in project.catalogue.types:
        raise EventInvalid(_unknown("TYPE", key, project.catalogue.types, "catalogue.yaml"))
    return project.catalogue.types[key]


def instance_of(project: Project, name: str) -> Instance:
    """The instance.

    Raises:
        EventInvalid: No recipient file has that id.
    """
    project.recipients.refresh()
    instance = project.recipients.get(name)
    if instance is None:
        problem = _unknown("--instance", name, project.recipients.ids(), "recipients/")
        raise EventInvalid([problem, *_set_aside(project)])
    return instance


def fields_of(spec: CommunicationType, given: Sequence[str] | None, data: str | None) -> dict[str, Any]:
    """The fields that the options give: the file of ``--data`` first, then each ``--set``.

    Raises:
        EventInvalid: An option or the file cannot be read.
    """
    return (read_data(data) if data else {}) | settings_of_fields(spec, given or ())


def settings_of_fields(spec: CommunicationType, given: Sequence[str]) -> dict[str, Any]:
    """The fields of the ``--set`` options, as plain JSON values.

    Raises:
        EventInvalid: An option is not of the form key=value.
    """
    fields: dict[str, Any] = {}
    for option in given:
        key, equals, text = option.partition("=")
        key = key.strip()
        if not equals or not key:
            raise EventInvalid(
                Problem("--set", f"{option!r} is not of the form key=value", "write --set key=value")
            )
        field = spec.fields.get(key)
        fields[key] = from_text(field, text) if field else text
    return fields


def read_data(source: str) -> dict[str, Any]:
    """The object of a JSON or YAML file.

    Raises:
        EventInvalid: It cannot be read, or is no object.
    """
    name = "standard input" if source == "-" else source
    try:
        raw = sys.stdin.buffer.read(MAX_DATA + 1) if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise EventInvalid(Problem("--data", f"{name} cannot be read: {error.strerror}", "")) from None
    if len(raw) > MAX_DATA:
        raise EventInvalid(Problem("--data", f"{name} is over {MAX_DATA} bytes", "send less"))
    value = _parsed(raw, name)
    if not isinstance(value, dict):
        fix = "write an object of fields, one line each: key: value"
        raise EventInvalid(Problem("--data", f"{name} holds no object", fix))
    return value


def _parsed(raw: bytes, name: str) -> Any:
    if raw.lstrip()[:1] in {b"{", b"["}:
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            fix = "mend it, or write YAML"
            raise EventInvalid(Problem(name, f"is no JSON: {error}", fix)) from None
    document = parse(raw, name)
    if document.problems:
        raise EventInvalid(document.problems)
    return document.data


def _set_aside(project: Project) -> list[Problem]:
    """Files that may hold the instance that was asked for."""
    return [problem for broken in project.recipients.lost() for problem in broken.problems]


def _unknown(where: str, word: str, known: Mapping[str, Any] | AbstractSet[str], file: str) -> Problem:
    close = difflib.get_close_matches(word, list(known), n=3)
    fix = f"did you mean {' or '.join(close)}" if close else f"{file} has {', '.join(sorted(known)[:30])}"
    return Problem(where, f"{word[:80]!r} is not known", fix)
