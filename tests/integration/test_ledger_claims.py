from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from clock import Clock
from ledger_records import (
    DEFERRED,
    FAILED,
    LEASE,
    LOST,
    SENT,
    claim,
    expanded,
    new_event,
    people,
)

from dispatcher.domain.delivery import Attempt, Lane, OnUncertain, Status
from dispatcher.ledger import Filter, Ledger, Recorded, VariantContent
from dispatcher.ledger import claims as claims_module


async def statuses(ledger: Ledger) -> dict[str, Status]:
    return {one.address: one.status for one in await ledger.deliveries.list()}


async def test_a_claim_holds_what_is_needed_to_send(ledger: Ledger, clock: Clock) -> None:
    """A claimed delivery is being sent, and the claim says all about it."""
    event = await expanded(ledger, people(1), on_uncertain=OnUncertain.HOLD)
    made = clock.now
    clock.advance(seconds=5)
    (one,) = await claim(ledger)
    (delivery,) = await ledger.deliveries.list()

    assert (one.id, one.event, one.type) == (delivery.id, event, "planned-maintenance")
    assert (one.instance, one.address, one.name) == ("contoso-prod", people(1)[0], "Ada")
    assert (one.language, one.sender, one.lane) == ("de", "operations", Lane.NORMAL)
    assert (one.message_id, one.created_at) == (delivery.message_id, made)
    assert (one.fence, one.tries, one.on_uncertain) == (1, 0, OnUncertain.HOLD)
    assert (delivery.status, delivery.tries, delivery.next_try_at) == (Status.SENDING, 1, None)
    assert await ledger.claims.content([one.variant]) == {
        one.variant: VariantContent("Wartung ■", b"<html>" + b"x" * 5000)
    }


async def test_only_what_is_due_in_that_lane_is_claimed(ledger: Ledger, clock: Clock) -> None:
    """Other lanes, later tries and more than the limit stay where they are."""
    await expanded(ledger, people(5))
    await expanded(ledger, people(2), new_event("INC-1", lane=Lane.URGENT))
    first = await claim(ledger, 2)
    later = clock.now + timedelta(minutes=5)
    await ledger.claims.record([Recorded(one, DEFERRED, later) for one in first])

    assert [one.address for one in first] == people(2)
    assert len(await claim(ledger, 2, lane=Lane.URGENT)) == 2
    assert [one.address for one in await claim(ledger)] == people(5)[2:]
    assert await claim(ledger) == []
    clock.now = later
    assert [(one.address, one.tries, one.fence) for one in await claim(ledger)] == [
        (people(2)[0], 1, 2),
        (people(2)[1], 1, 2),
    ]


async def test_claimers_never_share_a_delivery(ledger: Ledger, database_url: str, clock: Clock) -> None:
    """However many claim at once, from several processes' pools, each delivery goes to one of them."""
    await expanded(ledger, people(500))
    other = await Ledger.open(database_url, clock=clock)
    try:
        taken = await asyncio.gather(*(claim((ledger, other)[n % 2], 30) for n in range(40)))
    finally:
        await other.close()
    ids = [one.id for claims in taken for one in claims]

    assert len(ids) == len(set(ids)) == 500
    assert all(len(claims) <= 30 for claims in taken)


async def test_an_outcome_is_kept_with_its_attempt(ledger: Ledger, clock: Clock) -> None:
    """Each outcome moves its delivery and leaves an attempt with the server's own words."""
    await expanded(ledger, people(3))
    one, two, three = await claim(ledger)
    clock.advance(seconds=2)
    later = clock.now + timedelta(minutes=5)
    refused = await ledger.claims.record(
        [Recorded(one, SENT), Recorded(two, FAILED), Recorded(three, DEFERRED, later)]
    )
    listed = {delivery.address: delivery for delivery in await ledger.deliveries.list(with_attempts=True)}
    sent, failed, deferred = (listed[address] for address in people(3))

    assert refused == 0
    assert (sent.status, sent.reason, sent.next_try_at) == (Status.SENT, "accepted", None)
    assert (failed.status, failed.reason, failed.next_try_at) == (
        Status.FAILED,
        "refused_permanently",
        None,
    )
    assert (deferred.status, deferred.next_try_at) == (Status.DEFERRED, later)
    assert failed.attempts == (
        Attempt(clock.now, Status.FAILED, "refused_permanently", 550, "5.1.1", "5.1.1 No such user"),
    )
    assert sent.updated_at == clock.now


async def test_attempts_add_up(ledger: Ledger, clock: Clock) -> None:
    """A delivery that is tried again keeps its Message-ID and all its attempts, oldest first."""
    await expanded(ledger, people(1))
    message_ids = set()
    for outcome in (DEFERRED, LOST, SENT):
        (one,) = await claim(ledger)
        message_ids.add(one.message_id)
        await ledger.claims.record([Recorded(one, outcome, clock.advance(minutes=5))])
    (delivery,) = await ledger.deliveries.list(with_attempts=True)

    assert [attempt.status for attempt in delivery.attempts] == [
        Status.DEFERRED,
        Status.UNCERTAIN,
        Status.SENT,
    ]
    assert (delivery.status, delivery.tries, delivery.uncertain) == (Status.SENT, 3, True)
    assert len(message_ids) == 1


@pytest.mark.parametrize(
    ("policy", "status"),
    [(OnUncertain.RESEND, Status.UNCERTAIN), (OnUncertain.HOLD, Status.HELD)],
)
async def test_doubt_follows_the_policy(
    ledger: Ledger, clock: Clock, policy: OnUncertain, status: Status
) -> None:
    """What may have arrived is sent again or held, and the doubt stays on record."""
    await expanded(ledger, people(1), on_uncertain=policy)
    (one,) = await claim(ledger)
    await ledger.claims.record([Recorded(one, LOST, clock.now)])
    (delivery,) = await ledger.deliveries.list(with_attempts=True)

    assert (delivery.status, delivery.uncertain) == (status, True)
    assert [attempt.status for attempt in delivery.attempts] == [Status.UNCERTAIN]
    assert len(await claim(ledger)) == (1 if policy is OnUncertain.RESEND else 0)


async def test_a_stale_outcome_is_refused(ledger: Ledger, clock: Clock) -> None:
    """Once somebody else has the delivery, the first worker's outcome changes nothing."""
    await expanded(ledger, people(2))
    old = await claim(ledger)
    clock.advance(seconds=31)
    await ledger.claims.recover(clock.now)
    (new, _) = await claim(ledger)
    refused = await ledger.claims.record([Recorded(one, SENT) for one in old])
    listed = await ledger.deliveries.list(Filter(address=new.address), with_attempts=True)

    assert refused == 2
    assert listed[0].status is Status.SENDING
    assert [attempt.reason for attempt in listed[0].attempts] == ["lease_expired"]
    assert await ledger.claims.record([Recorded(new, SENT), Recorded(old[1], SENT)]) == 1


async def test_an_outcome_counts_once(ledger: Ledger) -> None:
    """The same outcome a second time is refused."""
    await expanded(ledger, people(1))
    (one,) = await claim(ledger)

    assert await ledger.claims.record([Recorded(one, SENT)]) == 0
    assert await ledger.claims.record([Recorded(one, FAILED)]) == 1
    assert await ledger.claims.record([]) == 0
    assert await statuses(ledger) == {people(1)[0]: Status.SENT}


@pytest.mark.parametrize(
    ("policy", "status"),
    [(OnUncertain.RESEND, Status.UNCERTAIN), (OnUncertain.HOLD, Status.HELD)],
)
async def test_what_a_lost_worker_was_sending_is_recovered(
    ledger: Ledger, clock: Clock, policy: OnUncertain, status: Status
) -> None:
    """When the lease runs out, the delivery has an attempt that says so, and is due or held."""
    await expanded(ledger, people(1), on_uncertain=policy)
    await claim(ledger)
    before = await ledger.claims.recover(clock.advance(seconds=29))
    after = await ledger.claims.recover(clock.advance(seconds=1))
    again = await ledger.claims.recover(clock.now)
    (delivery,) = await ledger.deliveries.list(with_attempts=True)

    assert (before, after, again) == (0, 1, 0)
    assert (delivery.status, delivery.reason, delivery.uncertain) == (status, "lease_expired", True)
    assert [(one.status, one.reason) for one in delivery.attempts] == [(Status.UNCERTAIN, "lease_expired")]
    assert "w1" in delivery.attempts[0].reply
    assert len(await claim(ledger)) == (1 if policy is OnUncertain.RESEND else 0)


async def test_many_are_recovered_by_several_at_once(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recovering in parts, and by several processes at once, settles each delivery once."""
    monkeypatch.setattr(claims_module, "_RECOVER", 20)
    await expanded(ledger, people(100))
    await claim(ledger)
    now = clock.advance(minutes=1)
    counts = await asyncio.gather(*(ledger.claims.recover(now) for _ in range(5)))
    listed = await ledger.deliveries.list(with_attempts=True)

    assert sum(counts) == 100
    assert {len(delivery.attempts) for delivery in listed} == {1}


async def test_a_renewed_lease_holds(ledger: Ledger, clock: Clock) -> None:
    """Renewing says which deliveries are still ours, and keeps those."""
    await expanded(ledger, people(3))
    one, two, three = await claim(ledger)
    await ledger.claims.record([Recorded(one, SENT)])
    clock.advance(seconds=20)
    ours = await ledger.claims.renew([one, two, three], LEASE)
    clock.advance(seconds=20)

    assert ours == {two, three}
    assert await ledger.claims.recover(clock.now) == 0
    assert await ledger.claims.recover(clock.advance(seconds=10)) == 2
    assert await ledger.claims.renew([two], LEASE) == set()


async def test_the_ledger_knows_which_lanes_are_due(ledger: Ledger, clock: Clock) -> None:
    """Lanes with something due are named, most urgent first, and so is the next moment."""
    assert await ledger.claims.next_due() is None
    await expanded(ledger, people(1))
    await expanded(ledger, people(1), new_event("INC-1", lane=Lane.URGENT))
    start = clock.now
    (one,) = await claim(ledger)
    later = start + timedelta(minutes=5)
    await ledger.claims.record([Recorded(one, DEFERRED, later)])

    assert await ledger.claims.due_lanes(start) == [Lane.URGENT]
    assert await ledger.claims.next_due() == start
    assert await ledger.claims.due_lanes(later) == [Lane.URGENT, Lane.NORMAL]
    await claim(ledger, lane=Lane.URGENT)
    assert await ledger.claims.next_due() == later
