"""How much mail each domain gets at a time: those at their limit wait without a session, or come back later.

A message whose domain is at its limit waits here, as long as that takes seconds and few others do. Any other
is told when to come back. Turns follow each other as fast as the limit lets mail through, by what was
measured lately where the limit does not say it, so that a message comes back about when there is room for it,
and a backlog of one domain is not looked at over and over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dispatcher.settings import EVERY_OTHER, DomainLimit
from dispatcher.smtp.returns import CALLED, LATEST, Returns, horizon

#: Messages that wait here at a time, whatever their domains, and as many urgent ones: enough for the tenths
#: of a second between two looks of a worker, and less than half of what it holds of a lane.
PARKED = 80
#: One domain may have so many of these places for each that is free: some are left for the next domain.
_SHARE = 4
#: How long one waits at most: a worker that stops, or a claim that lapses, is not kept from it for longer.
PARK_SECONDS = 5.0
#: What a message takes as long as few have told. Whoever comes back too soon costs one more claim, whoever
#: comes back too late costs time.
_FIRST_GUESS = 0.02
#: How much the last message weighs in what messages take.
_WEIGHT = 1 / 8
#: No pace is believed that is faster.
_LEAST = 0.0005
#: The limit of a domain that nobody sends to is forgotten once so many are known.
_MOST_GATES = 1_000


@dataclass(slots=True, eq=False)
class _Gate:
    """One domain.

    Attributes:
        inside: Messages on their way.
        begun: When the last ones were begun, as many as its rate counts; oldest first.
        waiting: Who waits here: those that are not urgent, those that are.
        returns: Those that were sent off, of each kind.
        moved: When a message was begun, or ended, last.
        takes: Seconds that a message is on its way, smoothed.
        steady: Seconds a message that it could let through, and since when that has held, by half or double.
    """

    limit: DomainLimit
    moved: float
    inside: int = 0
    begun: deque[float] = field(default_factory=deque)
    waiting: tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]] = field(
        default_factory=lambda: (deque(), deque())
    )
    returns: tuple[Returns, Returns] = field(default_factory=lambda: (Returns(), Returns()))
    takes: float = _FIRST_GUESS
    steady: tuple[float, float] = (0.0, 0.0)
    timer: asyncio.TimerHandle | None = None

    def opens(self, now: float) -> float | None:
        """In how many seconds one more may begin, 0 for now; None once another has ended."""
        if self.limit.at_once is not None and self.inside >= self.limit.at_once:
            return None
        if self.limit.count is None or len(self.begun) < self.limit.count:
            return 0.0
        return max(0.0, self.begun[0] + self.limit.seconds - now)

    def begin(self, now: float) -> None:
        """One more is on its way."""
        self.inside += 1
        self.moved = now
        if self.limit.count is not None:
            self.begun.append(now)
            if len(self.begun) > self.limit.count:
                self.begun.popleft()

    def end(self, now: float, took: float | None) -> None:
        """One is no more on its way; `took` is None if it was never begun."""
        self.inside -= 1
        self.moved = now
        if took is not None:
            self.takes += (took - self.takes) * _WEIGHT

    def ahead(self, now: float, *, urgent: bool) -> float:
        """In how many seconds one could begin that waited here from now on."""
        before = len(self.waiting[True]) + (0 if urgent else len(self.waiting[False]))
        each, opens = self.each(now), self.opens(now)
        return (each if opens is None else opens) + before * each

    def each(self, now: float) -> float:
        """Seconds between two turns."""
        return max(self._by_rate, self._measured(now))

    def send_off(self, now: float, *, urgent: bool) -> float:
        """In how many seconds to come back."""
        each, measured, latest = self.each(now), self._measured(now), LATEST
        if measured > self._by_rate:
            pace, since = self.steady
            if not pace / 2 <= measured <= pace * 2:
                pace, since = self.steady = measured, now
            each, latest = measured / CALLED, horizon(now - since)
        return self.returns[urgent].give(now, self.ahead(now, urgent=urgent), each, latest)

    @property
    def _by_rate(self) -> float:
        return self.limit.seconds / self.limit.count if self.limit.count is not None else 0.0

    def _measured(self, now: float) -> float:
        """Seconds a message, by how long they take and how many there may be."""
        if self.limit.at_once is None:
            return 0.0
        full = self.inside >= self.limit.at_once
        takes = max(self.takes, now - self.moved) if full else self.takes  # they hang, or take longer now
        return max(_LEAST, takes / self.limit.at_once)


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
        if self._may_park(gate, now, urgent=urgent):
            if await self._parks(gate, urgent=urgent):
                return 0.0
            now = self._clock()
        return gate.send_off(now, urgent=urgent)

    def leave(self, recipient: str, began: float, *, tried: bool) -> None:
        """What entered then has ended, whatever came of it; `tried` if the server was asked."""
        gate = self._gate(recipient)
        if gate is None:
            return
        now = self._clock()
        gate.end(now, now - began if tried else None)
        self._let_in(gate)

    def _may_park(self, gate: _Gate, now: float, *, urgent: bool) -> bool:
        free = PARKED - self._parked[urgent]
        return len(gate.waiting[urgent]) < _SHARE * free and gate.ahead(now, urgent=urgent) <= PARK_SECONDS

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
            gate = self._gates[domain] = _Gate(limit, self._clock())
        return gate

    def _forget_idle(self) -> None:
        now = self._clock()
        for domain, gate in list(self._gates.items()):
            used = gate.begun[-1] + gate.limit.seconds if gate.begun else now
            away = any(returns.away(now) for returns in gate.returns)
            if not gate.inside and not any(gate.waiting) and not away and used <= now:
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
                gate.end(self._clock(), None)  # let in and cancelled in the same breath
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
