"""How far one event is, for whoever watches it."""

from __future__ import annotations

from typing import Any

import pytest
from clock import Clock
from ledger_records import DEFERRED, SENT, claim, expanded, expansion, new_event, people
from sqlalchemy import event

from dispatcher.domain.event import EventStatus
from dispatcher.errors import NotFound
from dispatcher.ledger import Ledger, Recorded
from dispatcher.ledger.progress import Watching


async def record(ledger: Ledger, number: int) -> None:
    """So many deliveries are claimed and sent."""
    claims = await claim(ledger, number)
    await ledger.claims.record([Recorded(one, SENT) for one in claims])


async def test_a_watch_follows_an_event_to_its_end(ledger: Ledger) -> None:
    """Accepted, expanded, begun bit by bit; other events do not count."""
    (added,) = await ledger.events.add([new_event("CHG-2")])
    watching = Watching(ledger.database, added.id)
    seen = [await watching.look()]
    await ledger.expansions.store(added.id, expansion(people(10)))
    seen.append(await watching.look())
    for number in (4, 0, 5, 1):
        await record(ledger, number)
        seen.append(await watching.look())
    await expanded(ledger, people(3))
    seen.append(await watching.look())

    assert [(one.total, one.begun, one.waiting) for one in seen] == [
        (0, 0, 0),
        (10, 0, 10),
        (10, 4, 6),
        (10, 4, 6),
        (10, 9, 1),
        (10, 10, 0),
        (10, 10, 0),
    ]
    assert seen[0].status is EventStatus.ACCEPTED
    assert seen[-1].status is EventStatus.EXPANDED


async def test_what_was_put_off_or_given_back_counts_as_begun(ledger: Ledger, clock: Clock) -> None:
    """The place only moves forward, so that one that waits for hours does not hold it."""
    watching = Watching(ledger.database, await expanded(ledger, people(5)))
    first, second, third = await claim(ledger, 3)
    await ledger.claims.record([Recorded(first, DEFERRED, clock()), Recorded(second, SENT)])
    begun = await watching.look()
    await ledger.claims.give_back([third])

    assert (begun.begun, begun.waiting) == (3, 2)
    assert (await watching.look()).begun == 3


async def test_looks_read_only_what_is_new(ledger: Ledger) -> None:
    """Each statement begins at the place where the last look ended."""
    watching = Watching(ledger.database, await expanded(ledger, people(30)))
    await record(ledger, 20)
    await watching.look()
    asked: list[Any] = []

    def note(_c: Any, _cursor: Any, _statement: str, parameters: Any, *_: Any) -> None:
        asked.append(parameters)

    engine = ledger.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    look = await watching.look()
    event.remove(engine, "before_cursor_execute", note)
    places = [value for one in asked for value in one if str(value).startswith("dlv_")]

    assert (look.total, look.begun) == (30, 20)
    assert len(asked) == 4
    # The newest that was counted; the newest that was begun, twice; the first that waits.
    assert len(places) == 4
    assert all(places)


async def test_an_event_that_is_not_there_is_told(ledger: Ledger) -> None:
    """Nobody waits for what will never come."""
    with pytest.raises(NotFound, match="evt_none"):
        await Watching(ledger.database, "evt_none").look()
