"""Cancel, replay and release, on the real ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from clock import Clock
from ledger_records import (
    DEFERRED,
    FAILED,
    LOST,
    SENT,
    claim,
    expanded,
    lapse,
    new_event,
    people,
)

from dispatcher.domain.delivery import OnUncertain, Outcome, Status
from dispatcher.domain.event import Event, EventStatus
from dispatcher.errors import InvalidInput, NotFound
from dispatcher.flow.explain import explain, tell
from dispatcher.flow.repair import cancel, carry_out, parse_since, plan_release, plan_replay
from dispatcher.ledger import Filter, Ledger, Recorded

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def of(ledger: Ledger, status: Status) -> list[str]:
    """The addresses of the deliveries that stand there."""
    return sorted(one.address for one in await ledger.deliveries.list(Filter(status=status)))


async def failed(ledger: Ledger, external_id: str, number: int = 2) -> Event:
    """An event whose deliveries all failed."""
    event = await expanded(ledger, people(number), new_event(external_id))
    await ledger.claims.record([Recorded(one, FAILED) for one in await claim(ledger)])
    return await ledger.events.get(event)


async def failed_event(ledger: Ledger, external_id: str) -> Event:
    """An event that could not be expanded."""
    (added,) = await ledger.events.add([new_event(external_id)])
    await ledger.expansions.fail(added.id, "its type is gone")
    return await ledger.events.get(added.id)


async def held(ledger: Ledger, external_id: str, number: int = 2) -> Event:
    """An event whose deliveries are all held, because nobody knows whether they arrived."""
    event = await expanded(ledger, people(number), new_event(external_id), on_uncertain=OnUncertain.HOLD)
    await ledger.claims.record([Recorded(one, LOST) for one in await claim(ledger)])
    return await ledger.events.get(event)


async def test_cancel_stops_what_waits_and_says_what_does_not(ledger: Ledger, clock: Clock) -> None:
    """Sent stays sent, what is on its way is counted, the rest is stopped; again changes nothing."""
    event = await expanded(ledger, people(6))
    one, two, _ = await claim(ledger, 3)
    await ledger.claims.record([Recorded(one, SENT), Recorded(two, FAILED)])
    first = await cancel(ledger, await ledger.events.get(event))
    at = clock()
    clock.advance(minutes=1)
    again = await cancel(ledger, await ledger.events.get(event))

    assert first.as_json() == {"event": event, "cancelled": 3, "sent": 1, "sending": 1}
    assert (first.before, first.doubtful, first.count(Status.FAILED)) == (None, 0, 1)
    assert again.as_json() == first.as_json()
    assert again.before == first.event.cancelled_at == at
    assert await claim(ledger) == []


async def test_cancel_waits_for_what_is_on_its_way(ledger: Ledger, clock: Clock) -> None:
    """What is answered meanwhile counts as sent; what is put off meanwhile is stopped, and told."""
    event = await expanded(ledger, people(3))
    one, two, three = await claim(ledger)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            later = clock() + timedelta(minutes=5)
            outcomes = [Recorded(one, SENT), Recorded(two, DEFERRED, later), Recorded(three, LOST, later)]
            await ledger.claims.record(outcomes)

    done = await cancel(ledger, await ledger.events.get(event), 5, sleep)

    assert len(slept) == 3
    assert done.as_json() == {"event": event, "cancelled": 2, "sent": 1, "sending": 0}
    assert done.doubtful == 1


async def test_cancel_does_not_wait_for_ever(ledger: Ledger) -> None:
    """A worker that does not report holds nobody up; its delivery is told as on its way."""
    event = await expanded(ledger, people(1))
    await claim(ledger)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    done = await cancel(ledger, await ledger.events.get(event), 5, sleep)

    assert sum(slept) == pytest.approx(5)
    assert done.count(Status.SENDING) == 1


async def test_cancel_before_anybody_was_mailed(ledger: Ledger) -> None:
    """An event that is not expanded never is; one that failed is not tried again."""
    (added,) = await ledger.events.add([new_event()])
    broken = await failed_event(ledger, "CHG-2")
    done = await cancel(ledger, await ledger.events.get(added.id))
    gone = await cancel(ledger, broken)

    assert [one.event.status for one in (done, gone)] == [EventStatus.RECORDED] * 2
    assert done.event.counts == {}
    assert gone.as_json() == {"event": broken.id, "cancelled": 0, "sent": 0, "sending": 0}
    assert await ledger.events.unexpanded(5) == []
    assert (await plan_replay(ledger, broken, None, None)).events == []


async def test_replay_puts_back_what_failed(ledger: Ledger, clock: Clock) -> None:
    """The plan says what would be done and changes nothing; carried out, it is due at once."""
    event = await failed(ledger, "CHG-1")
    await failed(ledger, "CHG-2", 1)
    plan = await plan_replay(ledger, event, None, None)

    assert [(one.event, one.type, one.deliveries) for one in plan.shares] == [
        (event.id, "planned-maintenance", 2)
    ]
    assert sorted(one.address for one in plan.shown) == people(2)
    assert {one.attempts[-1].reply for one in plan.shown} == {FAILED.reply}
    assert len(await of(ledger, Status.FAILED)) == 3

    clock.advance(hours=1)
    assert await carry_out(ledger, plan) == (2, 0)
    assert await carry_out(ledger, plan) == (0, 0)
    again = await claim(ledger)
    assert sorted(one.address for one in again) == people(2)
    assert {(one.tries, one.retry_from) for one in again} == {(0, clock())}


async def test_replay_takes_what_fulfils_every_condition(ledger: Ledger, clock: Clock) -> None:
    """Event, delivery and time narrow each other down."""
    early = await failed(ledger, "CHG-1")
    clock.advance(hours=2)
    late = await failed(ledger, "CHG-2", 1)
    since = clock() - timedelta(hours=1)
    (one, _) = await ledger.deliveries.list(Filter(event=early.id))
    plans = [
        await plan_replay(ledger, None, None, since),
        await plan_replay(ledger, early, None, since),
        await plan_replay(ledger, None, one.id, None),
        await plan_replay(ledger, late, one.id, None),
    ]

    assert [[share.event for share in plan.shares] for plan in plans] == [[late.id], [], [early.id], []]
    assert [plan.deliveries for plan in plans] == [1, 0, 1, 0]


async def test_replay_has_failed_events_expanded(ledger: Ledger) -> None:
    """An event that could not be expanded is accepted again, unless one delivery was asked for."""
    event = await failed_event(ledger, "CHG-1")
    other = await failed(ledger, "CHG-2", 1)
    plan = await plan_replay(ledger, None, None, NOON - timedelta(hours=1))
    narrow = await plan_replay(ledger, other, None, None)

    assert ([one.id for one in plan.events], narrow.events) == ([event.id], [])
    assert await carry_out(ledger, plan) == (1, 1)
    assert [one.id for one in await ledger.events.unexpanded(5)] == [event.id]


async def test_what_was_cancelled_stays(ledger: Ledger) -> None:
    """Failed deliveries of a cancelled event are counted and left alone; others go back."""
    event = await failed(ledger, "CHG-1")
    other = await failed(ledger, "CHG-2", 1)
    await cancel(ledger, event)
    plan = await plan_replay(ledger, None, None, NOON)

    assert [share.event for share in plan.shares] == [other.id]
    assert plan.left_out == 2
    assert [one.event for one in plan.shown] == [other.id]
    assert await carry_out(ledger, plan) == (1, 0)
    assert len(await of(ledger, Status.FAILED)) == 2


async def test_many_are_counted_and_not_listed(ledger: Ledger) -> None:
    """More than twenty deliveries are told by their number alone."""
    await failed(ledger, "CHG-1", 21)
    plan = await plan_replay(ledger, None, None, NOON)

    assert (plan.deliveries, plan.shown) == (21, ())


async def test_release_lets_go_of_what_is_held(ledger: Ledger) -> None:
    """By name, by event or all; each keeps its Message-ID and is known to be doubtful."""
    event = await held(ledger, "CHG-1", 3)
    await held(ledger, "CHG-2", 1)
    before = await ledger.deliveries.list(Filter(event=event.id))
    named = await plan_release(ledger, None, [before[0].id, before[1].id, before[0].id])
    of_event = await plan_release(ledger, event)
    all_ = await plan_release(ledger, None)

    assert [plan.deliveries for plan in (named, of_event, all_)] == [2, 3, 4]
    assert [(one.event, one.doubtful, one.poison) for one in named.shares] == [(event.id, 2, 0)]
    assert await carry_out(ledger, named) == (2, 0)
    assert {one.message_id for one in await claim(ledger)} == {one.message_id for one in before[:2]}
    assert len(await of(ledger, Status.HELD)) == 2


async def test_release_knows_poison(ledger: Ledger) -> None:
    """What ended three workers is marked; it may have arrived as well."""
    await expanded(ledger, people(1))
    for _ in range(3):
        await claim(ledger)
        await lapse(ledger)
    plan = await plan_release(ledger, None)

    assert [(one.deliveries, one.poison, one.doubtful) for one in plan.shares] == [(1, 1, 1)]
    assert [one.reason for one in plan.shown] == ["poison"]


async def test_what_is_over_is_known(ledger: Ledger, clock: Clock) -> None:
    """A delivery whose time has passed is counted: it goes back, and is not sent."""
    until = clock() + timedelta(hours=1)
    await expanded(ledger, people(1), expires_at=until)
    await ledger.claims.record([Recorded(one, FAILED) for one in await claim(ledger)])
    clock.advance(hours=2)
    plan = await plan_replay(ledger, None, None, NOON)

    assert [one.expired for one in plan.shares] == [1]
    await carry_out(ledger, plan)
    assert await claim(ledger) == []
    assert await of(ledger, Status.EXPIRED) == people(1)


async def test_a_delivery_that_stands_elsewhere_is_refused(ledger: Ledger, clock: Clock) -> None:
    """The refusal says where it stands and what fits instead; of several, all are told and none is moved."""
    event = await expanded(ledger, people(5))
    one, two, three, four = await claim(ledger, 4)
    later = clock() + timedelta(minutes=5)
    await ledger.claims.record(
        [Recorded(one, SENT), Recorded(two, DEFERRED, later), Recorded(three, FAILED), Recorded(four, LOST)]
    )
    with pytest.raises(InvalidInput) as replayed:
        await plan_replay(ledger, None, four.id, None)
    with pytest.raises(InvalidInput) as released:
        await plan_release(ledger, None, [one.id, two.id, three.id, four.id])

    assert f"Let it go: dispatcher release {four.id}." in str(replayed.value)
    told = [str(problem) for problem in released.value.problems]
    assert len(told) == 3
    assert "was sent. Hand in a new event" in told[0]
    assert "is deferred and goes out by itself, with its next try at 2026-03-01 12:05:00Z" in told[1]
    assert f"Try it again: dispatcher replay --delivery {three.id}." in told[2]

    await cancel(ledger, await ledger.events.get(event))
    with pytest.raises(InvalidInput, match="was cancelled"):
        await plan_release(ledger, None, [four.id])
    with pytest.raises(InvalidInput, match="is cancelled and is never sent"):
        await plan_release(ledger, None, [two.id])
    with pytest.raises(NotFound, match="dispatcher deliveries"):
        await plan_replay(ledger, None, "dlv_none", None)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-28", datetime(2026, 2, 28, tzinfo=UTC)),
        ("2026-03-01T10:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T10:00+01:00", datetime(2026, 3, 1, 9, tzinfo=UTC)),
        ("2026-03-01 10:00Z", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("90m", NOON - timedelta(minutes=90)),
        ("2h", NOON - timedelta(hours=2)),
        ("3d", NOON - timedelta(days=3)),
    ],
)
def test_a_moment_in_the_past(text: str, moment: datetime) -> None:
    """A date, a date and time, or a span back from now."""
    assert parse_since(text, NOON) == moment


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("yesterday", "is neither a date"),
        ("", "is neither a date"),
        ("-2h", "is neither a date"),
        ("2026-03-02", "lies in the future"),
        ("0001-01-01", "is not in the years"),
        ("2026-02-30", "is neither a date"),
    ],
)
def test_no_moment_in_the_past(text: str, what: str) -> None:
    """Anything else is refused, and says why."""
    with pytest.raises(ValueError, match=what):
        parse_since(text, NOON)


async def test_the_story_says_why_a_delivery_waits(ledger: Ledger) -> None:
    """One that came back because the server takes nothing says so, as long as no try says more."""
    event = await expanded(ledger, people(1))
    await ledger.claims.give_back(await claim(ledger), "relay_unreachable")
    (waits,) = await explain(ledger, event)
    outcome = Outcome(Status.DEFERRED, "relay_unreachable", 421, None, "Closing")
    await ledger.claims.record([Recorded(one, outcome, NOON) for one in await claim(ledger)])
    (tried,) = await explain(ledger, event)

    assert "    waits: the SMTP server takes nothing at present" in list(tell(waits))
    assert not [line for line in tell(tried) if "waits:" in line]
