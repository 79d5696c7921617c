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
from slow import PATIENT
from smtp_server import SmtpServer

from dispatcher.domain.delivery import Delivery, Lane, NewVariant, OnUncertain, Outcome, Status
from dispatcher.errors import ServiceUnreachable
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow import compose, drain
from dispatcher.flow.attempt import Terms
from dispatcher.flow.compose import Compose
from dispatcher.flow.deliver import Deliver
from dispatcher.ledger import Expansion, Filter, Ledger
from dispatcher.mail.content import Content
from dispatcher.mail.message import seal
from dispatcher.smtp.relay import Envelope, Relay

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

    async def one_more(self, address: str, content: bytes = CONTENT) -> None:
        """Put one more delivery into the ledger, of an event of its own."""
        [added] = await self.ledger.events.add([new_event(address)])
        variants = [NewVariant("v1", "Hello", content, "test@0")]
        expansion = Expansion(variants, [new_delivery(address)], [f"<{address}>"])
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

    async def kept_some(self) -> None:
        """Wait until the server has a message."""
        await self.until(lambda: bool(self.server.kept))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it."""
        async with asyncio.timeout(5 * PATIENT):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

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


@pytest.mark.parametrize(("name", "times"), [("record", 2), ("content", 2), ("renew", 1)])
async def test_a_ledger_that_is_away_for_a_moment_doubles_nothing(
    work: Work, monkeypatch: pytest.MonkeyPatch, name: str, times: int
) -> None:
    """Outcomes and claims are kept until the ledger is back; everybody gets one copy."""
    await work.fill()
    work.server.script("DATA", delay=0.2)
    calls = _failing(monkeypatch, work.ledger.claims, name, times)
    await work.worker(lease=2.4)(Lane.NORMAL)

    assert len(calls) > times
    assert work.copies() == {1}
    assert {(row.status, row.uncertain, len(row.attempts)) for row in await work.rows()} == {
        (Status.SENT, False, 1)
    }


async def test_a_drain_that_is_cancelled_returns_what_it_did_not_begin(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun is seen through or uncertain, what was not goes back to the queue as it was."""
    monkeypatch.setattr(drain, "LAST_SECONDS", 3.0 * PATIENT)
    await work.fill(on_uncertain=OnUncertain.HOLD)
    slow = work.server.script("DATA", delay=0.3)
    running = asyncio.create_task(work.worker()(Lane.NORMAL))
    await work.kept_some()
    await work.until(lambda: slow.hits >= 4)  # every session has begun something
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
    await work.kept_some()
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
    work.server.script("DATA", delay=1.2, times=8)
    _failing(monkeypatch, work.ledger.claims, "renew", 1_000)
    slow = asyncio.create_task(work.worker("slow", lease=2.0)(Lane.NORMAL))
    while not (claimed := await work.ledger.leases.held("w")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(2.4)
    await work.ledger.leases.recover(claimed)  # and none that it has claimed anew meanwhile
    await work.worker("quick")(Lane.NORMAL)
    await slow

    copies = Counter(kept.recipient for kept in work.server.kept)
    assert len(copies) == PEOPLE
    # Only what was on the wire when the claims lapsed can have gone out twice: one message a session.
    assert sum(number - 1 for number in copies.values()) <= 4
    assert max(copies.values()) <= 2
    assert {row.status for row in await work.rows()} == {Status.SENT}


async def test_what_waits_in_a_worker_is_not_begun_once_its_event_is_cancelled(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that holds claims of the event learns of it within a second, and sends no more of them."""
    await work.fill()
    hang = work.server.script("DATA", action="hang")
    running = asyncio.create_task(work.worker()(Lane.NORMAL))
    await work.until(lambda: hang.hits == 4)
    [event] = {row.event for row in await work.rows()}
    await work.ledger.events.cancel(event)
    await work.ledger.deliveries.cancel(event)
    original, learnt = work.ledger.events.cancelled, asyncio.Event()

    async def cancelled(events: Any) -> Any:
        found = await original(events)
        learnt.set()
        return found

    monkeypatch.setattr(work.ledger.events, "cancelled", cancelled)
    await asyncio.wait_for(learnt.wait(), 1.0 * PATIENT)
    hang.released.set()
    await running
    states = Counter(row.status for row in await work.rows())

    assert states == {Status.SENT: 4, Status.CANCELLED: PEOPLE - 4}
    assert len(work.server.kept) == 4


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


async def test_drains_that_overlap_hold_no_more_than_one(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose time is up, and that still waits for the server, leaves the next one little room."""
    await work.fill()
    monkeypatch.setattr(drain, "WINDOW", 8)
    monkeypatch.setattr(drain, "BUDGET_SECONDS", 0.1)
    hang = work.server.script("DATA", action="hang")
    worker = work.worker()
    first = asyncio.create_task(worker(Lane.NORMAL))
    await hang.reached.wait()
    await asyncio.sleep(1.5)
    second = asyncio.create_task(worker(Lane.NORMAL))
    await asyncio.sleep(0.3)
    sending = sum(row.status is Status.SENDING for row in await work.rows())
    work.server.clear()
    await asyncio.gather(first, second)
    await worker(Lane.NORMAL)

    assert sending == 8


async def test_an_uncertain_message_that_is_given_up_is_held_not_failed(work: Work) -> None:
    """After four days nobody can say that it failed; it is held for a person to decide."""
    await work.fill()
    work.server.script("DOT", "p003@example.com", action="cut", keep=True)
    worker = work.worker()
    await worker(Lane.NORMAL)
    work.clock.advance(days=5)
    await worker(Lane.NORMAL)
    [odd] = [row for row in await work.rows() if row.status is not Status.SENT]

    assert (odd.status, odd.uncertain) == (Status.HELD, True)
    assert odd.attempts[0].status is Status.UNCERTAIN


async def test_two_workers_share_the_work_and_nobody_gets_two(work: Work) -> None:
    """Two drains of one lane at once send each delivery once."""
    await work.fill()
    await asyncio.gather(work.worker("one")(Lane.NORMAL), work.worker("two")(Lane.NORMAL))

    assert len(work.server.kept) == PEOPLE
    assert work.copies() == {1}


async def test_what_is_known_counts_even_after_the_lease_ran_out(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep guessed that nobody knows; the worker that does know is believed, and nothing is doubled."""
    await work.fill()
    # All outcomes come at once, however slowly; of what is not done yet the sweep would be right.
    monkeypatch.setattr(drain, "FLUSH_SECONDS", 60.0)
    original = work.ledger.claims.record
    swept: list[int] = []

    async def record(recorded: Any) -> int:
        if not swept:
            taken = await work.ledger.leases.recover(await work.ledger.leases.held("w"))
            swept.append(taken.deliveries)
        return await original(recorded)

    monkeypatch.setattr(work.ledger.claims, "record", record)
    await work.worker()(Lane.NORMAL)

    assert swept[0] > 0
    assert work.copies() == {1}
    assert {row.status for row in await work.rows()} == {Status.SENT}


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_ledger_that_is_away_gets_back_what_was_not_begun(
    work: Work, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """One call that fails loses nothing: what was not begun is offered again until the ledger has it."""
    monkeypatch.setattr(drain, "LAST_SECONDS", 3.0 * PATIENT)
    await work.fill(on_uncertain=OnUncertain.HOLD)
    work.server.script("DATA", delay=0.3)
    calls = _failing(monkeypatch, work.ledger.claims, "give_back", 1)
    worker = work.worker()
    running = asyncio.create_task(worker(Lane.NORMAL))
    await work.kept_some()
    worker.stop() if how == "stop" else running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    states = Counter(row.status for row in await work.rows())

    assert len(calls) > 1
    assert set(states) == {Status.SENT, Status.QUEUED}
    assert states[Status.SENT] == len(work.server.kept)


async def test_a_message_that_hangs_does_not_keep_the_lane(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a drain claims no more, the next one begins beside it."""
    await work.fill()
    monkeypatch.setattr(drain, "BUDGET_SECONDS", 0.3)
    monkeypatch.setattr(drain, "IDLE_SECONDS", 0.1)
    hang = work.server.script("DOT", "p000@example.com", action="hang", keep=True, times=1)
    worker = work.worker()
    first = asyncio.create_task(worker(Lane.NORMAL))
    await hang.reached.wait()
    late: list[str] = []
    async with asyncio.timeout(5 * PATIENT):
        while True:
            late.append(f"late{len(late)}@example.com")
            await work.one_more(late[-1])
            if await worker(Lane.NORMAL):  # 0 is said while the first still claims, and so hears of it
                break
    early, hangs = [kept.recipient for kept in work.server.kept], not first.done()
    hang.released.set()
    await first

    assert late[-1] in early
    assert hangs
    assert work.copies() == {1}


async def test_a_ring_while_a_drain_waits_is_heard_at_once(work: Work) -> None:
    """What falls due while one message hangs is sent without waiting for it."""
    await work.fill()
    hang = work.server.script("DOT", "p000@example.com", action="hang", keep=True, times=1)
    worker = work.worker()
    first = asyncio.create_task(worker(Lane.NORMAL))
    await hang.reached.wait()
    await asyncio.sleep(0.5)
    [event] = await work.ledger.events.add([new_event("second")])
    await work.ledger.expansions.store(
        event.id,
        Expansion(
            [NewVariant("v1", "Hello", CONTENT, "test@0")], [new_delivery("late@example.com")], ["<late@x>"]
        ),
    )
    assert await worker(Lane.NORMAL) == 0
    async with asyncio.timeout(5 * PATIENT):
        while "late@example.com" not in (early := work.server.recipients):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    hangs = not first.done()
    hang.released.set()
    await first

    assert "late@example.com" in early
    assert hangs


async def test_damaged_content_fails_its_own_deliveries_and_no_others(work: Work) -> None:
    """Content that cannot be read is told of; what shares the batch is sent."""
    await work.fill()
    [event] = await work.ledger.events.add([new_event("second")])
    await work.ledger.expansions.store(
        event.id,
        Expansion(
            [NewVariant("v1", "Hello", b"[1]", "test@0")], [new_delivery("odd@example.com")], ["<odd@x>"]
        ),
    )
    await work.worker()(Lane.NORMAL)
    odd = [row for row in await work.rows() if row.status is not Status.SENT]

    assert [(row.address, row.status, row.attempts[0].reason) for row in odd] == [
        ("odd@example.com", Status.FAILED, "unsendable")
    ]
    assert len(work.server.kept) == PEOPLE


async def test_a_drain_cancelled_while_it_claims_gives_the_claims_back(work: Work) -> None:
    """Rows that became ours in the same breath are not left behind."""
    await work.fill(on_uncertain=OnUncertain.HOLD)
    for pause in (0.0, 0.001, 0.002, 0.004, 0.008):
        running = asyncio.create_task(work.worker()(Lane.NORMAL))
        await asyncio.sleep(pause)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert {row.status for row in await work.rows()} <= {Status.QUEUED, Status.SENT}


async def test_what_its_domain_holds_back_is_due_later_and_no_try_is_counted(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes back to the queue untried, due when the relay said, with the reason; the others are sent."""
    await work.fill()
    original = Relay.send

    async def send(self: Relay, envelope: Envelope, **named: Any) -> Outcome | None:
        if envelope.recipient == "p007@example.com":
            return Outcome(Status.DEFERRED, "domain_limit", tried=False, later=40.0)
        came: Outcome | None = await original(self, envelope, **named)
        return came

    monkeypatch.setattr(Relay, "send", send)
    await work.worker()(Lane.NORMAL)
    [odd] = [row for row in await work.rows() if row.status is not Status.SENT]

    assert (odd.address, odd.status, odd.reason) == ("p007@example.com", Status.QUEUED, "domain_limit")
    assert (odd.tries, odd.attempts, odd.next_try_at) == (0, (), work.clock.now + timedelta(seconds=40))
    assert len(work.server.kept) == PEOPLE - 1


async def test_content_is_kept_up_to_so_many_bytes(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was used last is at hand; what was not used for longest is read from the ledger again."""
    for number in range(3):
        await work.one_more(f"p{number}@example.com")
    one, two, three = await work.ledger.claims.claim(Lane.NORMAL, 3, worker="w", lease=timedelta(seconds=30))
    monkeypatch.setattr(compose, "KEPT_BYTES", 2 * len(CONTENT))
    made = Compose(load_catalogue(PROJECT / "catalogue.yaml"), work.ledger)
    reads = _failing(monkeypatch, work.ledger.claims, "content", 0)
    await made.contents([one, two])
    await made.contents([one])
    await made.contents([three])
    await made.contents([one, three])
    kept = len(reads)
    found = await made.contents([two])

    assert (kept, len(reads)) == (2, 3)
    assert not isinstance(found[two.variant], str)
