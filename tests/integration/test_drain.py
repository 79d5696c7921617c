"""What a drain does when something goes wrong in the middle of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from clock import Clock
from ledger_records import new_delivery, new_event
from program import PROJECT
from smtp_server import SmtpServer

from dispatcher.domain.delivery import Delivery, Lane, NewVariant, OnUncertain, Status
from dispatcher.errors import ServiceUnreachable
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow import drain
from dispatcher.flow.compose import Compose
from dispatcher.flow.deliver import Deliver
from dispatcher.flow.drain import Terms
from dispatcher.ledger import Expansion, Filter, Ledger
from dispatcher.mail.content import Content
from dispatcher.mail.message import seal
from dispatcher.smtp.relay import Relay

PEOPLE = 60
CONTENT = seal(Content("Hello", "<p>Hello</p>", "Hello\n", "test@0", "en"), headers={})


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as running:
        yield running


class Work:
    """Deliveries in the ledger, and workers that send them."""

    def __init__(self, ledger: Ledger, server: SmtpServer, clock: Clock) -> None:
        self.ledger, self.server, self.clock = ledger, server, clock
        self._relays: list[Relay] = []

    async def fill(self, *, on_uncertain: OnUncertain = OnUncertain.RESEND, sender: str = "default") -> None:
        """Put an event with its deliveries into the ledger."""
        [added] = await self.ledger.events.add([new_event()])
        people = [new_delivery(f"p{number:03d}@example.com") for number in range(PEOPLE)]
        expansion = Expansion(
            variants=[NewVariant("v1", "Hello", CONTENT, "test@0")],
            deliveries=people,
            message_ids=[f"<{number}@example.com>" for number in range(PEOPLE)],
            on_uncertain=on_uncertain,
        )
        await self.ledger.expansions.store(added.id, expansion)

    def worker(self, name: str = "one", *, lease: float = 30.0) -> Deliver:
        """A worker with four sessions."""
        relay = Relay(self.server.address(), connections=4, reserved=0)
        self._relays.append(relay)
        terms = Terms(name, timedelta(seconds=lease), 4, self.clock, random.Random(1))
        return Deliver(load_catalogue(PROJECT / "catalogue.yaml"), self.ledger, relay, terms)

    async def rows(self) -> list[Delivery]:
        """All deliveries, with their attempts."""
        return list(await self.ledger.deliveries.list(Filter(), with_attempts=True))

    def copies(self) -> set[int]:
        """How many copies people got: {1} if all got one."""
        return set(Counter(kept.recipient for kept in self.server.kept).values())

    async def close(self) -> None:
        for relay in self._relays:
            await relay.close()


@pytest.fixture
async def work(ledger: Ledger, server: SmtpServer, clock: Clock) -> AsyncIterator[Work]:
    made = Work(ledger, server, clock)
    yield made
    await made.close()


def _failing(monkeypatch: pytest.MonkeyPatch, holder: object, name: str, times: int) -> list[int]:
    """Let a method of the ledger be away for its next calls."""
    original: Callable[..., Awaitable[Any]] = getattr(holder, name)
    calls: list[int] = []

    async def method(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise ServiceUnreachable("database", "The database is away.")
        return await original(*arguments, **named)

    monkeypatch.setattr(holder, name, method)
    return calls


@pytest.mark.parametrize("name", ["record", "content"])
async def test_a_ledger_that_is_away_for_a_moment_doubles_nothing(
    work: Work, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Outcomes and claims are kept until the ledger is back; everybody gets one copy."""
    await work.fill()
    calls = _failing(monkeypatch, work.ledger.claims, name, 2)
    await work.worker()(Lane.NORMAL)

    assert len(calls) > 2
    assert work.copies() == {1}
    assert {(row.status, row.uncertain, len(row.attempts)) for row in await work.rows()} == {
        (Status.SENT, False, 1)
    }


async def test_a_drain_that_is_cancelled_returns_what_it_did_not_begin(work: Work) -> None:
    """What was begun is seen through or uncertain, what was not goes back to the queue as it was."""
    await work.fill(on_uncertain=OnUncertain.HOLD)
    work.server.script("DATA", delay=0.3)
    running = asyncio.create_task(work.worker()(Lane.NORMAL))
    await asyncio.sleep(0.5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    states = Counter(row.status for row in await work.rows())

    assert set(states) == {Status.SENT, Status.QUEUED}
    assert 4 <= states[Status.SENT] == len(work.server.kept) <= 12
    work.server.clear()
    await work.worker("two")(Lane.NORMAL)
    assert work.copies() == {1}
    assert {row.status for row in await work.rows()} == {Status.SENT}


async def test_a_worker_that_stops_finishes_what_it_began(work: Work) -> None:
    """After `stop` nothing more is begun; the rest is queued again, with no try counted."""
    await work.fill()
    work.server.script("DATA", delay=0.2)
    worker = work.worker()
    running = asyncio.create_task(worker(Lane.NORMAL))
    await asyncio.sleep(0.3)
    worker.stop()
    await running
    rows = await work.rows()

    assert {(row.status, row.tries) for row in rows} == {(Status.SENT, 1), (Status.QUEUED, 0)}
    assert len(work.server.kept) == sum(row.status is Status.SENT for row in rows) < PEOPLE


async def test_a_claim_that_lapsed_while_it_waited_is_not_sent(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that could not renew its claims leaves them to the one that took them over."""
    await work.fill()
    work.server.script("DATA", delay=0.3, times=8)
    _failing(monkeypatch, work.ledger.claims, "renew", 1_000)
    slow = asyncio.create_task(work.worker("slow", lease=0.5)(Lane.NORMAL))
    await asyncio.sleep(0.7)
    work.clock.advance(seconds=1)
    await work.ledger.claims.recover(work.clock())
    await work.worker("quick")(Lane.NORMAL)
    await slow

    copies = Counter(kept.recipient for kept in work.server.kept)
    assert len(copies) == PEOPLE
    # Only what was on the wire when the claims lapsed can have gone out twice: one message a session.
    assert sum(number - 1 for number in copies.values()) <= 4
    assert max(copies.values()) <= 2
    assert {row.status for row in await work.rows()} == {Status.SENT}


async def test_an_error_nobody_thought_of_puts_one_delivery_off_and_no_other(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivery is deferred with a word on the error; all others are sent."""
    await work.fill()
    worker = work.worker()
    original = Compose.envelope

    def envelope(self: Compose, claim: Any, content: Any) -> Any:
        if claim.address == "p007@example.com":
            raise KeyError("surprise")
        return original(self, claim, content)

    monkeypatch.setattr(Compose, "envelope", envelope)
    await worker(Lane.NORMAL)
    odd = [row for row in await work.rows() if row.status is not Status.SENT]

    assert [(row.address, row.status) for row in odd] == [("p007@example.com", Status.DEFERRED)]
    assert "KeyError" in odd[0].attempts[0].reply
    assert "surprise" not in odd[0].attempts[0].reply
    assert work.copies() == {1}


async def test_a_drain_ends_in_time_and_leaves_the_rest_to_the_next(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is claimed once the time is up; what was claimed is sent."""
    await work.fill()
    monkeypatch.setattr(drain, "WINDOW", 8)
    monkeypatch.setattr(drain, "BUDGET_SECONDS", 0.2)
    work.server.script("DATA", delay=0.1)
    first = await work.worker()(Lane.NORMAL)
    states = Counter(row.status for row in await work.rows())

    assert 0 < first < PEOPLE
    assert states == {Status.SENT: first, Status.QUEUED: PEOPLE - first}


async def test_an_uncertain_message_that_is_given_up_is_held_not_failed(work: Work) -> None:
    """After four days nobody can say that it failed; it is held for a person to decide."""
    await work.fill()
    work.server.script("DOT", "p003@example.com", action="cut", keep=True)
    work.clock.advance(days=5)
    await work.worker()(Lane.NORMAL)
    [odd] = [row for row in await work.rows() if row.status is not Status.SENT]

    assert (odd.status, odd.uncertain) == (Status.HELD, True)
    assert odd.attempts[0].status is Status.UNCERTAIN


async def test_two_workers_share_the_work_and_nobody_gets_two(work: Work) -> None:
    """Two drains of one lane at once send each delivery once."""
    await work.fill()
    await asyncio.gather(work.worker("one")(Lane.NORMAL), work.worker("two")(Lane.NORMAL))

    assert len(work.server.kept) == PEOPLE
    assert work.copies() == {1}
