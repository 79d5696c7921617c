"""Two processes want the same plan, step or message at the same moment; each has a pool of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from clock import Clock
from ledger_records import LEASE, new_event
from plan_records import ANCHOR, Books, Rules, key_of, said, told

from dispatcher.domain.event import NewEvent
from dispatcher.domain.plan import PlanState, StepStatus
from dispatcher.domain.webhook import WebhookStatus
from dispatcher.errors import EventInvalid
from dispatcher.ledger import Added, Ledger

Processes = tuple[Ledger, Ledger]


@pytest.fixture
async def two(database_url: str, clock: Clock) -> AsyncIterator[Processes]:
    """Two ledgers on one database, as two processes have them."""
    one, other = await Ledger.open(database_url, clock=clock), await Ledger.open(database_url, clock=clock)
    yield one, other
    await one.close()
    await other.close()


async def every(*calls: Awaitable[Any]) -> list[Any]:
    """What each call came to, its error if it failed."""
    async with asyncio.timeout(60):
        return list(await asyncio.gather(*calls, return_exceptions=True))


async def test_one_of_many_moves_wins(two: Processes) -> None:
    """Of twenty dates for one plan each is taken after the one before: no revision is lost or doubled."""
    await two[0].events.add([said("scheduled")], advancer=Rules())
    moves = [
        said("rescheduled", id_=f"move-{number}", at=ANCHOR + timedelta(days=number))
        for number in range(1, 21)
    ]
    done = await every(
        *(two[number % 2].events.add([event], advancer=Rules()) for number, event in enumerate(moves))
    )
    (plan,) = await two[0].plans.list()
    taken = await two[0].plans.moves(plan.id)

    assert not [one for one in done if isinstance(one, BaseException)]
    assert (plan.revision, plan.version, len(plan.steps)) == (21, 21, 63)
    assert [move.revision for move in taken] == list(range(1, 22))
    assert [move.before for move in taken[1:]] == [move.after for move in taken[:-1]]
    assert [step.revision for step in plan.steps if step.status is StepStatus.PENDING] == [21] * 3


async def test_one_of_many_beginnings_wins(two: Processes) -> None:
    """Of twenty events that would each make the plan, one does and the others are refused."""
    done = await every(
        *(
            two[number % 2].events.add([said("scheduled", id_=f"new-{number}")], advancer=Rules())
            for number in range(20)
        )
    )
    (plan,) = await two[0].plans.list()

    assert sum(isinstance(one, EventInvalid) for one in done) == 19
    assert (plan.version, len(await two[0].events.list())) == (1, 1)


async def test_a_repeat_at_the_same_moment_moves_once(two: Processes) -> None:
    """The same event from twenty callers moves its plan once, and all get its id."""
    event = said("scheduled")
    done = await every(*(two[number % 2].events.add([event], advancer=Rules()) for number in range(20)))
    added = [one[0] for one in done if isinstance(one, list)]
    (plan,) = await two[0].plans.list()

    assert len({one.id for one in added}) == 1
    assert [one.duplicate for one in added].count(False) == 1
    assert (len(added), plan.version, len(await two[0].plans.moves(plan.id))) == (20, 1, 1)


async def test_batches_about_the_same_plans_in_opposite_orders_both_pass(two: Processes) -> None:
    """No two transactions wait for each other, whatever plans and events they share."""
    names = [f"i{number:02}" for number in range(30)]
    await two[0].events.add([said("scheduled", *names)], advancer=Rules())

    def batch(turn: int) -> Sequence[NewEvent]:
        later = ANCHOR + timedelta(days=turn)
        moves = [said("rescheduled", name, id_=f"{name}-{turn}", at=later) for name in names]
        shared = [new_event(f"CHG-{number}") for number in range(30)]
        mixed = [event for pair in zip(moves, shared, strict=True) for event in pair]
        return mixed[::-1] if turn % 2 else mixed

    done = await every(
        *(two[turn % 2].events.add(batch(turn), advancer=Rules()) for turn in range(1, 7)),
        *(two[turn % 2].events.add([new_event(f"CHG-{turn}")]) for turn in range(30)),
    )
    plans = await two[0].plans.list(limit=100)

    assert not [one for one in done if isinstance(one, BaseException)]
    assert {(plan.revision, plan.version) for plan in plans} == {(7, 7)}


async def test_workers_that_tell_the_same_steps_make_one_event_each(two: Processes, clock: Clock) -> None:
    """Ten workers that found the same due steps tell each of them once."""
    names = [f"i{number:02}" for number in range(20)]
    await two[0].events.add([said("scheduled", *names)], advancer=Rules())
    due = await two[0].plans.due(clock.now, 100)
    books = Books()

    async def tell(number: int) -> Sequence[Added]:
        batch = [told(one.key) for one in due]
        order = batch[::-1] if number % 2 else batch
        return await two[number % 2].events.add(order, observers=[books])

    done = await every(*(tell(number) for number in range(10)))
    added = [one for batch in done if isinstance(batch, list) for one in batch]
    events = [event for event in await two[0].events.list(limit=100) if event.source == "dispatcher:plans"]
    plans = await two[0].plans.list(limit=100)

    assert len(added) == 200
    assert sum(not one.duplicate for one in added) == len(events) == len(books.seen) == 20
    assert {one.id for one in added} == {event.id for event in events} == {p.steps[0].event for p in plans}
    assert {plan.version for plan in plans} == {2}


async def test_a_step_is_either_told_or_superseded(two: Processes, clock: Clock) -> None:
    """While plans are moved and their steps told, each step ends as one of both, and has an event if told."""
    names = [f"i{number:02}" for number in range(20)]
    await two[0].events.add([said("scheduled", *names)], advancer=Rules())
    due = await two[0].plans.due(clock.now, 100)
    later = ANCHOR + timedelta(days=9)
    calls = [
        call
        for one in due
        for call in (
            two[0].events.add([told(one.key)]),
            two[1].events.add(
                [said("rescheduled", one.plan.key.instance, id_=one.plan.id, at=later)], advancer=Rules()
            ),
        )
    ]
    done = await every(*calls)
    events = {event.id for event in await two[0].events.list(limit=100) if event.source != "changes"}
    steps = [plan.steps[0] for plan in await two[0].plans.list(limit=100)]

    assert not [one for one in done if isinstance(one, BaseException)]
    assert {step.status for step in steps} <= {StepStatus.SENT, StepStatus.SUPERSEDED}
    assert {step.event for step in steps if step.status is StepStatus.SENT} == events


async def test_a_cadence_that_changes_takes_nothing_back(two: Processes, clock: Clock) -> None:
    """A plan that is written anew while its step is told or its end is said is not as it was before."""
    await two[0].events.add([said("scheduled")], advancer=Rules())
    (due,) = await two[0].plans.due(clock.now, 10)
    anew = replace(due.plan, cadence_digest="d2")
    results = await every(
        two[0].events.add([told(due.key)]),
        two[1].plans.replace([anew]),
        two[0].events.add([said("cancelled")], advancer=Rules()),
        two[1].plans.replace([anew]),
    )
    (plan,) = await two[0].plans.list()

    assert not [one for one in results if isinstance(one, BaseException)]
    assert plan.state is PlanState.CANCELLED
    assert await two[0].plans.find([key_of()]) == {key_of(): plan}
    assert plan.steps[0].status in {StepStatus.SENT, StepStatus.SUPERSEDED}
    assert {step.status for step in plan.steps[1:]} == {StepStatus.SUPERSEDED}


async def test_a_message_is_tried_by_one_worker_at_a_time(two: Processes, clock: Clock) -> None:
    """Twenty claims of ten messages get each of them once, and again only when the lease is over."""
    async with two[0].database.write() as transaction:
        await two[0].webhooks.add(
            transaction, [("update.approved", {"n": number}) for number in range(10)], clock.now
        )
    done = await every(*(two[number % 2].webhooks.claim(LEASE) for number in range(20)))
    clock.now += LEASE
    first = await two[0].webhooks.claim(LEASE)

    assert not [one for one in done if isinstance(one, BaseException)]
    assert len({one.id for one in done if one is not None}) == 10
    assert first is not None
    assert first.tries == 1


async def test_an_outcome_of_a_lapsed_try_is_not_believed(two: Processes, clock: Clock) -> None:
    """Who was too slow cannot settle what another tries now, nor unsettle what another settled."""
    async with two[0].database.write() as transaction:
        await two[0].webhooks.add(transaction, [("update.approved", {})], clock.now)
    slow = await two[0].webhooks.claim(LEASE)
    clock.now += LEASE
    quick = await two[1].webhooks.claim(LEASE)
    assert slow is not None
    assert quick is not None
    late = await two[0].webhooks.settle(slow, WebhookStatus.FAILED, "timed out")
    taken = await two[1].webhooks.settle(quick, WebhookStatus.SENT, "204")
    again = await two[1].webhooks.settle(quick, WebhookStatus.FAILED, "timed out")
    (message,) = await two[0].webhooks.list()

    assert (late, taken, again) == (False, True, False)
    assert (message.status, message.reply, message.next_try_at) == (WebhookStatus.SENT, "204", None)
