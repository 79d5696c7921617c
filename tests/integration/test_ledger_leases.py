from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from clock import Clock
from ledger_records import DEFERRED, FAILED, LEASE, LOST, SENT, claim, expanded, lapse, new_event, people
from postgres_server import PostgresServer
from proxy import Proxy
from slow import PATIENT
from sqlalchemy import make_url, select

from dispatcher.domain.delivery import Delivery, Lane, OnUncertain, Outcome, Status
from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger import Filter, Lease, Ledger, Recorded, Recovered
from dispatcher.ledger import leases as leases_module
from dispatcher.ledger.schema import deliveries


async def crashes(ledger: Ledger) -> dict[str, int]:
    """How many workers in a row went away over each address."""
    async with ledger.database.read() as connection:
        rows = await connection.execute(select(deliveries.c.address, deliveries.c.crashes))
        return {row.address: row.crashes for row in rows}


async def crash(ledger: Ledger, clock: Clock, times: int = 1) -> None:
    """Let workers claim everything and go away, so many one after the other."""
    for _ in range(times):
        await claim(ledger)
        clock.advance(seconds=31)
        await lapse(ledger)


@pytest.mark.parametrize(
    ("policy", "status"),
    [(OnUncertain.RESEND, Status.UNCERTAIN), (OnUncertain.HOLD, Status.HELD)],
)
async def test_what_a_lost_worker_was_sending_is_recovered(
    ledger: Ledger, clock: Clock, policy: OnUncertain, status: Status
) -> None:
    """When a lease has lapsed, the delivery has an attempt that says so, and is due or held."""
    await expanded(ledger, people(1), on_uncertain=policy)
    await claim(ledger)
    held = await ledger.leases.held("w")
    nothing = await ledger.leases.recover([])
    now = clock.advance(seconds=31)
    first = await ledger.leases.recover(held)
    again = await ledger.leases.recover(held)
    (delivery,) = await ledger.deliveries.list(with_attempts=True)

    assert held == [Lease("w1", now - timedelta(seconds=31) + LEASE)]
    assert (nothing, first, again) == (Recovered(), Recovered(1), Recovered())
    assert (delivery.status, delivery.reason, delivery.uncertain) == (status, "lease_expired", True)
    assert delivery.next_try_at == (now if policy is OnUncertain.RESEND else None)
    assert [(one.status, one.reason) for one in delivery.attempts] == [(Status.UNCERTAIN, "lease_expired")]
    assert "w1" in delivery.attempts[0].reply
    assert await ledger.leases.held("w") == []
    assert len(await claim(ledger)) == (1 if policy is OnUncertain.RESEND else 0)


async def test_the_clock_alone_ends_no_lease(ledger: Ledger, clock: Clock) -> None:
    """A lease that looks as if it had long ended holds, until somebody has watched it not being renewed."""
    await expanded(ledger, people(1))
    (one,) = await claim(ledger)
    clock.advance(days=2)

    assert await claim(ledger, worker="w2") == []
    assert await ledger.claims.renew([one], LEASE) == {one}
    assert await ledger.claims.record([Recorded(one, SENT)]) == 0


async def test_a_renewed_lease_is_left_alone(ledger: Ledger, clock: Clock) -> None:
    """What was renewed, or claimed anew, since it was seen is not taken from its worker."""
    await expanded(ledger, people(3))
    (one,) = await claim(ledger, 1)
    (two,) = await claim(ledger, 1, worker="w2")
    seen = await ledger.leases.held("w")
    clock.advance(seconds=20)
    ours = await ledger.claims.renew([one], LEASE)
    (three,) = await claim(ledger, 1)
    recovered = await ledger.leases.recover(seen)
    standing = {delivery.address: delivery.status for delivery in await ledger.deliveries.list()}

    assert {lease.worker for lease in seen} == {"w1", "w2"}
    assert ours == {one}
    assert recovered == Recovered(1)
    assert standing == {
        one.address: Status.SENDING,
        two.address: Status.UNCERTAIN,
        three.address: Status.SENDING,
    }
    assert await ledger.leases.held("w") == [Lease("w1", clock.now + LEASE)]


async def test_many_are_recovered_by_several_at_once(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recovering in parts, and by several processes at once, settles each delivery once."""
    monkeypatch.setattr(leases_module, "_RECOVER", 20)
    monkeypatch.setattr(leases_module, "_LEASES", 3)
    await expanded(ledger, people(100))
    for number in range(10):
        await claim(ledger, 10, worker=f"w{number}")
    clock.advance(minutes=1)
    seen = await ledger.leases.held("w")
    parts = await asyncio.gather(*(ledger.leases.recover(seen) for _ in range(5)))
    listed = await ledger.deliveries.list(with_attempts=True)

    assert len(seen) == 10
    assert sum(part.deliveries for part in parts) == 100
    assert {len(delivery.attempts) for delivery in listed} == {1}


async def test_a_late_outcome_counts_as_long_as_nobody_followed(ledger: Ledger, clock: Clock) -> None:
    """A worker that was taken for gone and reports after all is believed; the doubt stays on record."""
    await expanded(ledger, people(2))
    sent, failed = await claim(ledger)
    clock.advance(minutes=1)
    await lapse(ledger)
    refused = await ledger.claims.record([Recorded(sent, SENT), Recorded(failed, FAILED)])
    listed = await ledger.deliveries.list(with_attempts=True)

    assert refused == 0
    assert [one.status for one in listed] == [Status.FAILED, Status.SENT]
    assert {one.uncertain for one in listed} == {True}
    assert [[attempt.reason for attempt in one.attempts] for one in listed] == [
        ["lease_expired", "refused_permanently"],
        ["lease_expired", "accepted"],
    ]
    assert set((await crashes(ledger)).values()) == {0}


async def test_a_late_outcome_counts_even_for_what_was_set_aside(ledger: Ledger, clock: Clock) -> None:
    """A delivery that was held because its workers went away is sent if the last of them says so."""
    await expanded(ledger, people(1))
    await crash(ledger, clock, times=2)
    (one,) = await claim(ledger)
    await lapse(ledger)
    (poison,) = await ledger.deliveries.list()
    refused = await ledger.claims.record([Recorded(one, SENT)])
    (sent,) = await ledger.deliveries.list()

    assert (poison.status, poison.reason) == (Status.HELD, "poison")
    assert (refused, sent.status, sent.reason, sent.tries) == (0, Status.SENT, "accepted", 3)


@pytest.mark.parametrize("end", [Status.CANCELLED, Status.EXPIRED])
async def test_a_late_outcome_counts_even_after_the_end(ledger: Ledger, clock: Clock, end: Status) -> None:
    """What the server took is `sent`, though the event was cancelled, or was over, before we heard of it."""
    ours = await expanded(ledger, people(1), expires_at=clock.now + timedelta(seconds=30))
    (one,) = await claim(ledger)
    await lapse(ledger)
    if end is Status.CANCELLED:
        await ledger.events.cancel(ours)
    else:
        clock.advance(minutes=1)
    nothing = await claim(ledger)
    (ended,) = await ledger.deliveries.list()
    refused = await ledger.claims.record([Recorded(one, SENT)])
    again = await ledger.claims.record([Recorded(one, SENT)])
    (sent,) = await ledger.deliveries.list()

    assert (list(nothing), ended.status) == ([], end)
    assert (refused, again, sent.status, sent.uncertain) == (0, 1, Status.SENT, True)


async def committed_without_us(ledger: Ledger) -> Sequence[Delivery]:
    """The deliveries, once the server has done what nobody heard of."""
    async with asyncio.timeout(5 * PATIENT):
        while True:
            taken = await ledger.deliveries.list()
            if {one.status for one in taken} == {Status.SENDING}:
                return taken
            await asyncio.sleep(0.01)


async def test_claims_whose_commit_was_not_heard_of_are_given_back(
    postgres: PostgresServer, postgres_url: str, clock: Clock
) -> None:
    """The ledger has them, the worker does not know: its next claim has them anew, and nobody doubts."""
    async with Proxy.postgresql(postgres.directory) as proxy:
        name = str(make_url(postgres_url).database)
        ledger = await Ledger.open(f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}", clock=clock)
        try:
            await expanded(ledger, people(3))
            proxy.once(b"COMMIT;", "cut", passed=True)  # "READ COMMITTED" begins a transaction
            with pytest.raises(ServiceUnreachable):
                await claim(ledger)
            await proxy.restore()
            taken = await committed_without_us(ledger)
            clock.advance(seconds=1)
            claims = await claim(ledger)
            await ledger.claims.record([Recorded(one, SENT) for one in claims])
            sent = await ledger.deliveries.list()
        finally:
            await ledger.close()

    assert {one.status for one in taken} == {Status.SENDING}
    assert [one.tries for one in claims] == [0] * 3
    assert {(one.status, one.tries, one.uncertain) for one in sent} == {(Status.SENT, 1, False)}


async def test_a_ledger_that_takes_no_writes_shows_no_leases(
    postgres: PostgresServer, postgres_url: str, clock: Clock
) -> None:
    """Where nobody can renew, nobody may look: the living would be taken for dead."""
    ledger = await Ledger.open(postgres_url, clock=clock)
    await expanded(ledger, people(1))
    await claim(ledger)
    await ledger.close()
    name = str(make_url(postgres_url).database)
    await postgres.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    standby = await Ledger.open(postgres_url, clock=clock)
    try:
        with pytest.raises(ServiceUnreachable, match="accepts no writes"):
            await standby.leases.held("w")
        readable = await standby.deliveries.list()
    finally:
        await standby.close()

    assert [one.status for one in readable] == [Status.SENDING]


async def test_a_late_outcome_is_refused_once_a_person_decided(ledger: Ledger, clock: Clock) -> None:
    """What was released goes its own way again, whatever an old worker says."""
    await expanded(ledger, people(1), on_uncertain=OnUncertain.HOLD)
    (one,) = await claim(ledger)
    await lapse(ledger)
    await ledger.deliveries.requeue(Filter(status=Status.HELD), "released")

    assert await ledger.claims.record([Recorded(one, SENT)]) == 1
    assert [delivery.status for delivery in await ledger.deliveries.list()] == [Status.QUEUED]


async def test_what_ends_its_worker_three_times_is_set_aside(ledger: Ledger, clock: Clock) -> None:
    """Twice it is tried again; the third worker in a row that goes away leaves it held, as poison."""
    await expanded(ledger, people(1))
    seen = []
    for _ in range(3):
        await claim(ledger)
        clock.advance(seconds=31)
        seen.append(await lapse(ledger))
    (delivery,) = await ledger.deliveries.list(with_attempts=True)

    assert [one.poison for one in seen] == [(), (), (delivery.id,)]
    assert (delivery.status, delivery.reason, delivery.tries) == (Status.HELD, "poison", 3)
    assert [attempt.reason for attempt in delivery.attempts] == ["lease_expired"] * 3
    assert await claim(ledger) == []


@pytest.mark.parametrize("outcome", [DEFERRED, LOST])
async def test_any_word_of_a_delivery_clears_it(ledger: Ledger, clock: Clock, outcome: Outcome) -> None:
    """Only workers in a row count: one outcome between them, and the count begins anew."""
    await expanded(ledger, people(1))
    await crash(ledger, clock, times=2)
    before = await crashes(ledger)
    (one,) = await claim(ledger)
    await ledger.claims.record([Recorded(one, outcome, clock.now)])
    after = await crashes(ledger)
    await crash(ledger, clock, times=2)
    (delivery,) = await ledger.deliveries.list()

    assert (before, after) == ({people(1)[0]: 2}, {people(1)[0]: 0})
    assert (delivery.status, delivery.tries) == (Status.UNCERTAIN, 5)


async def test_giving_back_clears_nothing(ledger: Ledger, clock: Clock) -> None:
    """Where nothing was begun, nothing was heard of the delivery, and the count stands."""
    await expanded(ledger, people(1))
    await crash(ledger, clock, times=2)
    await ledger.claims.give_back(await claim(ledger))
    await crash(ledger, clock)
    (delivery,) = await ledger.deliveries.list()

    assert (delivery.reason, delivery.tries) == ("poison", 3)


async def test_suspects_are_handed_out_one_at_a_time(ledger: Ledger, clock: Clock) -> None:
    """A worker has one of them, beside others, and the next only once it is heard of that one."""
    await expanded(ledger, people(3))
    await crash(ledger, clock, times=2)
    clock.advance(seconds=1)
    await expanded(ledger, ["new@example.com", "other@example.com"], new_event("CHG-2"))
    await expanded(ledger, ["incident@example.com"], new_event("INC-1", lane=Lane.URGENT))

    def suspects(taken: Sequence[object]) -> set[str]:
        return {one.address for one in taken} & set(people(3))  # type: ignore[attr-defined]

    first = await claim(ledger, 2)
    second = await claim(ledger)
    third = await claim(ledger, worker="w2")
    (suspect,) = [one for one in first if one.address in people(3)]
    await ledger.claims.record([Recorded(suspect, SENT)])
    fourth = await claim(ledger)

    assert len(first) == 2
    assert [len(suspects(taken)) for taken in (first, second, third, fourth)] == [1, 0, 1, 1]
    assert [one.address for one in second] == ["other@example.com"]
    assert suspects(first) | suspects(third) | suspects(fourth) == set(people(3))
    assert len(await claim(ledger, lane=Lane.URGENT)) == 1


async def test_a_suspect_keeps_to_the_limit(ledger: Ledger, clock: Clock) -> None:
    """A claim of one is one, be it a suspect or not, and suspects that are barred are settled."""
    await expanded(ledger, people(2), expires_at=clock.now + timedelta(hours=1))
    await crash(ledger, clock, times=2)
    await expanded(ledger, ["new@example.com"], new_event("CHG-2"))
    only = await claim(ledger, 1)
    await ledger.claims.give_back(only)
    clock.advance(hours=1)
    after = await claim(ledger, 1)

    assert [one.address in people(2) for one in only] == [True]
    assert [one.address for one in after] == ["new@example.com"]
    assert len(await ledger.deliveries.list(Filter(status=Status.EXPIRED))) == 2


async def test_the_culprit_is_found(ledger: Ledger, clock: Clock) -> None:
    """Of many that a worker was sending when it went away, the one to blame is set aside alone."""
    await expanded(ledger, people(20))
    culprit = people(20)[7]
    while taken := await claim(ledger):
        clock.advance(seconds=31)
        if any(one.address == culprit for one in taken):
            await lapse(ledger)
        else:
            await ledger.claims.record([Recorded(one, SENT) for one in taken])
    listed = await ledger.deliveries.list()

    assert {one.address for one in listed if one.status is Status.HELD} == {culprit}
    assert {one.status for one in listed if one.address != culprit} == {Status.SENT}
