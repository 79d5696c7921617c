"""What goes wrong around the parts: a dead worker, clocks that jump, a relay that is down, no Redis."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from way import Way

from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.event import EventStatus
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.expand import LEASE
from dispatcher.flow.explain import explain, tell
from dispatcher.flow.sweep import Sweep, Sweeper, Watches
from dispatcher.ledger import Filter, Heartbeat
from dispatcher.queue.bell import Bell
from dispatcher.queue.embedded import EmbeddedValkey
from dispatcher.queue.lanes import EVERY

WAITING = {Status.QUEUED, Status.DEFERRED}


async def dead(way: Way, key: str = "planned-maintenance") -> str:
    """An event whose deliveries a worker has claimed that will never be heard of again."""
    event = await way.accept(key)
    await way.expand(event)
    await way.ledger.claims.claim(
        way.catalogue.types[key].lane, 10, worker="dead", lease=timedelta(seconds=30)
    )
    return event


async def test_what_a_dead_worker_was_sending_is_taken_over(way: Way) -> None:
    """A claim that nobody renews for a whole lease becomes uncertain and is sent again, within a minute."""
    event = await dead(way)
    await way.sweeps(28)
    early = {row.status for row in await way.rows(event)}
    await way.sweeps(6)
    rows = await way.rows(event)

    assert early == {Status.SENDING}
    assert {(row.status, row.uncertain) for row in rows} == {(Status.SENT, True)}
    assert {row.attempts[0].reason for row in rows} == {"lease_expired"}
    assert len({row.message_id for row in rows}) == len(way.server.kept) == 3


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1)])
async def test_a_clock_that_jumps_takes_nothing_from_a_living_worker(way: Way, jump: timedelta) -> None:
    """Leases are judged by what was renewed, so the wall clocks of machines need not agree."""
    event = await way.accept("planned-maintenance")
    await way.expand(event)
    claims = await way.ledger.claims.claim(Lane.NORMAL, 10, worker="alive", lease=timedelta(seconds=30))
    way.clock.now += jump
    for _ in range(6):
        await way.sweeps(10)
        await way.ledger.claims.renew(claims, timedelta(seconds=30))

    assert {row.status for row in await way.rows(event)} == {Status.SENDING}


async def test_a_dead_worker_is_noticed_whatever_its_clock_said(way: Way) -> None:
    """A lease that lies a day ahead runs out as soon as any other."""
    way.clock.now += timedelta(days=1)
    event = await dead(way)
    way.clock.now -= timedelta(days=1)
    await way.sweeps(34)

    assert {row.status for row in await way.rows(event)} == {Status.SENT}


async def test_what_is_due_at_once_does_not_wait_for_a_clock_that_was_set_back(way: Way) -> None:
    """An hour less on the clock is no hour more for those who are to be told."""
    event = await way.accept("planned-maintenance")
    await way.expand(event)
    await way.ledger.claims.give_back(
        await way.ledger.claims.claim(Lane.NORMAL, 10, worker="w", lease=timedelta(seconds=30))
    )
    await way.ledger.backlog.due_lanes(way.clock())
    way.clock.now -= timedelta(hours=1)
    await way.sweeps(2)

    assert {row.status for row in await way.rows(event)} == {Status.SENT}


async def test_a_ledger_that_was_away_makes_nobody_a_dead_worker(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the ledger is away nobody can renew, so of that time little counts."""
    event = await dead(way)
    await way.sweeps(4)

    async def away(_worker: str) -> None:
        raise ServiceUnreachable("database", "The database is away.")

    monkeypatch.setattr(way.ledger.leases, "held", away)
    for _ in range(30):
        with pytest.raises(ServiceUnreachable):
            await way.sweeps(2)
    monkeypatch.undo()
    await way.sweeps(16)
    soon = {row.status for row in await way.rows(event)}
    await way.sweeps(8)

    assert soon == {Status.SENDING}
    assert {row.status for row in await way.rows(event)} == {Status.SENT}


async def test_a_delivery_that_ends_its_workers_is_set_aside_and_the_others_go(way: Way) -> None:
    """The third worker in a row that dies over a row is the last; a person may have it tried again."""
    event = await way.accept("planned-maintenance")
    await way.expand(event)
    poison = (await way.rows(event))[1].id
    for number in range(3):
        claims = await way.ledger.claims.claim(
            Lane.NORMAL, 10, worker=f"dies-{number}", lease=timedelta(seconds=30)
        )
        assert poison in {claim.id for claim in claims}
        others = [claim for claim in claims if claim.id != poison]
        if number < 2:
            await way.ledger.claims.give_back(others)
        monotonic, clock = way.monotonic.now, way.clock.now
        await way.ledger.leases.recover(await way.ledger.leases.held("w"))
        way.monotonic.now, way.clock.now = monotonic, clock
    await way.swept()
    rows = {row.id: row for row in await way.rows(event)}
    set_aside = rows.pop(poison)

    assert (set_aside.status, set_aside.reason, set_aside.next_try_at) == (Status.HELD, "poison", None)
    assert [attempt.reason for attempt in set_aside.attempts] == ["lease_expired"] * 3
    assert {row.status for row in rows.values()} == {Status.SENT}
    assert await way.ledger.deliveries.requeue(Filter(id=poison, status=Status.HELD), "released") == 1
    await way.swept()
    assert {row.status for row in await way.rows(event)} == {Status.SENT}


async def test_an_event_that_ends_its_workers_fails_and_says_so(way: Way) -> None:
    """Three workers that began to expand it and were never heard of again are enough."""
    event = await way.accept("planned-maintenance")
    names = [f"gone-{number}" for number in range(3)]
    for name in names:
        assert await way.ledger.expansions.begin(event, LEASE, name)
        way.clock.now += LEASE
    way.expand.gone = lambda: names
    await way.expand(EVERY)
    failed = await way.ledger.events.get(event)
    retried = await way.ledger.events.retry(event)
    await way.expand(EVERY)

    assert failed.status is EventStatus.FAILED
    assert "3 workers in a row" in failed.reason
    assert retried
    assert (await way.ledger.events.get(event)).status is EventStatus.EXPANDED


async def test_who_went_away_is_told_by_a_watch_of_our_own(way: Way) -> None:
    """A clock that jumps, or a ledger that was away, makes nobody gone; a report that never changes does."""

    async def report(*names: str) -> None:
        for name in names:
            now = way.clock()
            await way.ledger.workers.heartbeat(Heartbeat(name, "host", 1, "1", now, now))

    await report("alive", "dies")
    await way.swept()
    way.clock.advance(hours=1)
    way.monotonic.now += 3600  # nobody swept, so nobody looked
    await way.swept()
    at_first = way.sweep.gone
    for _ in range(4):
        await report("alive")
        await way.sweeps(5)
    assert (set(at_first), set(way.sweep.gone)) == (set(), {"dies"})
    await report("dies")
    await way.swept()
    assert way.sweep.gone == frozenset()


async def test_mail_goes_on_without_redis(way: Way) -> None:
    """A sweep whose bell nobody can hear expands and delivers by itself."""
    event = await way.accept("planned-maintenance")
    await way.sweeps(8)

    assert {row.status for row in await way.rows(event)} == {Status.SENT}
    assert len(way.server.kept) == 3


async def test_a_worker_that_does_not_hear_the_bell_works_by_itself(way: Way, tmp_path: Path) -> None:
    """A bell that rings well is of no use to a worker that does not trust its Redis."""
    event = await way.accept("major-service-incident", thread="INC-1")
    with EmbeddedValkey(tmp_path):
        bell = Bell(EmbeddedValkey.url(tmp_path), token=lambda: "word")
        watches = Watches(way.clock, way.monotonic)
        sweeper = Sweeper("deaf", way.expand, way.deliver, lambda: True)
        sweep = Sweep(way.ledger, bell, watches, timedelta(seconds=30), sweeper)
        for _ in range(4):
            way.clock.advance(seconds=2)
            await sweep()
            await sweep.settled()
        rung = await bell.depth(Lane.URGENT)
        await bell.close()

    assert rung == 0
    assert {row.status for row in await way.rows(event)} == {Status.SENT}


async def test_an_outage_before_the_first_try_is_none_of_the_four_days(way: Way) -> None:
    """A message that could not be tried for five days has four days from its first refusal on."""
    event = await way.accept("unplanned-maintenance")
    await way.expand(event)
    way.clock.advance(days=5)
    way.server.script("RCPT", reply="451 4.7.1 later")
    await way.deliver(Lane.URGENT)
    first = await way.rows(event)
    way.clock.advance(days=3)
    await way.deliver(Lane.URGENT)
    second = await way.rows(event)
    way.clock.advance(days=2)
    await way.deliver(Lane.URGENT)

    assert {row.status for row in first} == {row.status for row in second} == {Status.DEFERRED}
    assert {row.status for row in await way.rows(event)} == {Status.FAILED}


async def test_an_event_whose_expander_is_gone_waits_for_no_clock(way: Way) -> None:
    """An hour less on the clock does not keep it for a worker that is not there any more."""
    event = await way.accept("planned-maintenance")
    assert await way.ledger.expansions.begin(event, LEASE, "gone")
    await way.sweeps(2)
    way.clock.now -= timedelta(hours=1)
    await way.sweeps(4)

    assert {row.status for row in await way.rows(event)} == {Status.SENT}


async def test_a_relay_that_is_down_for_an_hour_costs_no_try(way: Way) -> None:
    """Nothing is tried while the server refuses connections; half a minute after its return all is sent."""
    await way.server.refuse()
    event = await way.accept("major-service-incident", thread="INC-1")
    await way.expand(event)
    await way.sweeps(3600, step=10)
    during = await way.rows(event)
    story = "\n".join(line for told in await explain(way.ledger, event) for line in tell(told))
    await way.server.listen()
    await way.sweeps(28)
    after = await way.rows(event)

    assert {(row.status, row.tries, len(row.attempts)) for row in during} == {(Status.QUEUED, 0, 0)}
    assert "relay_unreachable" in {row.reason for row in during}
    assert "SMTP server" in story
    assert {(row.status, row.tries, len(row.attempts)) for row in after} == {(Status.SENT, 1, 1)}


async def test_a_relay_that_is_down_is_probed_twice_a_minute_and_not_more(way: Way) -> None:
    """A server in trouble is not made to refuse each message: 25 seconds lie between two probes."""
    way.server.script("CONNECT", reply="421 4.3.2 Overloaded", action="cut")
    event = await way.accept("planned-maintenance")
    await way.expand(event)
    await way.sweeps(600, step=5)

    assert 600 / 30 <= way.server.connections <= 600 / 25 + 6
    assert {row.tries for row in await way.rows(event)} == {0}


async def test_a_server_that_shuts_down_in_the_middle_slows_everything_down(way: Way) -> None:
    """Those that met the 421 are deferred; the others wait untried, and one goes ahead."""
    await way.accept("planned-maintenance")
    shut = way.server.script("MAIL", reply="421 4.3.2 Shutting down")
    await way.sweeps(8)
    met = shut.hits
    way.server.clear()
    await way.sweeps(28)
    await way.sweeps(600, step=10)
    rows = await way.ledger.deliveries.list(with_attempts=True)

    assert met <= 7
    assert {row.status for row in rows} == {Status.SENT}
    assert sum(len(row.attempts) for row in rows) == met + 3


async def test_an_announcement_that_is_over_is_not_sent(way: Way) -> None:
    """What came in too late is kept with its reason, and whoever asks is told."""
    event = await way.accept("planned-maintenance", start="2026-02-01T00:00Z", end="2026-03-01T12:00Z")
    await way.expand(event)
    await way.deliver(Lane.NORMAL)

    assert (await way.ledger.events.get(event)).warnings == (
        "planned-maintenance gives no notice, and the policy asks for 5 days",
        "end (2026-03-01T12:00Z) has passed, so nobody is mailed",
    )
    assert {(row.status, row.reason, row.tries) for row in await way.rows(event)} == {
        (Status.EXPIRED, "expired", 0)
    }
    assert way.server.kept == []


async def test_a_delivery_expires_while_it_waits_for_its_next_try(way: Way) -> None:
    """At the end of what it announces, and no later, a deferred mail becomes an expired one."""
    way.server.script("RCPT", "c@contoso.example", reply="451 4.7.1 later")
    before = await way.go("planned-maintenance", start="2026-03-01T12:01Z", end="2026-03-01T12:02Z")
    way.clock.advance(minutes=2)
    await way.deliver(Lane.NORMAL)
    after = await way.rows(before[0].event)

    assert [row.status for row in before] == [Status.SENT, Status.SENT, Status.DEFERRED]
    assert before[2].next_try_at == before[2].expires_at
    assert [row.status for row in after] == [Status.SENT, Status.SENT, Status.EXPIRED]


async def test_a_cancelled_event_sends_nothing_more(way: Way) -> None:
    """What was sent stays sent; what waits, for whatever reason, does not leave."""
    way.server.script("RCPT", "b@contoso.example", reply="451 4.7.1 later")
    way.server.script("RCPT", "c@contoso.example", action="hang", times=1).released.set()
    event = (await way.go("planned-maintenance"))[0].event
    await way.ledger.events.cancel(event)
    await way.ledger.deliveries.cancel(event)
    way.clock.advance(minutes=10)
    await way.deliver(Lane.NORMAL)
    statuses = [row.status for row in await way.rows(event)]

    assert statuses == [Status.SENT, Status.CANCELLED, Status.SENT]
    assert len(way.server.kept) == 2


async def test_an_event_that_was_cancelled_early_is_never_expanded(way: Way) -> None:
    """It is recorded with the reason, and nobody is mailed."""
    event = await way.accept("planned-maintenance")
    await way.ledger.events.cancel(event)
    await way.expand(event)
    await way.sweeps(8)
    found = await way.ledger.events.get(event)

    assert (found.status, found.reason) == (
        EventStatus.RECORDED,
        "it was cancelled before anybody was mailed",
    )
    assert await way.rows(event) == []
    assert way.server.kept == []


async def test_what_is_on_its_way_when_its_event_is_cancelled_is_not_tried_again(way: Way) -> None:
    """A message that is on the wire may arrive; if it is put off, that was its only try."""
    way.server.script("RCPT", reply="451 4.7.1 later", times=3)
    event = await way.accept("planned-maintenance")
    await way.expand(event)
    claims = await way.ledger.claims.claim(Lane.NORMAL, 10, worker="w", lease=timedelta(seconds=30))
    await way.ledger.events.cancel(event)
    await way.ledger.deliveries.cancel(event)
    await way.ledger.claims.give_back(claims)
    await way.sweeps(4)

    assert {row.status for row in await way.rows(event)} == {Status.CANCELLED}
    assert WAITING.isdisjoint({row.status for row in await way.rows(event)})
