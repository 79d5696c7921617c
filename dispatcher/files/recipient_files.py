"""One recipient file: who is told about one instance, with the line that names each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dispatcher.domain.address import folded
from dispatcher.domain.instance import ROLES, Instance
from dispatcher.errors import Problem, RecipientsInvalid
from dispatcher.files.source import MAX_BYTES, Document, parse
from dispatcher.files.validation import Guide, Wording, in_order, meant, problem_at, problems_of_error, shown

#: How deep places must be known in a file that is right: an entry is a path of its role and its number.
_ENTRY = 2
#: What only an entry of the notification list may say.
NARROWING = ("only", "except", "until")

_PERSON = Wording("an address", "write name@example.com or {address: name@example.com, …}")
_GUIDE = Guide(
    Instance,
    hints={
        "instance": "add `instance: some-id`, which no other file has",
        "id": "did you mean instance",
        "recipients.except_": "did you mean except",
        "admins": "name at least one admin, like `admins: [name@example.com]`",
        **{role: f"name somebody, or remove `{role}`" for role in ROLES if role != "admins"},
        **{f"{role}.address": "add `address: name@example.com`" for role in ROLES},
    },
    shapes={"Person": _PERSON, "ListedPerson": _PERSON},
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading one file.

    Attributes:
        instance: None if there are problems.
        form: The same as plain data, from which `Instance` can be made again; empty if there are problems.
    """

    instance: Instance | None
    form: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def load_instance(path: Path, root: Path, audience_keys: frozenset[str]) -> Instance:
    """The instance in the file `path`.

    Args:
        path: The file.
        root: The folder that its name in messages and in `Instance.file` is relative to.
        audience_keys: The words that ``only`` and ``except`` may use: `Catalogue.audience_keys`.

    Raises:
        RecipientsInvalid: The file is missing or wrong; with every problem, in the order of the file.
    """
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecipientsInvalid(unreadable(name, error)) from None
    reading = read_instance(raw, name, audience_keys)
    if reading.instance is None:
        raise RecipientsInvalid(reading.problems)
    return reading.instance


def unreadable(name: str, error: OSError) -> Problem:
    """A file that the system does not let us read."""
    what = f"the file cannot be read: {(error.strerror or str(error)).lower()}"
    return Problem(name, what, "see to it that it exists and that this user may read it")


def read_instance(raw: bytes, name: str, audience_keys: frozenset[str]) -> Reading:
    """What the bytes of a file say; never raises."""
    reading = _read(parse(raw, name, deep=_ENTRY), audience_keys)
    # Only of what is wrong the exact place must be told.
    return reading if reading.instance is not None else _read(parse(raw, name), audience_keys)


def _read(document: Document, audience_keys: frozenset[str]) -> Reading:
    if not document.complete:
        return Reading(None, problems=tuple(document.problems))
    data = document.data
    if not isinstance(data, dict):
        what = "the file is empty" if data is None else "the file is not a mapping"
        fix = "begin with `instance: some-id` and `admins: [name@example.com]`"
        return Reading(None, problems=(*document.problems, problem_at(document, (), what, fix)))
    found = [*document.problems, *_contradictions(document, data, audience_keys)]
    form = _with_lines(document, data)
    try:
        instance = Instance.model_validate(form, by_alias=True, by_name=False)
    except ValidationError as error:
        found += _reworded(problems_of_error(error, document, _GUIDE), found)
        return Reading(None, problems=tuple(in_order(found)))
    return Reading(None, problems=tuple(in_order(found))) if found else Reading(instance, form)


def _with_lines(document: Document, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with what the models know and no file says: the file's name, each person's line.

    A file that uses these words itself is refused by `_contradictions`.
    """
    form = {**data, "file": document.name}
    values = document.values
    for role in ROLES:
        people = data.get(role)
        if isinstance(people, list):
            form[role] = [
                {"address": person, "line": values[role, index].line + 1}
                if isinstance(person, str)
                else {**person, "line": values[role, index].line + 1}
                if isinstance(person, dict)
                else person
                for index, person in enumerate(people)
            ]
    return form


def _contradictions(document: Document, data: Mapping[str, Any], keys: frozenset[str]) -> Iterator[Problem]:
    """What the models cannot see: words of the catalogue, repetitions, keys that are not for files."""
    if "file" in data:
        yield problem_at(document, ("file",), "is no key here", "remove it", key=True)
    if data.get("sandbox_of") is not None and data.get("kind") != "sandbox":
        what = "belongs to a sandbox, and this instance is none"
        yield problem_at(document, ("sandbox_of",), what, "add `kind: sandbox`, or remove it", key=True)
    elif data.get("sandbox_of") is not None and data.get("sandbox_of") == data.get("instance"):
        what = "names the instance itself"
        yield problem_at(document, ("sandbox_of",), what, "name its production instance")
    for role in ROLES:
        people = data.get(role)
        if isinstance(people, list):
            yield from _repeated(document, role, people)
            for index, person in enumerate(people):
                if isinstance(person, dict):
                    yield from _entry(document, role, index, person, keys)


def _repeated(document: Document, role: str, people: list[Any]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, person in enumerate(people):
        address = person.get("address") if isinstance(person, dict) else person
        if not isinstance(address, str):
            continue
        earlier = first.setdefault(folded(address), index)
        if earlier != index:
            line, _ = document.place((role, earlier))
            what = f"{shown(address)} stands in line {line} already"
            yield problem_at(document, (role, index), what, "keep one of the two")


def _entry(
    document: Document, role: str, index: int, person: Mapping[str, Any], keys: frozenset[str]
) -> Iterator[Problem]:
    path = (role, index)
    if "line" in person:
        yield problem_at(document, (*path, "line"), "is no key here", "remove it", key=True)
    if role != "recipients":
        for word in NARROWING:
            if word in person:
                fix = f"remove `{word}`; only entries of recipients can have it"
                what = f"{role} cannot be narrowed"
                yield problem_at(document, (*path, word), what, fix, key=True)
        return
    for word in ("only", "except"):
        named = person.get(word)
        for number, key in enumerate(named if isinstance(named, list) else ()):
            if isinstance(key, str) and key not in keys:
                what = f"{shown(key)} is no communication type and no banner"
                yield problem_at(document, (*path, word, number), what, meant(key, keys))


def _reworded(problems: list[Problem], said: list[Problem]) -> Iterator[Problem]:
    """Those of `problems` that are not said already in better words."""
    places = {(problem.where, problem.key) for problem in said}
    return (problem for problem in problems if (problem.where, problem.key) not in places)
