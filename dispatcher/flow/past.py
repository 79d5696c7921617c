"""What was said before, and an event goes on from: threads in mail programs, windows in calendars."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from dispatcher.domain.address import folded
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Event
from dispatcher.domain.fields import filled, known, parse_fields
from dispatcher.domain.window import Entry, Window, is_cancelled, takes_away, uid_of, window_of
from dispatcher.flow.readers import Facts, Reader
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.threads import Root


@dataclass(frozen=True, slots=True)
class Past:
    """What counts of the past for one event.

    Attributes:
        roots: What its thread began with, by instance and folded address.
        entries: The window that it brings for calendars, by the first instance that a mail is about.
        moved: When that was to be, if the event says that it is another time; likewise.
        facts: What its plan says where the event says nothing, by instance.
    """

    roots: Mapping[tuple[str, str], Root] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    moved: Mapping[str, Window] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)

    def fields(self, event: Event, reader: Reader) -> Mapping[str, Any]:
        """What the event says to a reader: of several instances, the first one's plan counts."""
        facts = self.facts.get(reader.instances[0].id)
        return filled(event.fields, facts) if facts else event.fields

    def root(self, reader: Reader) -> Root | None:
        """What the thread began with for a reader; None if it begins now."""
        if not self.roots:
            return None
        address = folded(reader.recipient.address)
        found = (self.roots.get((one.id, address)) for one in reader.instances)
        return next(filter(None, found), None)

    def entry(self, reader: Reader) -> Entry | None:
        """The window that a reader's mail brings for calendars, if it brings one."""
        return self.entries.get(reader.instances[0].id)

    def moved_from(self, reader: Reader) -> Window | None:
        """The window as a reader knows it, if the event says that it is another time."""
        return self.moved.get(reader.instances[0].id)


class PastBook:
    """Looks up what counts of the past for one event, some of its readers at a time."""

    def __init__(self, catalogue: Catalogue, ledger: Ledger, event: Event, facts: Facts) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._event = event
        self._facts = facts
        self._grouped: Mapping[tuple[str, str], Root] | None = None

    async def of(self, readers: Sequence[Reader]) -> Past:
        """What counts for these readers; what the event changes about windows is noted in the ledger.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        past = Past(await self._roots(readers), facts=self._facts)
        # Partners get their copy from a sender of their own; a window keeps one organizer, whoever sends it.
        organizer = self._catalogue.sender("default")
        entries: dict[str, Entry] = {}
        moved: dict[str, Window] = {}
        for said in await asyncio.to_thread(_windows, self._catalogue, self._event, past, readers):
            changes = await self._ledger.windows.advance(self._event.id, said.window, set(said.uids.values()))
            for instance, uid in said.uids.items():
                if (change := changes.get(uid)) is None:
                    continue
                accepted = self._event.accepted_at
                entries[instance] = Entry(uid, change.number, change.window, accepted, organizer)
                if change.before and not said.cancelled:
                    moved[instance] = change.before
        return replace(past, entries=entries, moved=moved)

    async def _roots(self, readers: Sequence[Reader]) -> Mapping[tuple[str, str], Root]:
        """What the thread began with for these readers; mails about several instances are few, and kept."""
        thread, event = self._event.thread, self._event.id
        if not thread or not readers:
            return {}
        if self._grouped is None:
            self._grouped = await self._ledger.threads.roots_of_several(thread, event)
        asked = {(one.id, folded(reader.recipient.address)) for reader in readers for one in reader.instances}
        names, addresses = {name for name, _ in asked}, {address for _, address in asked}
        roots = dict(await self._ledger.threads.roots(thread, event, names, addresses))
        for key in asked & self._grouped.keys():
            roots[key] = min(self._grouped[key], roots.get(key, self._grouped[key]), key=_came)
        return roots


def _came(root: Root) -> str:
    return root.first


@dataclass(frozen=True, slots=True)
class _Said:
    """What an event says of the windows of those instances to which it says the same.

    Attributes:
        uids: The windows, by instance.
    """

    window: Window | None
    cancelled: bool
    uids: dict[str, str]


def _windows(catalogue: Catalogue, event: Event, past: Past, readers: Sequence[Reader]) -> Sequence[_Said]:
    """What is said of windows, once for all instances to which the same is said."""
    spec = catalogue.types[event.effective_type]
    if spec.calendar is None:
        return ()
    found: dict[tuple[Window | None, bool], _Said] = {}
    parsed: dict[bytes, Mapping[str, Any]] = {}
    for name, reader in {one.instances[0].id: one for one in reversed(readers)}.items():
        fields = known(spec, past.fields(event, reader))
        written = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
        if written not in parsed:
            parsed[written] = parse_fields(spec, fields, partial=True)[0]
        values = parsed[written]
        window, cancelled = window_of(spec, values), is_cancelled(spec, values)
        if window is not None or takes_away(spec, event, values):
            said = found.setdefault((window, cancelled), _Said(window, cancelled, {}))
            said.uids[name] = uid_of(catalogue, event, values, name)
    return list(found.values())
