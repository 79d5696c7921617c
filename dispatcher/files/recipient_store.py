"""All instances under ``recipients/``: read when they change, never lost to a slip.

A file that cannot be used is set aside with its problems, and its last good version stays in force, also in
other processes and after a restart. A file that is deleted takes its instance with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from dispatcher.domain.address import folded
from dispatcher.domain.event import Selection
from dispatcher.domain.instance import Instance
from dispatcher.errors import Problem
from dispatcher.files.folder import NEVER, Listing, list_folder
from dispatcher.files.ownership import Entry, FileProblem, settle
from dispatcher.files.recipient_cache import Cached, RecipientCache
from dispatcher.files.recipient_form import Roll, Version, instance_of, names, outline_of
from dispatcher.files.recipient_shelf import Shelf
from dispatcher.files.recipient_version import read_version

FOLDER = "recipients"

_log = logging.getLogger(__name__)


class RecipientStore:
    """The instances in force."""

    def __init__(self, root: Path, *, cache: Path | None, audience_keys: frozenset[str]) -> None:
        """Open the folder ``recipients`` of `root`, and read what changed since the last process did.

        Args:
            root: The folder that holds ``recipients/``.
            cache: The file that keeps what was read; None to keep nothing and to fall back on nothing.
            audience_keys: The words that ``only`` and ``except`` may use.
        """
        self._root = root
        self._keys = audience_keys
        self._cache = RecipientCache(cache)
        self._saved = self._cache.load()
        self._entries = {name: self._recalled(cached) for name, cached in self._saved.items()}
        self._refused: dict[str, Problem] = {}
        self._problems: list[FileProblem] = []
        self._force: Mapping[str, Version] = {}
        self._shelf = Shelf()
        self._looking = threading.Lock()
        self._sandboxes: Mapping[str, Sequence[str]] = {}
        self._look(first=True)

    def refresh(self) -> list[FileProblem]:
        """Read what changed, and give every file that is set aside now, in the order of their paths.

        A folder in which nothing changed costs a look at each file's times, no more. It may run in a thread:
        what is in force changes at one stroke at its end.
        """
        with self._looking:
            self._look()
            return list(self._problems)

    def get(self, instance: str) -> Instance | None:
        """The instance with this id; None if there is none in force.

        It is made anew, some microseconds for each of its people, unless it was asked for lately. Other
        threads may ask as well.
        """
        version = self._force.get(instance)
        return None if version is None else self._shelf.get(version)

    def roll(self, instance: str) -> Roll | None:
        """The instance with this id for whoever goes through its people once, however many they are.

        It costs what `get` costs, each time, but its people are not in memory at once. May be asked by
        other threads as well.
        """
        version = self._force.get(instance)
        return None if version is None else Roll(version)

    def outline(self, instance: str) -> Instance | None:
        """The instance with this id as `get` gives it, but without its people; cheap with any number."""
        version = self._force.get(instance)
        return None if version is None else outline_of(version)

    def all(self) -> Sequence[Instance]:
        """Every instance in force, in the order of their ids."""
        return [self._shelf.get(version) for version in self._force.values()]

    def by_region(self, region: str) -> Sequence[Instance]:
        """Those of a region, in the order of their ids."""
        return [self._shelf.get(version) for version in self._force.values() if version.region == region]

    def selected(self, selection: Selection) -> Sequence[Instance]:
        """The instances in force that a selection names; of a thread's it names none."""
        if selection.kind == "region":
            return self.by_region(selection.values[0])
        if selection.kind == "all":
            return self.all()
        found = map(self.get, dict.fromkeys(selection.values))
        return [one for one in found if one is not None]

    def outlines(self, selection: Selection) -> Iterator[Instance]:
        """The instances in force that a selection names, in the order of `ids_of`, without their people."""
        return (outline_of(self._force[name]) for name in self.ids_of(selection))

    def ids_of(self, selection: Selection) -> Sequence[str]:
        """The ids of the instances in force that a selection names, in their order; makes none."""
        force = self._force
        if selection.kind == "region":
            region = selection.values[0]
            return [name for name, version in force.items() if version.region == region]
        if selection.kind == "all":
            return list(force)
        return [name for name in dict.fromkeys(selection.values) if name in force]

    def naming(self, address: str, limit: int) -> tuple[Sequence[Instance], int]:
        """The instances in force that name an address in any role, and how many there are.

        Unlike the rest of the store it may run in a thread beside others: it reads what is in force when it
        begins, and keeps nothing.

        Args:
            address: Compared without regard to case.
            limit: How many are made, in the order of their ids; more are counted.
        """
        # An address holds nothing that JSON escapes, so who has it as a whole value has it in this spelling.
        needle = b'"' + folded(address).encode() + b'"'
        found = [version for version in self._force.values() if names(version, needle)]
        return [instance_of(version) for version in found[:limit]], len(found)

    def sandboxes_of(self, production: str) -> Sequence[str]:
        """The ids of the instances that say they are its sandboxes, in their order."""
        return self._sandboxes.get(production, ())

    def ids(self) -> AbstractSet[str]:
        """The ids of all instances in force, in their order."""
        return self._force.keys()

    def lost(self) -> Sequence[FileProblem]:
        """The files of which nothing is in force, in the order of their paths; as of the last look."""
        return [problem for problem in self._problems if problem.in_force is None]

    def _recalled(self, cached: Cached) -> Entry:
        """What the last process read; to be read anew if the catalogue no longer has a word that it uses."""
        if cached.stat == NEVER or not self._keys.issuperset(cached.version.words):
            return Entry(good=cached.version)
        return Entry(cached.stat, read=cached.version, good=cached.version)

    def _look(self, *, first: bool = False) -> None:
        """Bring everything up to what is on disk."""
        listing = list_folder(self._root, FOLDER)
        entries = self._read(listing)
        if not first and entries == self._entries and listing.problems == self._refused:
            return
        self._refused = listing.problems
        told = set(self._problems)
        self._entries, owners, self._problems = settle(
            self._root, self._with_newer(entries), listing.problems
        )
        for problem in self._problems:
            if problem not in told:
                _log.warning("%s", problem)
        force = {instance: self._entries[name].in_force for instance, name in sorted(owners.items())}
        self._force, self._sandboxes = force, _paired(force)
        self._shelf.keep(force)
        cacheable = {name: entry.cached() for name, entry in self._entries.items() if entry.good is not None}
        if cacheable != self._saved:
            self._saved = cacheable
            self._cache.save(cacheable)

    def _read(self, listing: Listing) -> dict[str, Entry]:
        """Each file's entry, the unchanged ones as they were."""
        entries = {}
        for name, entry in self._entries.items():
            if name in listing.problems:
                entries[name] = Entry(good=entry.good)
            elif name not in listing.files and name.startswith(tuple(listing.hidden)):
                entries[name] = entry
        for name, stat in listing.files.items():
            known = self._entries.get(name)
            if known is not None and known.stat == stat:
                entries[name] = known
            elif (fresh := read_version(self._root, name, self._keys, known)) is not None:
                entries[name] = fresh
        return entries

    def _with_newer(self, entries: dict[str, Entry]) -> dict[str, Entry]:
        """A broken file's last good version may have been seen by another process only."""
        broken = {name for name, entry in entries.items() if entry.read is None}
        others = self._cache.load_if_changed(broken)
        return {
            name: entry.with_newer(others[name].version) if name in others else entry
            for name, entry in entries.items()
        }


def _paired(force: Mapping[str, Version]) -> Mapping[str, Sequence[str]]:
    """The sandboxes of each instance that has some."""
    found: dict[str, list[str]] = {}
    for name, version in force.items():
        if version.sandbox_of is not None:
            found.setdefault(version.sandbox_of, []).append(name)
    return found
