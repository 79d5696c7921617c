from __future__ import annotations

import asyncio
from datetime import timedelta

from clock import Clock
from ledger_records import DEFERRED, FAILED, LEASE, LOST, SENT, claim, expanded, lapse, new_event, people

from dispatcher.domain.delivery import Lane, OnUncertain, Status
from dispatcher.ledger import Backlog, Due, Filter, Ledger, Recorded
from dispatcher.ledger.backlog import Share, Unexpanded


async def test_an_empty_ledger_has_no_backlog(ledger: Ledger) -> None:
    """Where nothing waits, every number is zero and no moment is named."""
    assert await ledger.backlog.look() == Backlog(
        events=0, oldest_event=None, due={}, later=0, next_try_at=None, sending=0, trouble={}
    )
    assert await ledger.backlog.oldest_due() is None
    assert await ledger.backlog.due_lanes(ledger.database.now()) == []


async def test_the_backlog_says_what_waits_and_since_when(ledger: Ledger, clock: Clock) -> None:
    """Events to expand, what is due by lane, what waits for later, what is on its way, what went wrong."""
    start = clock.now
    await expanded(ledger, people(7))
    sent, failed, held, soon, late, _sending = await claim(ledger, 6)
    await ledger.claims.record(
        [
            Recorded(sent, SENT),
            Recorded(failed, FAILED),
            Recorded(held, LOST),
            Recorded(soon, LOST, start + timedelta(minutes=6)),
            Recorded(late, DEFERRED, start + timedelta(minutes=9)),
        ]
    )
    accepted = clock.advance(minutes=1)
    await ledger.events.add([new_event("CHG-8")])
    clock.advance(minutes=1)
    await ledger.events.add([new_event("CHG-9")])
    await expanded(ledger, people(3), new_event("INC-1", lane=Lane.URGENT))

    assert await ledger.backlog.look() == Backlog(
        events=2,
        oldest_event=accepted,
        due={Lane.NORMAL: Due(1, start), Lane.URGENT: Due(3, clock.now)},
        later=2,
        next_try_at=start + timedelta(minutes=6),
        sending=1,
        trouble={Status.FAILED: 1, Status.HELD: 1, Status.UNCERTAIN: 1, Status.DEFERRED: 1},
        untouched=Unexpanded(2, accepted),
    )
    clock.now = start + timedelta(minutes=6)
    backlog = await ledger.backlog.look()
    assert backlog.due[Lane.NORMAL] == Due(2, start)
    assert (backlog.later, backlog.next_try_at) == (1, start + timedelta(minutes=9))


async def test_the_ledger_knows_which_lanes_are_due(ledger: Ledger, clock: Clock) -> None:
    """Lanes with something due are named, most urgent first."""
    start = clock.now
    await expanded(ledger, people(1))
    await expanded(ledger, people(1), new_event("INC-1", lane=Lane.URGENT))
    (one,) = await claim(ledger)
    later = start + timedelta(minutes=5)
    await ledger.claims.record([Recorded(one, DEFERRED, later)])

    assert await ledger.backlog.due_lanes(start) == [Lane.URGENT]
    assert await ledger.backlog.due_lanes(later) == [Lane.URGENT, Lane.NORMAL]


async def test_the_oldest_that_is_due_is_known(ledger: Ledger, clock: Clock) -> None:
    """Of all lanes, what has waited longest; what waits for a later try does not count."""
    start = clock.now
    await expanded(ledger, people(1))
    clock.advance(minutes=1)
    await expanded(ledger, people(1), new_event("INC-1", lane=Lane.URGENT))
    first = await ledger.backlog.oldest_due()
    (one,) = await claim(ledger)
    second = await ledger.backlog.oldest_due()
    await claim(ledger, lane=Lane.URGENT)
    later = start + timedelta(minutes=5)
    await ledger.claims.record([Recorded(one, DEFERRED, later)])
    third = await ledger.backlog.oldest_due()
    clock.now = later + timedelta(minutes=1)

    assert (first, second, third) == (start, start + timedelta(minutes=1), None)
    assert await ledger.backlog.oldest_due() == later


async def test_a_clock_that_is_set_back_makes_nothing_wait(ledger: Ledger, clock: Clock) -> None:
    """What was never tried is due at once; what waits for a later try waits for it still."""
    await expanded(ledger, people(3))
    (one,) = await claim(ledger, 1)
    later = clock.now + timedelta(minutes=5)
    await ledger.claims.record([Recorded(one, DEFERRED, later)])
    unmoved = await ledger.backlog.due_at_once(LEASE)
    clock.advance(hours=-1)
    before = await claim(ledger)
    told = await ledger.backlog.due_at_once(LEASE)
    again = await ledger.backlog.due_at_once(LEASE)
    backlog = await ledger.backlog.look()

    assert (unmoved, before, told, again) == (0, [], 2, 0)
    assert backlog.due == {Lane.NORMAL: Due(2, clock.now)}
    assert (backlog.later, backlog.next_try_at) == (1, later)
    assert [one.address for one in await claim(ledger)] == people(3)[1:]


async def test_several_may_notice_a_clock_that_was_set_back(ledger: Ledger, clock: Clock) -> None:
    """Each delivery is due at once, is counted once, and keeps nobody waiting."""
    await expanded(ledger, people(100))
    clock.advance(hours=-1)
    told = await asyncio.gather(*(ledger.backlog.due_at_once(LEASE) for _ in range(5)))

    assert sum(told) == 100
    assert len(await claim(ledger, 200)) == 100


async def test_what_somebody_would_move_is_told_event_by_event(ledger: Ledger, clock: Clock) -> None:
    """How many there are, how many may have arrived, ended their workers or come too late."""
    over = clock.now + timedelta(hours=1)
    hold = OnUncertain.HOLD
    one = await expanded(ledger, people(3), on_uncertain=hold, expires_at=over)
    clock.advance(seconds=1)
    two = await expanded(ledger, people(4), new_event("CHG-2"))
    first, second, third, *others = await claim(ledger)
    await ledger.claims.record(
        [Recorded(first, FAILED), Recorded(second, LOST), Recorded(third, SENT)]
        + [Recorded(other, DEFERRED, clock.now) for other in others[:3]]
        + [Recorded(others[3], FAILED)]
    )
    for _ in range(5):
        await claim(ledger)
        await lapse(ledger)
    await ledger.events.cancel(two)
    held, failed = Filter(status=Status.HELD), Filter(status=Status.FAILED)
    early = await ledger.backlog.shares(failed)
    clock.now = over

    assert early == [
        Share(one, "planned-maintenance", False, 1, 0, 0, 0, 0),
        Share(two, "planned-maintenance", True, 1, 0, 0, 0, 0),
    ]
    assert await ledger.backlog.shares(failed) == [
        Share(one, "planned-maintenance", False, 1, 0, 0, 1, 0),
        Share(two, "planned-maintenance", True, 1, 0, 0, 0, 0),
    ]
    assert await ledger.backlog.shares(held) == [
        Share(one, "planned-maintenance", False, 1, 1, 0, 1, 0),
        Share(two, "planned-maintenance", True, 3, 3, 3, 0, 0),
    ]
    assert await ledger.backlog.shares(Filter(event="evt_none")) == []
