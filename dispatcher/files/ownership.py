"""Which file speaks for which instance, where several do or one is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dispatcher.errors import Problem
from dispatcher.files.folder import NEVER, Stat
from dispatcher.files.recipient_cache import Cached
from dispatcher.files.recipient_form import Version
from dispatcher.files.source import MAX_BYTES, parse


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file that is set aside.

    Attributes:
        file: Its path relative to the root.
        problems: At least one, in the order of the file.
        in_force: The instance whose last good version of this file still counts; None if there is none.
    """

    file: str
    problems: tuple[Problem, ...]
    in_force: str | None = None

    def __str__(self) -> str:
        if self.in_force is None:
            kept = "The file is set aside; nothing of it is in force."
        else:
            kept = f"The file is set aside; the last good version of {self.in_force} stays in force."
        return "\n".join([*map(str, self.problems), kept])


@dataclass(frozen=True, slots=True)
class Entry:
    """One file.

    Attributes:
        stat: As it was when it was last read; `NEVER` where that must be done again.
        read: What it says now; None if that cannot be used.
        good: Its version in force.
        problems: Why it cannot be used.
    """

    stat: Stat = NEVER
    read: Version | None = None
    good: Version | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def wanted(self) -> Version | None:
        """What it would put in force: what it says now, else what it last said."""
        return self.read or self.good

    @property
    def in_force(self) -> Version:
        """The version in force, of an entry that has one."""
        if self.good is None:
            raise LookupError("an entry that owns no instance")
        return self.good

    def with_newer(self, version: Version) -> Entry:
        """With `version` to fall back on, if this is broken and `version` the later one."""
        if self.read is None and (self.good is None or version.changed > self.good.changed):
            return replace(self, good=version)
        return self

    def cached(self) -> Cached:
        """What the next process needs; a file that is not clean is read again for its problems."""
        clean = self.read is not None and self.read is self.good
        return Cached(self.stat if clean else NEVER, self.in_force)


def settle(
    root: Path, entries: Mapping[str, Entry], refused: Mapping[str, Problem]
) -> tuple[dict[str, Entry], dict[str, str], list[FileProblem]]:
    """Decide what is in force.

    An instance that two files claim stays with the one that has it already, else with the one that is called
    like it, else with the first by path; the other is set aside and keeps its last good version, if nobody
    else has that.

    Args:
        root: The folder that paths are relative to.
        entries: Each file by path.
        refused: What could not be looked at, by path.

    Returns:
        The entries with `good` brought up to date; the file of each instance; every file set aside.
    """
    owners = _owners(entries)
    settled = {name: _settled(name, entry, owners) for name, entry in entries.items()}
    aside: dict[str, tuple[Problem, ...]] = {name: (problem,) for name, problem in refused.items()}
    for name, entry in settled.items():
        if entry.problems:
            aside[name] = entry.problems
        elif entry.wanted is not None and owners[entry.wanted.instance] != name:
            aside[name] = (_clash(root, name, entry.wanted.instance, owners[entry.wanted.instance]),)
    problems = [FileProblem(name, why, _in_force(settled.get(name))) for name, why in sorted(aside.items())]
    return settled, owners, problems


def _in_force(entry: Entry | None) -> str | None:
    return entry.good.instance if entry is not None and entry.good is not None else None


def _owners(entries: Mapping[str, Entry]) -> dict[str, str]:
    claims = {name: entry.wanted for name, entry in entries.items()}
    owners: dict[str, str] = {}
    for name in sorted(entries, key=lambda name: (not _holds(entries[name]), not _named(name, claims), name)):
        claim = claims[name]
        if claim is not None:
            owners.setdefault(claim.instance, name)
    for name in sorted(entries):
        good, claim = entries[name].good, claims[name]
        if good is not None and claim is not None and owners[claim.instance] != name:
            owners.setdefault(good.instance, name)
    return owners


def _named(name: str, claims: Mapping[str, Version | None]) -> bool:
    """Whether the file is called as its instance: a copy whose id was left unchanged is not."""
    claim = claims[name]
    return claim is not None and Path(name).stem == claim.instance


def _holds(entry: Entry) -> bool:
    """Whether the entry claims what it has already."""
    return (
        entry.wanted is not None and entry.good is not None and entry.wanted.instance == entry.good.instance
    )


def _settled(name: str, entry: Entry, owners: Mapping[str, str]) -> Entry:
    for version in (entry.wanted, entry.good):
        if version is not None and owners.get(version.instance) == name:
            return entry if version is entry.good else replace(entry, good=version)
    return replace(entry, good=None)


def _clash(root: Path, name: str, instance: str, owner: str) -> Problem:
    what = f"{owner} has the instance {instance!r} already"
    return Problem(_where(root, name), what, "give this file an id of its own, or delete it", "instance")


def _where(root: Path, name: str) -> str:
    try:
        with (root / name).open("rb") as file:
            return parse(file.read(MAX_BYTES + 1), name).where(("instance",))
    except OSError:
        return name
