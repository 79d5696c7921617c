"""What was said before, and an event goes on from: threads in mail programs, windows in calendars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dispatcher.domain.address import folded
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Event
from dispatcher.domain.fields import known, parse_fields
from dispatcher.domain.window import Entry, Window, is_cancelled, takes_away, uid_of, window_of
from dispatcher.flow.readers import Reader
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.threads import Root


@dataclass(frozen=True, slots=True)
class Past:
    """What counts of the past for one event.

    Attributes:
        roots: What its thread began with, by instance and folded address.
        entries: The window that it brings for calendars, by the first instance that a mail is about.
        moved: When that was to be, if the event says that it is another time; likewise.
    """

    roots: Mapping[tuple[str, str], Root] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    moved: Mapping[str, Window] = field(default_factory=dict)

    def root(self, reader: Reader) -> Root | None:
        """What the thread began with for a reader; None if it begins now."""
        address = folded(reader.recipient.address)
        found = (self.roots.get((one.id, address)) for one in reader.instances)
        return next(filter(None, found), None)

    def entry(self, reader: Reader) -> Entry | None:
        """The window that a reader's mail brings for calendars, if it brings one."""
        return self.entries.get(reader.instances[0].id)

    def moved_from(self, reader: Reader) -> Window | None:
        """The window as a reader knows it, if the event says that it is another time."""
        return self.moved.get(reader.instances[0].id)


async def past_of(catalogue: Catalogue, ledger: Ledger, event: Event, readers: Sequence[Reader]) -> Past:
    """What counts for these readers of an event; what it changes about windows is noted in the ledger.

    Raises:
        ServiceUnreachable: The ledger does not answer.
    """
    roots = await ledger.threads.roots(event.thread, event.id) if event.thread else {}
    spec = catalogue.types[event.effective_type]
    values = parse_fields(spec, known(spec, event.fields), partial=True)[0]
    window = window_of(spec, values)
    if window is None and not takes_away(spec, event, values):
        return Past(roots)
    first = dict.fromkeys(reader.instances[0].id for reader in readers)
    uids = {instance: uid_of(catalogue, event, values, instance) for instance in first}
    changes = await ledger.windows.advance(event.id, window, set(uids.values()))
    # Partners get their copy from a sender of their own; a window keeps one organizer, whoever sends it.
    organizer = catalogue.sender("default")
    found = {instance: changes[uid] for instance, uid in uids.items() if uid in changes}
    entries = {
        instance: Entry(uids[instance], change.number, change.window, event.accepted_at, organizer)
        for instance, change in found.items()
    }
    if is_cancelled(spec, values):
        return Past(roots, entries)
    moved = {instance: change.before for instance, change in found.items() if change.before}
    return Past(roots, entries, moved)
