"""All instances under ``recipients/``: read when they change, never lost to a slip.

A file that cannot be used is set aside with its problems, and its last good version stays in force, also in
other processes and after a restart. A file that is deleted takes its instance with it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import orjson

from dispatcher.domain.address import folded
from dispatcher.domain.event import Selection
from dispatcher.domain.instance import Instance
from dispatcher.errors import Problem
from dispatcher.files.folder import NEVER, Listing, list_folder
from dispatcher.files.ownership import Entry, FileProblem, settle
from dispatcher.files.recipient_cache import Cached, RecipientCache, Version
from dispatcher.files.recipient_version import read_version

FOLDER = "recipients"
#: In a form, which has JSON's escapes: nothing else can stand there like this.
_SANDBOX_OF = re.compile(rb'"sandbox_of":"([^"]+)"')

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
        self._made: dict[str, tuple[Version, Instance]] = {}
        self._paired: Mapping[str, Version] | None = None
        self._sandboxes: dict[str, list[str]] = {}
        self._look(first=True)

    def refresh(self) -> list[FileProblem]:
        """Read what changed, and give every file that is set aside now, in the order of their paths.

        A folder in which nothing changed costs a look at each file's times, no more.
        """
        self._look()
        return list(self._problems)

    def get(self, instance: str) -> Instance | None:
        """The instance with this id; None if there is none in force."""
        version = self._force.get(instance)
        return None if version is None else self._instance(version)

    def all(self) -> Sequence[Instance]:
        """Every instance in force, in the order of their ids."""
        return [self._instance(version) for version in self._force.values()]

    def by_region(self, region: str) -> Sequence[Instance]:
        """Those of a region, in the order of their ids."""
        return [self._instance(version) for version in self._force.values() if version.region == region]

    def selected(self, selection: Selection) -> Sequence[Instance]:
        """The instances in force that a selection names; of a thread's it names none."""
        if selection.kind == "region":
            return self.by_region(selection.values[0])
        if selection.kind == "all":
            return self.all()
        found = map(self.get, dict.fromkeys(selection.values))
        return [one for one in found if one is not None]

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
        forms = [version.form for version in self._force.values() if needle in version.form.lower()]
        return [Instance.model_validate(orjson.loads(form)) for form in forms[:limit]], len(forms)

    def sandboxes_of(self, production: str) -> Sequence[str]:
        """The ids of the instances that say they are its sandboxes, in their order."""
        if self._paired is not self._force:
            self._paired, self._sandboxes = self._force, {}
            for name, version in self._force.items():
                # Ten thousand forms take milliseconds so; instances are made only when they are asked for.
                if found := _SANDBOX_OF.search(version.form):
                    self._sandboxes.setdefault(found[1].decode(), []).append(name)
        return self._sandboxes.get(production, ())

    def ids(self) -> AbstractSet[str]:
        """The ids of all instances in force, in their order."""
        return self._force.keys()

    def lost(self) -> Sequence[FileProblem]:
        """The files of which nothing is in force, in the order of their paths; as of the last look."""
        return [problem for problem in self._problems if problem.in_force is None]

    def _instance(self, version: Version) -> Instance:
        """Made when it is first asked for: most commands ask for a few of many."""
        made = self._made.get(version.instance)
        if made is None:
            made = version, Instance.model_validate(orjson.loads(version.form))
            self._made[version.instance] = made
        return made[1]

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
        self._force = {instance: self._entries[name].in_force for instance, name in sorted(owners.items())}
        self._made = {key: made for key, made in self._made.items() if self._force.get(key) is made[0]}
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
        others = self._cache.load_if_changed()
        return {
            name: entry.with_newer(others[name].version) if name in others else entry
            for name, entry in entries.items()
        }
