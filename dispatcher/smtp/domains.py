"""How much mail each domain gets at a time: those at their limit wait without a session, or come back later.

A message whose domain is at its limit waits here, as long as that takes seconds and few others do. Any other
is told when to come back. Turns follow each other as fast as the limit lets mail through, so that a message
comes back about when there is room for it, and a backlog of one domain is not looked at over and over.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dispatcher.settings import EVERY_OTHER, DomainLimit

#: Messages that wait here at a time, whatever their domains, and as many urgent ones; a quarter of what a
#: worker holds of a lane.
PARKED = 50
#: How long one waits at most: a worker that stops, or a claim that lapses, is not kept from it for longer.
PARK_SECONDS = 5.0
#: When to come back: the sweep looks every two seconds, and a limit may be set anew within minutes.
SOONEST, LATEST = 1.0, 300.0
#: What a message takes as long as none has told.
_FIRST_GUESS = 0.1
#: The limit of a domain that nobody sends to is forgotten once so many are known.
_MOST_GATES = 1_000


@dataclass(slots=True, eq=False)
class _Gate:
    """One domain.

    Attributes:
        inside: Messages on their way.
        begun: When the last ones were begun, as many as its rate counts; oldest first.
        waiting: Who waits here: those that are not urgent, those that are.
        come_back: Up to when turns are given away to those that were sent off, of each kind.
        takes: Seconds that a message is on its way, smoothed.
    """

    limit: DomainLimit
    inside: int = 0
    begun: deque[float] = field(default_factory=deque)
    waiting: tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]] = field(
        default_factory=lambda: (deque(), deque())
    )
    come_back: list[float] = field(default_factory=lambda: [0.0, 0.0])
    takes: float = _FIRST_GUESS
    timer: asyncio.TimerHandle | None = None

    def opens(self, now: float) -> float | None:
        """In how many seconds one more may begin, 0 for now; None once another has ended."""
        if self.limit.at_once is not None and self.inside >= self.limit.at_once:
            return None
        if self.limit.count is None or len(self.begun) < self.limit.count:
            return 0.0
        return max(0.0, self.begun[0] + self.limit.seconds - now)

    def begin(self, now: float) -> None:
        self.inside += 1
        if self.limit.count is not None:
            self.begun.append(now)
            if len(self.begun) > self.limit.count:
                self.begun.popleft()

    @property
    def each(self) -> float:
        """Seconds between two turns."""
        rate = self.limit.seconds / self.limit.count if self.limit.count is not None else 0.0
        return max(rate, self.takes / self.limit.at_once if self.limit.at_once is not None else 0.0)


class Domains:
    """The limits of all domains, for one worker process."""

    def __init__(self, limits: Mapping[str, DomainLimit], clock: Callable[[], float]) -> None:
        """Begin with nothing on its way.

        Args:
            limits: By domain, or `EVERY_OTHER`.
            clock: Monotonic seconds.
        """
        self._limits = limits
        self._clock = clock
        self._gates: dict[str, _Gate] = {}
        self._parked = [0, 0]  # those that are not urgent, those that are

    async def enter(self, recipient: str, *, urgent: bool) -> float:
        """Wait for a place, but not for long.

        Returns:
            0 once the message may begin, and `leave` must follow; else after how many seconds to come back.
        """
        gate = self._gate(recipient)
        if gate is None:
            return 0.0
        now = self._clock()
        if not any(gate.waiting) and gate.opens(now) == 0.0:
            gate.begin(now)
            return 0.0
        ahead = len(gate.waiting[True]) + (0 if urgent else len(gate.waiting[False]))
        if self._parked[urgent] < PARKED and (gate.opens(now) or 0.0) + ahead * gate.each <= PARK_SECONDS:
            if await self._parks(gate, urgent=urgent):
                return 0.0
            now = self._clock()
        turn = max(gate.come_back[urgent], now + (ahead + 1) * gate.each)
        gate.come_back[urgent] = min(turn + gate.each, now + LATEST)
        return _coarse(min(max(turn - now, SOONEST), LATEST))

    def leave(self, recipient: str, began: float) -> None:
        """What entered then has ended, whatever came of it."""
        gate = self._gate(recipient)
        if gate is None:
            return
        gate.inside -= 1
        gate.takes += (self._clock() - began - gate.takes) / 8
        self._let_in(gate)

    def _gate(self, recipient: str) -> _Gate | None:
        if not self._limits:
            return None
        domain = recipient.rpartition("@")[2].lower()
        gate = self._gates.get(domain)
        if gate is None:
            limit = self._limits.get(domain) or self._limits.get(EVERY_OTHER)
            if limit is None:
                return None
            if len(self._gates) >= _MOST_GATES:
                self._forget_idle()
            gate = self._gates[domain] = _Gate(limit)
        return gate

    def _forget_idle(self) -> None:
        now = self._clock()
        for domain, gate in list(self._gates.items()):
            used = gate.begun[-1] + gate.limit.seconds if gate.begun else now
            if not gate.inside and not any(gate.waiting) and max(used, *gate.come_back) <= now:
                del self._gates[domain]

    async def _parks(self, gate: _Gate, *, urgent: bool) -> bool:
        """Wait in the domain's own queue; whether a place was had in time."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        queue = gate.waiting[urgent]
        queue.append(waiter)
        self._parked[urgent] += 1
        late = loop.call_later(PARK_SECONDS, waiter.cancel)
        self._let_in(gate)
        try:
            await asyncio.wait({waiter})
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                gate.inside -= 1  # let in and cancelled in the same breath
                self._let_in(gate)
            raise
        finally:
            self._parked[urgent] -= 1
            late.cancel()
            if waiter in queue:
                queue.remove(waiter)
        return not waiter.cancelled()

    def _let_in(self, gate: _Gate) -> None:
        """Let in whom there is room for, urgent ones first; look again when the rate allows the next."""
        if gate.timer is not None:
            gate.timer.cancel()
            gate.timer = None
        while any(gate.waiting):
            now = self._clock()
            opens = gate.opens(now)
            if opens is None:
                return
            if opens > 0.0:
                loop = asyncio.get_running_loop()
                gate.timer = loop.call_later(max(opens, 0.001), self._let_in, gate)
                return
            waiter = (gate.waiting[True] or gate.waiting[False]).popleft()
            if not waiter.done():
                gate.begin(now)
                waiter.set_result(None)


def _coarse(seconds: float) -> float:
    """Whole seconds, from ten on whole tens: those that come back together go to the ledger together."""
    step = 1 if seconds <= 10 else 10
    return float(step * math.ceil(seconds / step))
