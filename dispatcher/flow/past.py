"""What was said before, and an event goes on from: threads in mail programs, windows in calendars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dispatcher.domain.address import folded
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Event
from dispatcher.domain.fields import known, parse_fields
from dispatcher.domain.window import Entry, uid_of, window_of
from dispatcher.flow.readers import Reader
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.threads import Root


@dataclass(frozen=True, slots=True)
class Past:
    """What counts of the past for one event.

    Attributes:
        roots: What its thread began with, by instance and folded address.
        entries: The window that it brings for calendars, by the first instance that a mail is about.
    """

    roots: Mapping[tuple[str, str], Root] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def root(self, reader: Reader) -> Root | None:
        """What the thread began with for a reader; None if it begins now."""
        return self.roots.get((reader.instances[0].id, folded(reader.recipient.address)))

    def entry(self, reader: Reader) -> Entry | None:
        """The window that a reader's mail brings for calendars, if it brings one."""
        return self.entries.get(reader.instances[0].id)


async def past_of(catalogue: Catalogue, ledger: Ledger, event: Event, readers: Sequence[Reader]) -> Past:
    """What counts for these readers of an event; what it changes about windows is noted in the ledger.

    Raises:
        ServiceUnreachable: The ledger does not answer.
    """
    roots = await ledger.threads.roots(event.thread, event.id) if event.thread else {}
    return Past(roots, await _entries(catalogue, ledger, event, readers))


async def _entries(
    catalogue: Catalogue, ledger: Ledger, event: Event, readers: Sequence[Reader]
) -> Mapping[str, Entry]:
    spec = catalogue.types[event.effective_type]
    values = parse_fields(spec, known(spec, event.fields), partial=True)[0]
    window = window_of(spec, values)
    if window is None:
        return {}
    first = dict.fromkeys(reader.instances[0].id for reader in readers)
    uids = {instance: uid_of(catalogue, event, values, instance) for instance in first}
    numbers = await ledger.windows.advance(event.id, window, set(uids.values()))
    # Partners get their copy from a sender of their own; a window keeps one organizer, whoever sends it.
    organizer = catalogue.sender("default")
    return {
        instance: Entry(uid, numbers[uid], window, event.accepted_at, organizer)
        for instance, uid in uids.items()
        if uid in numbers
    }
