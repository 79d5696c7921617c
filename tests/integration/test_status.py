"""How the service says that it is, from what the ledger and Redis hold."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from clock import Clock
from ledger_records import (
    DEFERRED,
    FAILED,
    SENT,
    claim,
    expanded,
    lapse,
    new_delivery,
    new_event,
    people,
)
from web_service import NO_REDIS

from dispatcher.domain.delivery import Lane, NewVariant, OnUncertain, Status
from dispatcher.flow.status import look, relay_word, status_json
from dispatcher.ledger import Expansion, Heartbeat, Ledger, Recorded
from dispatcher.queue.bell import Bell
from dispatcher.queue.embedded import EmbeddedValkey

CLOSED: dict[str, Any] = {"address": "mail.example:25", "circuit": "closed", "why": ""}
OPEN = {
    "address": "mail.example:25",
    "circuit": "open",
    "since": "2026-03-01T11:58:00Z",
    "why": "mail.example:25: Connection refused",
}
HALF_OPEN = OPEN | {"circuit": "half-open"}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey for all of them."""
    folder: Path = tmp_path_factory.mktemp("valkey")
    with EmbeddedValkey(folder) as valkey:
        yield valkey.url(folder)


@pytest.fixture
async def bell(redis: str) -> AsyncIterator[Bell]:
    opened = Bell(redis, token=secrets.token_hex)
    yield opened
    await opened.close()


async def alive(ledger: Ledger, clock: Clock, relay: dict[str, Any] | None = None, name: str = "w1") -> None:
    await ledger.workers.heartbeat(Heartbeat(name, "host", 7, "0.1.0", clock(), clock(), relay, 2))


async def test_all_is_well_with_a_worker_and_nothing_to_do(ledger: Ledger, bell: Bell, clock: Clock) -> None:
    """A worker, a server that takes mail and an empty backlog need nobody."""
    await alive(ledger, clock, CLOSED)
    report = await look(ledger, bell)
    told = status_json(report)

    assert list(report.problems) == []
    assert orjson.loads(orjson.dumps(told)) == told
    assert told["well"] is True
    assert told["lanes"]["urgent"] == {
        "due": 0,
        "oldest_due_at": None,
        "oldest_due_seconds": None,
        "jobs": 0,
        "per_second": 0,
        "left_seconds": None,
    }
    assert told["workers"][0]["stale"] == 2
    assert told["workers"][0]["relay"] == CLOSED


async def test_without_a_worker_it_says_what_waits(ledger: Ledger, bell: Bell, clock: Clock) -> None:
    """Nobody works: that is told first, with what waits and since when."""
    empty = await look(ledger, bell)
    await alive(ledger, clock)
    await expanded(ledger, people(1_200))
    await ledger.events.add([new_event("CHG-2")])
    clock.advance(minutes=3)
    report = await look(ledger, bell)

    assert list(empty.problems) == [
        "No worker is alive; nothing waits yet. Start one, with DISPATCHER_SMTP_URL set: dispatcher up."
    ]
    [problem] = report.problems
    assert problem == (
        "No worker is alive (the last was seen at 12:00Z); 1,200 deliveries and 1 event wait since 12:00Z. "
        "Start one, with DISPATCHER_SMTP_URL set: dispatcher up."
    )


async def test_a_lane_has_a_rate_and_a_time_left(ledger: Ledger, bell: Bell, clock: Clock) -> None:
    """What the live workers say of their last minute is added up; workers that are gone say nothing."""
    await alive(ledger, clock, CLOSED | {"rates": {"bulk": 5.0}}, "gone")
    clock.advance(minutes=1)
    await expanded(ledger, people(31))
    await alive(ledger, clock, CLOSED | {"rates": {"normal": 2.5, "bulk": 900.0}}, "w1")
    await alive(ledger, clock, CLOSED | {"rates": {"normal": 0.5}}, "w2")
    await alive(ledger, clock, CLOSED, "older-version")
    lanes = status_json(await look(ledger, bell))["lanes"]

    paces = {lane: (told["per_second"], told["left_seconds"]) for lane, told in lanes.items()}
    assert paces == {"urgent": (0, None), "normal": (3, 11), "bulk": (900, None)}


async def test_a_full_lane_that_moves_is_no_problem(ledger: Ledger, bell: Bell, clock: Clock) -> None:
    """What waits for long needs attention only where no mail leaves."""
    await expanded(ledger, people(31))
    clock.advance(minutes=5)
    await alive(ledger, clock, CLOSED | {"rates": {"normal": 2.5}})
    moves = await look(ledger, bell)
    await alive(ledger, clock, CLOSED | {"rates": {"normal": 0.0, "bulk": 2.5}})
    stands = await look(ledger, bell)

    assert list(moves.problems) == []
    assert list(stands.problems) == [
        "31 deliveries are due, the oldest since 12:00Z, and no worker gets to them."
    ]


async def test_a_server_that_takes_nothing_is_named(ledger: Ledger, bell: Bell, clock: Clock) -> None:
    """An open circuit is told with address, time and cause; what waits behind it is not told twice."""
    await expanded(ledger, people(3))
    clock.advance(minutes=5)
    await alive(ledger, clock, OPEN)
    shut = await look(ledger, bell)
    await alive(ledger, clock, CLOSED, "w2")
    some = await look(ledger, bell)

    server = "The SMTP server mail.example:25 takes nothing since 11:58Z: Connection refused"
    assert list(shut.problems) == [f"{server}."]
    assert list(some.problems) == [
        f"{server} (says 1 of 2 workers).",
        "3 deliveries are due, the oldest since 12:00Z, and no worker gets to them.",
    ]


async def test_a_half_open_circuit_counts_while_mail_waits(ledger: Ledger, bell: Bell, clock: Clock) -> None:
    """Without mail nobody tries the server again, so nobody knows how it is by now."""
    await alive(ledger, clock, HALF_OPEN)
    idle = await look(ledger, bell)
    await expanded(ledger, people(1))
    waiting = await look(ledger, bell)

    assert list(idle.problems) == []
    assert waiting.problems[0].startswith("The SMTP server mail.example:25 takes nothing")
    assert relay_word(idle.workers, waiting=False) == "ok"
    assert relay_word(idle.workers, waiting=True) == "open"
    assert relay_word([], waiting=True) == "unknown"


async def test_what_waits_for_a_minute_is_told(ledger: Ledger, bell: Bell, clock: Clock) -> None:
    """Deliveries that nobody begins and events that nobody expands need attention, after a minute."""
    await expanded(ledger, people(2))
    await ledger.events.add([new_event("CHG-2", lane=Lane.URGENT)])
    clock.advance(seconds=60)
    await alive(ledger, clock, CLOSED)
    patient = await look(ledger, bell)
    clock.advance(seconds=1)
    late = await look(ledger, bell)

    assert list(patient.problems) == []
    assert list(late.problems) == [
        "2 deliveries are due, the oldest since 12:00Z, and no worker gets to them.",
        "1 event waits to be expanded, the oldest since 12:00Z. `dispatcher events` tells why.",
    ]
    assert status_json(late)["lanes"]["normal"]["oldest_due_seconds"] == 61
    assert status_json(late)["events"] == {
        "waiting": 1,
        "begun": 0,
        "oldest_at": "2026-03-01T12:00:00Z",
        "oldest_seconds": 61,
    }


async def test_a_large_event_that_comes_on_is_no_problem(ledger: Ledger, bell: Bell, clock: Clock) -> None:
    """Nor is what is behind it; an event that says why it waits is, and one of which nothing new comes."""
    ids = [(await ledger.events.add([new_event(name)]))[0].id for name in ("large", "behind", "broken")]
    await ledger.expansions.begin(ids[0], timedelta(hours=1), "w1")
    going = ledger.expansions.expanding(ids[0])
    clock.advance(minutes=5)
    variant = NewVariant("v1", "Hello", b"", "test@0")
    await going.store(Expansion([variant], [new_delivery(*people(1))], ["<1@x>"], last=False))
    await alive(ledger, clock, CLOSED | {"rates": {"normal": 1.0}})
    comes_on = await look(ledger, bell)
    await ledger.expansions.postpone(ids[2], "its template is broken")
    broken = await look(ledger, bell)
    clock.advance(seconds=61)
    await alive(ledger, clock, CLOSED | {"rates": {"normal": 1.0}})
    halted = await look(ledger, bell)

    assert list(comes_on.problems) == []
    assert status_json(comes_on)["events"] | {"oldest_at": ""} == {
        "waiting": 3,
        "begun": 1,
        "oldest_at": "",
        "oldest_seconds": 300,
    }
    assert list(broken.problems) == [
        "1 event waits to be expanded, the oldest since 12:00Z. `dispatcher events` tells why."
    ]
    assert list(halted.problems) == [
        "2 events wait to be expanded, the oldest since 12:00Z. `dispatcher events` tells why.",
        "1 event is being expanded, and nothing new came of it since 12:05Z; look at the log of its worker.",
    ]


async def test_without_redis_there_is_a_report(ledger: Ledger, clock: Clock) -> None:
    """Redis is away: that is told, and everything that the ledger knows as well."""
    await alive(ledger, clock, CLOSED)
    bell = Bell(NO_REDIS, token=secrets.token_hex)
    report = await look(ledger, bell)
    await bell.close()

    assert report.problems[0].startswith("Redis at 127.0.0.1:1 cannot be used")
    assert report.problems[0].endswith("Mail goes on without it, seconds later.")
    assert status_json(report)["lanes"]["bulk"]["jobs"] is None


async def test_trouble_is_counted_but_needs_nobody(ledger: Ledger, bell: Bell, clock: Clock) -> None:
    """What failed, waits or is on its way is counted; an address that fails is no fault of the service."""
    await expanded(ledger, people(4))
    one, two, three, _ = await claim(ledger)
    later = clock() + timedelta(minutes=5)
    await ledger.claims.record([Recorded(one, SENT), Recorded(two, FAILED), Recorded(three, DEFERRED, later)])
    await alive(ledger, clock, CLOSED)
    report = await look(ledger, bell)

    told = status_json(report)
    assert told["problems"] == []
    assert told["sending"] == 1
    assert told["later"] == {"deliveries": 1, "next_try_at": "2026-03-01T12:05:00Z"}
    assert told["trouble"] == {"deferred": 1, "failed": 1}


async def test_poison_needs_attention(ledger: Ledger, bell: Bell, clock: Clock) -> None:
    """A delivery that ended three workers is told, one that is held for its doubt is not."""
    await expanded(ledger, people(1))
    await expanded(ledger, people(1), new_event("CHG-2", lane=Lane.BULK), on_uncertain=OnUncertain.HOLD)
    await claim(ledger, lane=Lane.BULK)
    for _ in range(3):
        await claim(ledger)
        await lapse(ledger)
    await alive(ledger, clock, CLOSED)
    report = await look(ledger, bell)

    assert report.backlog.trouble == {Status.HELD: 2}
    assert report.poison == 1
    assert list(report.problems) == [
        "1 delivery is set aside: three workers ended over it. See `dispatcher deliveries --status held`."
    ]
