from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from clock import Clock
from ledger_records import (
    DEFERRED,
    FAILED,
    LOST,
    SENT,
    claim,
    expanded,
    expansion,
    lapse,
    new_event,
    people,
)

from dispatcher.domain.delivery import OnUncertain, Outcome, Status
from dispatcher.ledger import Filter, Ledger, Recorded
from dispatcher.ledger import deliveries as deliveries_module


async def test_deliveries_are_found_by_what_is_known_of_them(ledger: Ledger, clock: Clock) -> None:
    """An event, an address in any spelling, a status and a Message-ID each narrow the list."""
    one = await expanded(ledger, ["Ada@example.com", "bob@example.com"])
    clock.advance(seconds=1)
    await expanded(ledger, ["ada@example.com"], new_event("CHG-2"))
    first = (await claim(ledger, 1))[0]
    await ledger.claims.record([Recorded(first, FAILED)])

    async def addresses(wanted: Filter) -> list[str]:
        return [delivery.address for delivery in await ledger.deliveries.list(wanted)]

    assert await addresses(Filter(event=one)) == ["bob@example.com", "Ada@example.com"]
    assert await addresses(Filter(address="ADA@EXAMPLE.COM")) == ["ada@example.com", "Ada@example.com"]
    assert await addresses(Filter(status=Status.FAILED)) == ["Ada@example.com"]
    assert await addresses(Filter(event=one, status=Status.FAILED)) == ["Ada@example.com"]
    assert await addresses(Filter(status=Status.QUEUED)) == ["ada@example.com", "bob@example.com"]
    assert await addresses(Filter(message_id=first.message_id)) == ["Ada@example.com"]
    assert await addresses(Filter(address="eve@example.com\x00")) == []
    assert len(await ledger.deliveries.list(limit=2)) == 2
    assert await ledger.deliveries.counts(one) == {Status.FAILED: 1, Status.QUEUED: 1}


@pytest.mark.parametrize("number", [0, 9, 10, 25])
async def test_a_stream_is_the_whole_list(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Page by page comes out what a list holds at once, in its order, with the attempts."""
    monkeypatch.setattr(deliveries_module, "_PAGE", 10)
    event = await expanded(ledger, people(number)) if number else ""
    clock.advance(seconds=1)
    await expanded(ledger, people(3), new_event("CHG-2"))
    await ledger.claims.record([Recorded(one, SENT) for one in await claim(ledger, 7)])
    wanted = Filter(event=event)
    streamed = [one async for one in ledger.deliveries.stream(wanted, with_attempts=True)]

    assert len(streamed) == number
    assert streamed == await ledger.deliveries.list(wanted, with_attempts=True)


async def test_a_thread_knows_whom_it_told(ledger: Ledger, clock: Clock) -> None:
    """The newest delivery per instance and address of the thread's events counts, if it went out."""
    first = new_event("CHG-1", thread="CHG")
    await expanded(ledger, ["ada@example.com", "bob@example.com", "eve@example.com"], first)
    claims = {one.address: one for one in await claim(ledger)}
    await ledger.claims.record(
        [
            Recorded(claims["ada@example.com"], SENT),
            Recorded(claims["bob@example.com"], DEFERRED, clock.now + timedelta(hours=1)),
            Recorded(claims["eve@example.com"], FAILED),
        ]
    )
    clock.advance(hours=1)
    second = await expanded(ledger, ["ADA@example.com"], new_event("CHG-2", thread="CHG"))
    await expanded(ledger, ["joe@example.com"], new_event("CHG-3", thread="CHG", type_="news"))
    await expanded(ledger, ["kim@example.com"], new_event("CHG-4", thread="other"))
    told = await ledger.deliveries.told("CHG", ["planned-maintenance"])

    assert [one.address for one in told] == ["ADA@example.com", "bob@example.com"]
    assert told[0].event == second
    assert len(await ledger.deliveries.told("CHG", ["planned-maintenance", "news"])) == 3
    assert await ledger.deliveries.told("none", ["news"]) == []
    assert await ledger.deliveries.told("CHG", []) == []


async def test_what_waits_is_cancelled(ledger: Ledger, clock: Clock) -> None:
    """An event's deliveries that wait are taken out of the queue, and no others."""
    event = await expanded(ledger, people(5))
    clock.advance(seconds=1)
    other = await expanded(ledger, people(2), new_event("CHG-2"))
    sent, failed, deferred, lost = await claim(ledger, 4)
    later = clock.advance(minutes=1)
    await ledger.claims.record(
        [
            Recorded(sent, SENT),
            Recorded(failed, FAILED),
            Recorded(deferred, DEFERRED, later),
            Recorded(lost, LOST, later),
        ]
    )
    await ledger.events.cancel(event)
    cancelled = await ledger.deliveries.cancel(event)
    again = await ledger.deliveries.cancel(event)
    listed = await ledger.deliveries.list(Filter(status=Status.CANCELLED))

    assert (cancelled, again) == (3, 0)
    assert {(one.reason, one.next_try_at, one.updated_at) for one in listed} == {("cancelled", None, later)}
    assert [(one.tries, one.uncertain) for one in listed[::-1]] == [(1, False), (1, True), (0, False)]
    assert await ledger.deliveries.counts(event) == {
        Status.SENT: 1,
        Status.FAILED: 1,
        Status.CANCELLED: 3,
    }
    assert [one.event for one in await claim(ledger)] == [other, other]


async def test_what_is_being_sent_is_not_cancelled(ledger: Ledger, clock: Clock) -> None:
    """A delivery on its way ends as it ends; if it is put off, no worker gets it again."""
    event = await expanded(ledger, people(3))
    sent, deferred, given = await claim(ledger)
    await ledger.events.cancel(event)
    cancelled = await ledger.deliveries.cancel(event)
    refused = await ledger.claims.record([Recorded(sent, SENT), Recorded(deferred, DEFERRED, clock.now)])
    await ledger.claims.give_back([given])
    taken = await claim(ledger)
    listed = {one.address: one for one in await ledger.deliveries.list(with_attempts=True)}

    assert (cancelled, refused, taken) == (0, 0, [])
    assert [listed[address].status for address in people(3)] == [
        Status.SENT,
        Status.CANCELLED,
        Status.CANCELLED,
    ]
    assert [listed[address].tries for address in people(3)] == [1, 1, 0]
    assert [len(listed[address].attempts) for address in people(3)] == [1, 1, 0]
    assert {listed[address].reason for address in people(3)[1:]} == {"cancelled"}


async def test_an_event_is_cancelled_while_it_is_sent(ledger: Ledger) -> None:
    """Each delivery either goes to one worker or is cancelled, and what comes later gets none."""
    event = await expanded(ledger, people(300))

    async def withdraw() -> int:
        await ledger.events.cancel(event)
        return await ledger.deliveries.cancel(event)

    work = [claim(ledger, 10, worker=f"w{number}") for number in range(20)]
    taken, cancelled = await asyncio.gather(asyncio.gather(*work), withdraw())
    ids = [one.id for claims in taken for one in claims]
    counts = await ledger.deliveries.counts(event)

    assert len(ids) == len(set(ids)) == counts.get(Status.SENDING, 0)
    assert len(ids) + counts[Status.CANCELLED] == 300
    assert cancelled <= counts[Status.CANCELLED]
    assert await claim(ledger, 300) == []


async def test_many_are_cancelled_in_parts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, each is cancelled once and counted once."""
    monkeypatch.setattr(deliveries_module, "_IDS", 10)
    event = await expanded(ledger, people(35))
    await ledger.events.cancel(event)
    counts = await asyncio.gather(*(ledger.deliveries.cancel(event) for _ in range(3)))

    assert sum(counts) == 35
    assert await ledger.deliveries.counts(event) == {Status.CANCELLED: 35}


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [(Status.FAILED, FAILED, "replayed"), (Status.HELD, LOST, "released")],
)
async def test_what_was_set_aside_goes_back(
    ledger: Ledger,
    clock: Clock,
    status: Status,
    outcome: Outcome,
    reason: Literal["replayed", "released"],
) -> None:
    """Failed or held deliveries are due anew, with all their tries before them; others stay."""
    await expanded(ledger, people(4), on_uncertain=OnUncertain.HOLD)
    made = clock.now
    sent, put_off, one, two = await claim(ledger)
    later = clock.advance(days=5)
    await ledger.claims.record(
        [
            Recorded(sent, SENT),
            Recorded(put_off, DEFERRED, later + timedelta(hours=1)),
            Recorded(one, outcome),
            Recorded(two, outcome),
        ]
    )
    now = clock.advance(minutes=1)
    requeued = await ledger.deliveries.requeue(Filter(status=status), reason)
    again = await ledger.deliveries.requeue(Filter(status=status), reason)
    listed = await ledger.deliveries.list(Filter(status=Status.QUEUED), with_attempts=True)
    taken = await claim(ledger)

    assert (requeued, again) == (2, 0)
    assert [one.address for one in taken] == people(4)[2:]
    assert {(one.reason, one.tries, one.next_try_at, one.updated_at) for one in listed} == {
        (reason, 0, now, now)
    }
    assert {len(one.attempts) for one in listed} == {1}
    assert {(one.tries, one.created_at, one.retry_from, one.fence) for one in taken} == {(0, made, now, 2)}


async def test_a_released_suspect_starts_anew(ledger: Ledger, clock: Clock) -> None:
    """What was set aside as poison may end two more workers before it is set aside again."""
    await expanded(ledger, people(2))
    for _ in range(4):
        await claim(ledger)
        await lapse(ledger)
    before = await ledger.deliveries.list(Filter(status=Status.HELD))
    await ledger.deliveries.requeue(Filter(status=Status.HELD), "released")
    taken = await claim(ledger)
    await lapse(ledger)

    assert [one.reason for one in before] == ["poison", "poison"]
    assert len(taken) == 2
    assert {(one.status, one.tries, one.uncertain) for one in await ledger.deliveries.list()} == {
        (Status.UNCERTAIN, 1, True)
    }


@pytest.mark.parametrize("status", [None, *sorted(set(Status) - {Status.HELD, Status.FAILED})])
async def test_only_what_was_set_aside_goes_back(ledger: Ledger, status: Status | None) -> None:
    """A filter that may mean anything else is a mistake, and nothing moves."""
    await expanded(ledger, people(1))
    with pytest.raises(ValueError, match="held and failed"):
        await ledger.deliveries.requeue(Filter(status=status), "replayed")


async def test_what_goes_back_can_be_chosen(ledger: Ledger, clock: Clock) -> None:
    """By event, by delivery and by when it changed."""
    one = await expanded(ledger, people(2))
    clock.advance(seconds=1)
    two = await expanded(ledger, people(3), new_event("CHG-2"))
    claims = await claim(ledger)
    await ledger.claims.record([Recorded(each, FAILED) for each in claims[:3]])
    later = clock.advance(hours=1)
    await ledger.claims.record([Recorded(each, FAILED) for each in claims[3:]])
    failed = Filter(status=Status.FAILED)

    async def tally(wanted: Filter) -> dict[str, int]:
        return Counter(row.event for row in await ledger.deliveries.list(wanted))

    assert await tally(failed) == {one: 2, two: 3}
    assert await tally(replace(failed, since=later)) == {two: 2}
    assert await tally(replace(failed, since=later + timedelta(microseconds=1))) == {}
    assert await tally(replace(failed, id=claims[0].id)) == {one: 1}
    assert await tally(replace(failed, id="\x00")) == {}
    assert await ledger.deliveries.requeue(replace(failed, since=later), "replayed") == 2
    assert await ledger.deliveries.requeue(replace(failed, id=claims[0].id), "replayed") == 1
    assert await tally(failed) == {one: 1, two: 1}
    assert await ledger.deliveries.requeue(replace(failed, event=two), "replayed") == 1
    assert await tally(Filter()) == {one: 2, two: 3}


async def test_many_go_back_in_parts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, each goes back once and is counted once."""
    monkeypatch.setattr(deliveries_module, "_IDS", 10)
    await expanded(ledger, people(30))
    await ledger.claims.record([Recorded(one, FAILED) for one in await claim(ledger)])
    wanted = Filter(status=Status.FAILED)
    counts = await asyncio.gather(*(ledger.deliveries.requeue(wanted, "replayed") for _ in range(3)))

    assert sum(counts) == 30
    assert len(await claim(ledger)) == 30


async def test_a_message_id_is_given_out_once(ledger: Ledger) -> None:
    """A Message-ID that is there already is a mistake, and nothing of its expansion is kept."""
    await expanded(ledger, people(1))
    (other,) = await ledger.events.add([new_event("CHG-2")])
    with pytest.raises(Exception, match="message_id"):
        await ledger.expansions.store(other.id, expansion(people(1), mark="changes.CHG-1"))

    assert [one.id for one in await ledger.events.unexpanded(5)] == [other.id]
    assert len(await ledger.deliveries.list()) == 1
