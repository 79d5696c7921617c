"""What is kept of a good recipient file: little enough that a million people fit into every process.

A person takes some eighty bytes as JSON and eight hundred as an object, but fewer than twenty when a whole
file is compressed. So files are kept compressed, and instances are made of them when somebody asks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
from pydantic import TypeAdapter

from dispatcher.domain.instance import ROLES, Instance, Person
from dispatcher.domain.words import Role

#: Most of what there is to gain, in a third of the time that the usual level takes.
_LEVEL = 1
#: People of one role in a line of a form; so many are made of it at a time.
_PIECE = 500
#: Bytes of a form that are unpacked at a time.
_READ = 64 * 1024
_LISTS: Mapping[Role, Any] = {role: Instance.model_fields[role].annotation for role in ROLES}
_MAKERS: Mapping[Role, TypeAdapter[Any]] = {role: TypeAdapter(_LISTS[role]) for role in ROLES}
_NOBODY = Instance.model_construct(id="", admins=[], global_admins=[], recipients=[], users=[], partners=[])


@dataclass(frozen=True, slots=True)
class Version:
    """One good version of a recipient file.

    Attributes:
        changed: When the file last changed, by its file system: nanoseconds since 1970.
        people: How many entries it has, in all roles.
        words: What its ``only`` and ``except`` name, each once.
        outline: What `outline_of` is made from, as JSON.
        form: What `instance_of` is made from, as lines of JSON that are compressed: what is said of the
            instance, then some hundred people of one role each.
    """

    instance: str
    region: str | None
    sandbox_of: str | None
    changed: int
    people: int
    words: tuple[str, ...]
    outline: bytes
    form: bytes


def version_of(instance: Instance, form: Mapping[str, Any], changed: int) -> Version:
    """What is kept of an instance.

    Args:
        instance: As it was read.
        form: The data that it was made from.
        changed: As in `Version`.
    """
    outline = {name: getattr(instance, name) for name in Instance.model_fields if name not in ROLES}
    return Version(
        instance=instance.id,
        region=instance.region,
        sandbox_of=instance.sandbox_of,
        changed=changed,
        people=sum(len(getattr(instance, role)) for role in ROLES),
        words=tuple(sorted({word for one in instance.recipients for word in (*one.only, *one.except_)})),
        outline=orjson.dumps(outline),
        form=zlib.compress(b"\n".join(_lines(form)), _LEVEL),
    )


def instance_of(version: Version) -> Instance:
    """The instance, made anew: some microseconds for each of its people."""
    first, *others = zlib.decompress(version.form).split(b"\n")
    form = orjson.loads(first)
    for role, people in map(orjson.loads, others):
        form.setdefault(role, []).extend(people)
    return Instance.model_validate(form)


def _lines(form: Mapping[str, Any]) -> Iterator[bytes]:
    """The lines of a form; JSON has no line break within."""
    yield orjson.dumps({key: value for key, value in form.items() if key not in ROLES or not value})
    for role in ROLES:
        people = form.get(role) or ()
        for start in range(0, len(people), _PIECE):
            yield orjson.dumps([role, people[start : start + _PIECE]])


def _unpacked(form: bytes) -> Iterator[bytes]:
    """The lines of a form, one after the other."""
    inflater, begun = zlib.decompressobj(), b""
    while form:
        *whole, begun = (begun + inflater.decompress(form, _READ)).split(b"\n")
        form = inflater.unconsumed_tail
        yield from whole
    yield from (begun + inflater.flush()).split(b"\n")


def outline_of(version: Version) -> Instance:
    """The instance without its people, in some microseconds however many they are."""
    # What was checked when the file was read is not checked again.
    return _NOBODY.model_copy(update=orjson.loads(version.outline))


class Roll:
    """An instance whose people are made while somebody goes through them, and not kept.

    Attributes:
        outline: The instance without its people.
    """

    def __init__(self, version: Version) -> None:
        self.outline = outline_of(version)
        self._form = version.form

    @property
    def id(self) -> str:
        """Its id."""
        return self.outline.id

    @property
    def file(self) -> str:
        """The file it was read from."""
        return self.outline.file

    @property
    def language(self) -> str:
        """Of those who have none of their own."""
        return self.outline.language

    @property
    def time_zone(self) -> str:
        """Of those who have none of their own."""
        return self.outline.time_zone

    def named(self) -> Iterator[tuple[Role, Person]]:
        """As `Instance.named`; each time they are made anew."""
        for line in islice(_unpacked(self._form), 1, None):
            role, people = orjson.loads(line)
            for person in _MAKERS[role].validate_python(people):
                yield role, person


def names(version: Version, needle: bytes) -> bool:
    """Whether the JSON of an instance has `needle`, which is in lower case, in any case."""
    return needle in zlib.decompress(version.form).lower()
