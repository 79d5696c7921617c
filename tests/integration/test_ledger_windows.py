from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from clock import Clock
from ledger_records import new_event
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select

from dispatcher.domain.window import Window
from dispatcher.ledger import Ledger
from dispatcher.ledger.schema import windows
from dispatcher.ledger.windows import Change

START = datetime(2027, 3, 20, 21, 0, tzinfo=UTC)
FIRST = Window(START, START + timedelta(hours=4))
MOVED = Window(START + timedelta(days=1), START + timedelta(days=1, hours=4))
LONGER = Window(START, START + timedelta(hours=6))
OFF = Window(START, START + timedelta(hours=4), cancelled=True)


async def accepted(ledger: Ledger, clock: Clock, number: int) -> list[str]:
    """So many events, one after the other."""
    ids = []
    for index in range(number):
        clock.advance(seconds=1)
        [one] = await ledger.events.add([new_event(f"CHG-{index}")])
        ids.append(one.id)
    return ids


async def told(ledger: Ledger, event: str, window: Window | None) -> Change | None:
    return (await ledger.windows.advance(event, window, ["w1"])).get("w1")


async def said(ledger: Ledger, event: str, window: Window | None) -> int | None:
    change = await told(ledger, event, window)
    return change.number if change else None


async def test_every_change_has_the_next_number(ledger: Ledger, clock: Clock) -> None:
    """The first announcement is 0; a new start, a new end and a cancel are one more; a repeat is not."""
    events = await accepted(ledger, clock, 7)
    spoken = [FIRST, MOVED, MOVED, LONGER, OFF, OFF, FIRST]
    numbers = [await said(ledger, event, window) for event, window in zip(events, spoken, strict=True)]

    assert numbers == [0, 1, 1, 2, 3, 3, 4]


async def test_an_event_that_is_expanded_again_says_the_same(ledger: Ledger, clock: Clock) -> None:
    """Whatever was said since, an event that changed a window keeps its number."""
    events = await accepted(ledger, clock, 4)
    spoken = list(zip(events, [FIRST, MOVED, None, LONGER], strict=True))
    once = [await told(ledger, event, window) for event, window in spoken]
    again = [await told(ledger, event, window) for event, window in spoken]

    assert (
        once
        == again
        == [
            Change(0, FIRST),
            Change(1, MOVED),
            Change(2, replace(MOVED, cancelled=True)),
            Change(3, LONGER),
        ]
    )


async def test_a_repeat_that_was_overtaken_brings_nothing(ledger: Ledger, clock: Clock) -> None:
    """A reminder of dates that have moved since has no number, whether it had one before or not."""
    first, repeat, late, moved, after = await accepted(ledger, clock, 5)
    spoken = [(first, FIRST), (repeat, FIRST), (moved, MOVED), (late, FIRST), (repeat, FIRST), (after, MOVED)]

    assert [await said(ledger, *one) for one in spoken] == [0, 0, 1, None, None, 1]


async def test_a_window_whose_end_nobody_knows_any_more_is_struck_off(ledger: Ledger, clock: Clock) -> None:
    """Calendars are told to drop what they know, once; what is known later is announced anew."""
    events = await accepted(ledger, clock, 5)
    spoken = zip(events, [FIRST, None, None, OFF, MOVED], strict=True)
    gone = replace(FIRST, cancelled=True)

    assert [await told(ledger, *one) for one in spoken] == [
        Change(0, FIRST),
        Change(1, gone),
        Change(1, gone),
        Change(1, OFF),
        Change(2, MOVED),
    ]


async def test_what_has_no_end_yet_strikes_nothing_off(ledger: Ledger, clock: Clock) -> None:
    """An open end that nothing announced has no number, and nor has an announcement that it overtook."""
    announced, opened, again, closed = await accepted(ledger, clock, 4)

    assert await told(ledger, opened, None) is None
    assert await told(ledger, announced, FIRST) is None
    assert await told(ledger, again, None) is None
    assert await told(ledger, closed, FIRST) == Change(1, FIRST)


async def test_what_was_never_announced_is_not_cancelled(ledger: Ledger, clock: Clock) -> None:
    """A cancel of an unknown window has no number, however often; what is announced after it has one."""
    first, second, third, fourth = await accepted(ledger, clock, 4)

    assert await said(ledger, first, OFF) is None
    assert await said(ledger, second, OFF) is None
    assert await said(ledger, third, FIRST) == 1
    assert await said(ledger, fourth, OFF) == 2
    assert await said(ledger, first, OFF) is None


async def test_of_two_events_the_one_accepted_later_is_right(ledger: Ledger, clock: Clock) -> None:
    """An event that is expanded late never raises the number with dates that are past."""
    first, second, third = await accepted(ledger, clock, 3)

    assert await said(ledger, third, MOVED) == 0
    assert await said(ledger, first, FIRST) is None
    assert await said(ledger, second, MOVED) == 0
    assert await said(ledger, third, MOVED) == 0


async def test_a_late_announcement_does_not_bring_back_what_was_cancelled(
    ledger: Ledger, clock: Clock
) -> None:
    """A cancel that is expanded before its announcement keeps that from being entered at all."""
    announced, cancelled = await accepted(ledger, clock, 2)

    assert await said(ledger, cancelled, OFF) is None
    assert await said(ledger, announced, FIRST) is None


async def test_windows_are_apart(ledger: Ledger, clock: Clock) -> None:
    """One event speaks of many windows, each with a history of its own."""
    one, both = await accepted(ledger, clock, 2)
    await ledger.windows.advance(one, FIRST, ["w1"])

    assert await ledger.windows.advance(both, MOVED, ["w2", "w1"]) == {
        "w1": Change(1, MOVED),
        "w2": Change(0, MOVED),
    }
    assert await ledger.windows.advance(both, MOVED, []) == {}


async def test_changes_side_by_side_never_share_a_number(ledger: Ledger, clock: Clock) -> None:
    """Of many events expanded at once each change has its own number, in the order of acceptance."""
    events = await accepted(ledger, clock, 12)
    uids = [f"w{number}" for number in range(40)]
    spoken = [
        Window(START + timedelta(hours=hour), START + timedelta(hours=hour + 1))
        for hour in range(len(events))
    ]
    found = await asyncio.gather(
        *(
            ledger.windows.advance(event, window, uids[index % 2 :])
            for index, (event, window) in enumerate(zip(events, spoken, strict=True))
        )
    )
    async with ledger.database.read() as connection:
        rows = (await connection.execute(select(windows).order_by(windows.c.uid, windows.c.sequence))).all()

    for uid in uids:
        history = [row for row in rows if row.uid == uid]
        assert [row.sequence for row in history] == list(range(len(history)))
        assert [row.event for row in history] == sorted(row.event for row in history)
    for event, changes in zip(events, found, strict=True):
        kept = {row.uid: row.sequence for row in rows if row.event == event}
        assert {uid: change.number for uid, change in changes.items()} == kept
    assert {row.event for row in rows if row.uid == "w39"} >= {events[-1]}


async def test_ten_thousand_windows_move_together(ledger: Ledger, clock: Clock) -> None:
    """An event about all instances is a few statements, not one for each of them."""
    first, moved = await accepted(ledger, clock, 2)
    uids = [f"window-{number:05}@fabrikam.example" for number in range(10_000)]
    statements: list[str] = []

    def note(*given: Any) -> None:
        statements.append(given[2])

    sqlalchemy_event.listen(ledger.database.engine.sync_engine, "before_cursor_execute", note)
    told = await ledger.windows.advance(first, FIRST, uids)
    again = await ledger.windows.advance(moved, MOVED, uids)

    assert set(told.values()) == {Change(0, FIRST)}
    assert set(again.values()) == {Change(1, MOVED)}
    assert len(told) == len(again) == len(uids)
    assert len(statements) < 60
