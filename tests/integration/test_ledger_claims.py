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
    lapse,
    new_event,
    people,
)
from slow import PATIENT

from dispatcher.domain.delivery import Attempt, Lane, OnUncertain, Status
from dispatcher.ledger import Filter, Ledger, Recorded, VariantContent


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
    assert (one.retry_from, one.expires_at) == (made, None)
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
    await lapse(ledger)
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


async def test_renewing_says_what_is_still_ours(ledger: Ledger, clock: Clock) -> None:
    """A claim that is done with, or that somebody else followed, is not renewed."""
    await expanded(ledger, people(4))
    one, two, three, four = await claim(ledger)
    await ledger.claims.record([Recorded(one, SENT)])
    await ledger.claims.give_back([two])
    ours = await ledger.claims.renew([one, two, three, four], LEASE)
    clock.advance(minutes=1)
    await lapse(ledger)

    assert ours == {three, four}
    assert await ledger.claims.renew([three, four], LEASE) == set()
    assert await ledger.claims.renew([], LEASE) == set()


@pytest.mark.parametrize("reason", ["", "relay_unreachable"])
async def test_what_was_not_begun_goes_back(ledger: Ledger, clock: Clock, reason: str) -> None:
    """A claim that is given back leaves no attempt and no try; the delivery says why and is due at once."""
    await expanded(ledger, people(2))
    one, two = await claim(ledger)
    await ledger.claims.record([Recorded(two, DEFERRED, clock.now)])
    (two,) = await claim(ledger)
    clock.advance(seconds=3)
    given = await ledger.claims.give_back([one, two], reason)
    fresh, tried = (await ledger.deliveries.list(with_attempts=True))[::-1]

    assert given == 2
    assert (fresh.status, fresh.reason, fresh.tries, fresh.attempts) == (Status.QUEUED, reason, 0, ())
    assert (tried.status, tried.reason, tried.tries) == (Status.DEFERRED, reason, 1)
    assert len(tried.attempts) == 1
    assert {fresh.next_try_at, tried.next_try_at} == {clock.now}
    assert [(one.tries, one.fence) for one in await claim(ledger)] == [(0, 2), (1, 3)]


async def test_what_somebody_else_has_does_not_go_back(ledger: Ledger, clock: Clock) -> None:
    """A claim that lapsed cannot be given back, nor one whose outcome is known."""
    await expanded(ledger, people(2))
    one, two = await claim(ledger)
    await ledger.claims.record([Recorded(one, SENT)])
    await lapse(ledger)
    lapsed = await ledger.claims.give_back([one, two])
    (again,) = await claim(ledger, worker="w2")

    assert lapsed == 0
    assert await ledger.claims.give_back([two]) == 0
    assert (await statuses(ledger))[again.address] is Status.SENDING


async def test_what_has_expired_is_not_handed_out(ledger: Ledger, clock: Clock) -> None:
    """A claim settles what is over as expired, without a try, and hands out the others."""
    over = clock.now + timedelta(hours=1)
    await expanded(ledger, ["late@example.com"], expires_at=over)
    clock.advance(seconds=1)
    await expanded(ledger, people(1), new_event("CHG-2"), expires_at=over + timedelta(seconds=1))
    early = await claim(ledger, 1)
    await ledger.claims.give_back(early)
    clock.now = over
    taken = await claim(ledger)
    (expired,) = await ledger.deliveries.list(Filter(status=Status.EXPIRED), with_attempts=True)

    assert [(one.address, one.expires_at) for one in early] == [("late@example.com", over)]
    assert [one.address for one in taken] == people(1)
    assert (expired.address, expired.reason, expired.expires_at) == ("late@example.com", "expired", over)
    assert (expired.tries, expired.next_try_at, expired.attempts) == (0, None, ())
    assert expired.updated_at == over
    assert await claim(ledger) == []


async def test_what_is_being_sent_does_not_expire(ledger: Ledger, clock: Clock) -> None:
    """Expiry bars a claim, never an outcome; a later try is barred, and the tries stay on record."""
    await expanded(ledger, people(2), expires_at=clock.now + timedelta(minutes=1))
    one, two = await claim(ledger)
    later = clock.advance(minutes=2)
    await ledger.claims.record([Recorded(one, SENT), Recorded(two, LOST, later)])
    taken = await claim(ledger)
    listed = {delivery.address: delivery for delivery in await ledger.deliveries.list(with_attempts=True)}
    sent, doubtful = (listed[address] for address in people(2))

    assert taken == []
    assert (sent.status, sent.tries) == (Status.SENT, 1)
    assert (doubtful.status, doubtful.tries, doubtful.uncertain) == (Status.EXPIRED, 1, True)
    assert [attempt.reason for attempt in doubtful.attempts] == ["lost_after_data"]


async def test_what_is_barred_does_not_end_a_claim(ledger: Ledger, clock: Clock) -> None:
    """Pages full of what is cancelled or expired are settled, until something can be handed out."""
    await expanded(ledger, people(7), expires_at=clock.now + timedelta(minutes=1))
    withdrawn = await expanded(ledger, people(8), new_event("CHG-2"))
    clock.advance(minutes=2)
    await expanded(ledger, people(5), new_event("CHG-3"))
    await ledger.events.cancel(withdrawn)
    taken = await claim(ledger, 3)
    standing = [one.status for one in await ledger.deliveries.list()]

    assert [one.address for one in taken] == people(3)
    assert standing.count(Status.EXPIRED) == 7
    assert standing.count(Status.CANCELLED) == 8
    assert len(await claim(ledger, 3)) == 2
    assert await claim(ledger, 3) == []


async def test_a_claim_of_nothing_but_barred_rows_ends(ledger: Ledger, clock: Clock) -> None:
    """Where nothing can be handed out, a claim comes back empty, and all of it is settled."""
    await expanded(ledger, people(9), expires_at=clock.now)

    assert await claim(ledger, 2) == []
    assert set((await statuses(ledger)).values()) == {Status.EXPIRED}


async def test_what_goes_back_for_later_is_due_then(ledger: Ledger, clock: Clock) -> None:
    """It waits as long as it was told, and neither a try nor a place in the queue is lost by it."""
    await expanded(ledger, people(2))
    one, two = await claim(ledger)
    await ledger.claims.give_back([one], "domain_limit", timedelta(seconds=20))
    await ledger.claims.give_back([two])
    again = await claim(ledger)
    clock.advance(seconds=20)
    later = await claim(ledger)

    assert [claimed.id for claimed in again] == [two.id]
    assert [(claimed.id, claimed.tries) for claimed in later] == [(one.id, 0)]


async def test_a_cancelled_claim_or_record_leaves_nothing_behind(ledger: Ledger) -> None:
    """Cut off at any moment, they keep no lock and nothing half; what was claimed unheard is still known."""
    await expanded(ledger, people(60))
    for delay in range(20):
        claiming = asyncio.create_task(claim(ledger, 2, worker=f"w{delay}"))
        await asyncio.sleep(delay / 4000)
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
    await lapse(ledger)
    claims = await asyncio.wait_for(claim(ledger), 10 * PATIENT)
    for delay in range(20):
        recording = asyncio.create_task(ledger.claims.record([Recorded(one, SENT) for one in claims]))
        await asyncio.sleep(delay / 4000)
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
    await asyncio.wait_for(ledger.claims.record([Recorded(one, SENT) for one in claims]), 10 * PATIENT)
    listed = await ledger.deliveries.list(with_attempts=True)
    accepted = {sum(attempt.status is Status.SENT for attempt in one.attempts) for one in listed}

    assert len(claims) == 60
    assert {one.status for one in listed} == {Status.SENT}
    assert accepted == {1}
