"""What a domain's limit lets through in the long run, with a worker that looks for what is due."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

import pytest
from virtual_time import in_no_time

from dispatcher.settings import DomainLimit
from dispatcher.smtp.domains import PARKED, Domains

#: What a worker claims at a time, how long that takes it, and how often one with nothing to do looks.
WINDOW, CLAIMING, SWEEP = 200, 0.1, 2.0


@dataclass
class Lane:
    """One worker over one lane, and the rows of its ledger.

    Attributes:
        takes: Seconds that a message to a domain is on its way, at a moment.
        sent: When each message of a domain left.
        most: How many of a domain were on their way at a time.
        claims: How often rows were claimed.
    """

    limits: dict[str, DomainLimit]
    takes: Callable[[str, float], float]
    sent: dict[str, list[float]] = field(default_factory=dict)
    most: Counter[str] = field(default_factory=Counter)
    claims: int = 0

    def run(self, rows: list[str], seconds: float) -> None:
        """Let so much time pass, with so many rows of these domains due at its beginning."""
        in_no_time(self._run(rows, seconds))

    def rate(self, domain: str, begin: float, end: float) -> float:
        """Messages a second that left between two moments."""
        return sum(begin <= at < end for at in self.sent.get(domain, ())) / (end - begin)

    async def _run(self, rows: list[str], seconds: float) -> None:
        self._time = asyncio.get_running_loop().time
        self._domains = Domains(self.limits, self._time)
        self._waiting: deque[str] = deque()
        self._due = [(0.0, number, domain) for number, domain in enumerate(rows)]
        self._inside: Counter[str] = Counter()
        self._open = 0
        self._more = asyncio.Condition()
        senders = [asyncio.create_task(self._send()) for _ in range(8 + PARKED)]
        while self._time() < seconds:
            taken = 0
            while self._due and self._due[0][0] <= self._time() and self._open < WINDOW:
                self._waiting.append(heappop(self._due)[2])
                self._open += 1
                taken += 1
            self.claims += taken
            async with self._more:
                self._more.notify_all()
            await asyncio.sleep(CLAIMING if self._open else SWEEP)
        for task in senders:
            task.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    async def _send(self) -> None:
        while True:
            async with self._more:
                await self._more.wait_for(lambda: self._waiting)
            domain = self._waiting.popleft() if self._waiting else ""
            if domain:
                await self._one(domain)
                self._open -= 1

    async def _one(self, domain: str) -> None:
        if later := await self._domains.enter(f"ann@{domain}", urgent=False):
            heappush(self._due, (self._time() + later, self.claims, domain))
            return
        began = self._time()
        self._inside[domain] += 1
        self.most[domain] = max(self.most[domain], self._inside[domain])
        await asyncio.sleep(self.takes(domain, began))
        self._inside[domain] -= 1
        self._domains.leave(f"ann@{domain}", began, tried=True)
        self.sent.setdefault(domain, []).append(self._time())


FAST, SLOW = "fast.example", "slow.example"


@pytest.mark.parametrize(
    ("at_once", "takes", "backlog", "seconds"),
    [(3, 0.02, 3_000, 15), (5, 0.1, 3_000, 30), (3, 1.5, 600, 60)],
)
def test_a_limit_of_messages_at_once_is_used_to_four_fifths(
    at_once: int, takes: float, backlog: int, seconds: float
) -> None:
    """A backlog leaves as fast as its limit allows, whatever a message takes; each is claimed a few times."""
    lane = Lane({FAST: DomainLimit(at_once)}, lambda *_: takes)
    lane.run([FAST] * backlog, seconds)

    assert lane.rate(FAST, 0, seconds) >= 0.8 * at_once / takes
    assert lane.most[FAST] == at_once
    assert lane.claims < 6 * backlog


def test_the_last_of_a_few_hundred_do_not_come_late() -> None:
    """Six hundred at some 150 a second are through in six seconds."""
    lane = Lane({FAST: DomainLimit(3)}, lambda *_: 0.02)
    lane.run([FAST] * 600, 6)

    assert len(lane.sent[FAST]) == 600


@pytest.mark.parametrize(("count", "seconds"), [(20, 1.0), (20, 60.0), (1, 30.0)])
def test_a_rate_is_used_to_the_full_and_never_exceeded(count: int, seconds: float) -> None:
    """In no stretch of its time more begin than it says, and over ten of them nearly as many as it says."""
    lane = Lane({FAST: DomainLimit(None, count, seconds)}, lambda *_: 0.0)
    lane.run([FAST] * (20 * count), 10 * seconds)
    left = lane.sent[FAST]

    assert len(left) >= 0.95 * 10 * count
    assert all(late - early >= seconds - 1e-6 for early, late in zip(left, left[count:], strict=False))


def test_a_domain_that_hung_is_used_again_soon() -> None:
    """Those that were sent off meanwhile stay away for no longer than it hung."""
    lane = Lane({FAST: DomainLimit(3)}, lambda _, now: max(0.02, 30.0 - now))
    lane.run([FAST] * 5_000, 70)

    assert not lane.rate(FAST, 0, 29)
    assert lane.rate(FAST, 60, 70) >= 0.8 * 150


def test_a_backlog_of_one_domain_leaves_the_lane_to_others() -> None:
    """Mail of two other domains behind it leaves within seconds, one of them at its own limit."""
    limits = {SLOW: DomainLimit(2), FAST: DomainLimit(3)}
    lane = Lane(limits, lambda domain, _: 1.5 if domain == SLOW else 0.02)
    lane.run([SLOW] * 2_000 + [FAST] * 500 + ["other.example"] * 500, 30)

    assert len(lane.sent["other.example"]) == 500
    assert lane.sent["other.example"][-1] < 5
    assert len(lane.sent[FAST]) == 500
    assert lane.sent[FAST][-1] < 10
    assert lane.rate(SLOW, 0, 30) >= 0.8 * 2 / 1.5


def test_many_domains_at_their_limits_share_what_waits_here() -> None:
    """No one of them has all places to wait, so each gets what its limit lets through."""
    names = [f"d{number}.example" for number in range(8)]
    lane = Lane({"*": DomainLimit(1)}, lambda *_: 0.1)
    lane.run(names * 300, 20)

    assert min(lane.rate(name, 0, 20) for name in names) >= 0.8 * 10
