"""What waits although there are workers, and a server that takes mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from dispatcher.domain.delivery import Lane
from dispatcher.flow.spans import number, since
from dispatcher.ledger.backlog import Backlog

#: What is due is begun within seconds. Whatever waits longer has something in its way.
SLOW = timedelta(seconds=60)


def slow(backlog: Backlog, rates: Mapping[Lane, float], now: datetime) -> Iterator[str]:
    """What needs attention: sentences without their full stops.

    Args:
        backlog: What waits.
        rates: Messages a second that left each lane in the last minute.
        now: The moment.
    """
    yield from _deliveries(backlog, rates, now)
    yield from _events(backlog, now)


def _deliveries(backlog: Backlog, rates: Mapping[Lane, float], now: datetime) -> Iterator[str]:
    # A lane from which mail leaves is merely full: its LEFT says how long that takes.
    lanes = [due for lane, due in backlog.due.items() if not rates[lane]]
    oldest = min((due.oldest for due in lanes if due.oldest), default=None)
    if oldest and oldest < now - SLOW:
        count = sum(due.deliveries for due in lanes)
        waits, them = number(count, "delivery is", "deliveries are"), "it" if count == 1 else "them"
        yield f"{waits} due, the oldest since {since(oldest, now)}, and no worker gets to {them}"


def _events(backlog: Backlog, now: datetime) -> Iterator[str]:
    early = now - SLOW
    newest = [moment for moment in backlog.begun if moment]
    # While one comes on, those behind it wait for nothing else. Those that were put off say for what.
    moves = any(moment >= early for moment in newest)
    waiting = [backlog.put_off] if moves else [backlog.put_off, backlog.untouched]
    late = [events for events in waiting if events.oldest and events.oldest < early]
    if late:
        waits = number(sum(events.events for events in late), "event waits", "events wait")
        oldest = min(events.oldest for events in late if events.oldest)
        yield f"{waits} to be expanded, the oldest since {since(oldest, now)}. `dispatcher events` tells why"
    if halted := [moment for moment in newest if moment < early]:
        what = number(len(halted), "event is", "events are")
        when = since(min(halted), now)
        yield f"{what} being expanded, and nothing new came of it since {when}; look at the log of its worker"
