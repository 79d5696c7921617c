from __future__ import annotations

from datetime import timedelta

import pytest
from clock import Clock
from ledger_records import (
    DEFERRED,
    FAILED,
    SENT,
    claim,
    expanded,
    expansion,
    new_event,
    people,
)

from dispatcher.domain.delivery import Status
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


async def test_what_waits_can_be_stopped(ledger: Ledger) -> None:
    """Deliveries that wait are taken out of the queue; one that is being sent is not."""
    await expanded(ledger, people(3))
    (sending,) = await claim(ledger, 1)
    ids = [one.id for one in await ledger.deliveries.list()]
    stopped = await ledger.deliveries.stop(ids, Status.CANCELLED, "withdrawn")
    listed = await ledger.deliveries.list(Filter(status=Status.CANCELLED))

    assert stopped == 2
    assert {(one.reason, one.next_try_at) for one in listed} == {("withdrawn", None)}
    assert await claim(ledger) == []
    assert await ledger.claims.record([Recorded(sending, SENT)]) == 0


async def test_what_is_held_can_be_released(ledger: Ledger) -> None:
    """Held and failed deliveries go back into the queue; those that were sent do not."""
    await expanded(ledger, people(3))
    one, two, three = await claim(ledger)
    await ledger.claims.record([Recorded(one, SENT), Recorded(two, FAILED), Recorded(three, DEFERRED)])
    ids = [one.id for one in await ledger.deliveries.list()]
    released = await ledger.deliveries.release(ids, "asked for")

    assert released == 2
    assert [one.address for one in await claim(ledger)] == people(3)[1:]
    assert await ledger.deliveries.stop([], Status.HELD, "") == 0


async def test_a_message_id_is_given_out_once(ledger: Ledger) -> None:
    """A Message-ID that is there already is a mistake, and nothing of its expansion is kept."""
    await expanded(ledger, people(1))
    (other,) = await ledger.events.add([new_event("CHG-2")])
    with pytest.raises(Exception, match="message_id"):
        await ledger.expansions.store(other.id, expansion(people(1), mark="changes.CHG-1"))

    assert [one.id for one in await ledger.events.unexpanded(5)] == [other.id]
    assert len(await ledger.deliveries.list()) == 1
