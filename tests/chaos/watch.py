"""How long it takes until all is well again after each fault.

Two measures, taken from the ledger ten times a second and past the program:

- *outage* (Redis, relay, ledger, a clock that jumps): from the end of the fault until the next attempt is
  committed. It counts only if work was due at the first look after the end: a delivery that is due or
  being sent, or an event that is not expanded. Otherwise there was nothing to recover.
- *worker gone* (killed, suspended, told to end): from the signal until no delivery is `sending` under its id
  and, for one that is suspended and comes back, the lease that it had at the signal. It counts only if there
  was one at the first look after the signal.

For the intake it is the time from the kill until it answers again; the storm measures that itself.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from chaos.fastclock import FastClock
from chaos.ledgers import LedgerSide

LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Look:
    """The ledger at one moment.

    Attributes:
        attempts: The highest id of an attempt.
        work: Whether there is anything to do at once.
        sending: The leases under which something is being sent: the worker's id, and a number that changes
            with each renewal.
        waiting: How many deliveries wait or are being sent, and events not expanded.
        next_due: When the first delivery that waits is due, in microseconds since 1970, or None.
    """

    attempts: int
    work: bool
    sending: frozenset[tuple[str, int]]
    waiting: int
    next_due: int | None

    def leases(self, pid: int) -> frozenset[tuple[str, int]]:
        """Those of the worker of that process."""
        return frozenset(lease for lease in self.sending if f"-{pid}-" in lease[0])


@dataclass(slots=True)
class _Open:
    kind: str
    since: float
    pid: int | None
    before: int | None = None
    leases: frozenset[tuple[str, int]] = frozenset()


class Watch:
    """Looks at the ledger all the while.

    Attributes:
        seconds: By kind of fault, how long each recovery took.
        idle: How many faults met nothing that could have been delayed.
    """

    def __init__(self, side: LedgerSide, clock: FastClock) -> None:
        self._side, self._clock = side, clock
        self._open: list[_Open] = []
        self.seconds: list[tuple[str, float]] = []
        self.idle = 0

    @property
    def unrecovered(self) -> list[str]:
        """The kinds of those faults that nothing has recovered from yet."""
        return [one.kind for one in self._open]

    def outage_over(self, kind: str) -> None:
        """A fault has ended just now."""
        self._open.append(_Open(kind, time.monotonic(), None))

    def worker_gone(self, kind: str, pid: int) -> None:
        """That process was sent a signal just now that ends or suspends it."""
        self._open.append(_Open(kind, time.monotonic(), pid))

    def took(self, kind: str, seconds: float) -> None:
        """A recovery that was measured elsewhere."""
        self.seconds.append((kind, seconds))

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began = time.monotonic()
            look = await self.look()
            self._open = [one for one in self._open if one.since > began or self._still_open(one, look)]
            await asyncio.sleep(LOOK_SECONDS)

    def _still_open(self, one: _Open, look: Look) -> bool:
        held = look.leases(one.pid) if one.pid is not None else frozenset()
        if one.before is None:
            one.before, one.leases = look.attempts, held
            busy = look.work if one.pid is None else bool(held)
            self.idle += not busy
            return busy
        if one.kind == "worker-stop":
            held &= one.leases
        over = look.attempts > one.before if one.pid is None else not held
        if over:
            self.seconds.append((one.kind, time.monotonic() - one.since))
        return not over

    async def look(self) -> Look:
        """The ledger now."""
        now = self._clock.microseconds
        [(attempts, waits, first, sending, events)] = await self._side.rows(
            "SELECT (SELECT coalesce(max(id), 0) FROM attempts),"
            " (SELECT count(*) FROM deliveries WHERE next_try_at IS NOT NULL),"
            " (SELECT min(next_try_at) FROM deliveries WHERE next_try_at IS NOT NULL),"
            " (SELECT count(*) FROM deliveries WHERE status = 'sending'),"
            " (SELECT count(*) FROM events WHERE status = 'accepted')"
        )
        leases = await self._side.rows(
            "SELECT DISTINCT worker, lease_until FROM deliveries WHERE status = 'sending'"
        )
        due = first is not None and first <= now
        return Look(
            attempts=attempts,
            work=bool(due or sending or events),
            sending=frozenset((str(worker), int(until)) for worker, until in leases),
            waiting=waits + sending + events,
            next_due=first,
        )
