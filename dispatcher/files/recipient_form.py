"""What is kept of a good recipient file: little enough that a million people fit into every process.

A person takes some eighty bytes as JSON and eight hundred as an object, but fewer than twenty when a whole
file is compressed. So files are kept compressed, and instances are made of them when somebody asks.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dispatcher.domain.instance import ROLES, Instance

#: Most of what there is to gain, in a third of the time that the usual level takes.
_LEVEL = 1
_NOBODY = Instance.model_construct(id="", admins=[], global_admins=[], recipients=[], users=[], partners=[])


@dataclass(frozen=True, slots=True)
class Version:
    """One good version of a recipient file.

    Attributes:
        changed: When the file last changed, by its file system: nanoseconds since 1970.
        people: How many entries it has, in all roles.
        words: What its ``only`` and ``except`` name, each once.
        outline: What `outline_of` is made from, as JSON.
        form: What `instance_of` is made from, as JSON that is compressed.
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
        form=zlib.compress(orjson.dumps(form), _LEVEL),
    )


def instance_of(version: Version) -> Instance:
    """The instance, made anew: some microseconds for each of its people."""
    return Instance.model_validate(orjson.loads(zlib.decompress(version.form)))


def outline_of(version: Version) -> Instance:
    """The instance without its people, in some microseconds however many they are."""
    # What was checked when the file was read is not checked again.
    return _NOBODY.model_copy(update=orjson.loads(version.outline))


def names(version: Version, needle: bytes) -> bool:
    """Whether the JSON of an instance has `needle`, which is in lower case, in any case."""
    return needle in zlib.decompress(version.form).lower()
