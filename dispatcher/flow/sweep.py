"""What is due, what got stuck, what Redis forgot: read from the ledger every few seconds.

Redis is only the bell. Whatever it loses is rung for again here, and while it is away the work is begun
without it. A delivery whose worker went away is taken up once its lease has run out.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from dispatcher.domain.delivery import Lane
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.expand import LEASE
from dispatcher.flow.hold import LetGo
from dispatcher.flow.unrung import Unrung
from dispatcher.flow.watch import LeaseWatch
from dispatcher.ledger.events import Waiting
from dispatcher.ledger.leases import Lease
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.workers import ALIVE_WITHIN
from dispatcher.queue.bell import Bell
from dispatcher.queue.lanes import EVERY

#: How long an accepted event is left to the bell that was rung for it.
PATIENCE = timedelta(seconds=3)
#: Waiting events looked at in one sweep.
BATCH = 1_000
#: Urgent events that are expanded at a time beside the others, while nobody hears the bell.
ASIDE = 4
#: A wall clock that fell behind by so many seconds was set back.
SET_BACK = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watches:
    """The two clocks of a sweep: what time it is, and monotonic seconds."""

    clock: Callable[[], datetime]
    monotonic: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Sweeper:
    """The worker that sweeps.

    Attributes:
        worker: Its id.
        expand: Expands an event, or `EVERY`.
        deliver: Delivers what is due in a lane.
        deaf: Whether it does not hear the bell at present, though others may.
    """

    worker: str
    expand: Callable[[str], Awaitable[object]]
    deliver: Callable[[Lane], Awaitable[object]]
    deaf: Callable[[], bool]


class Sweep:
    """Rings for everything that waits, and sees to it where nobody would hear.

    Attributes:
        gone: The workers that went away: they do not report, by our own watch.
    """

    def __init__(
        self,
        ledger: Ledger,
        bell: Bell,
        watches: Watches,
        lease: timedelta,
        sweeper: Sweeper,
    ) -> None:
        """Nothing happens before the first call.

        Args:
            ledger: The ledger.
            bell: What is rung.
            watches: The clocks.
            lease: How long a claim holds without renewal.
            sweeper: Who does what nobody would hear the bell for.
        """
        self._ledger = ledger
        self._bell = bell
        self._watches = watches
        self._leases = LeaseWatch[Lease](lease)
        self._reports = LeaseWatch[tuple[str, datetime]](ALIVE_WITHIN)
        self.gone: frozenset[str] = frozenset()
        self._sweeper = sweeper
        self._unrung = Unrung()
        self._let_go = LetGo(ledger, watches.monotonic)
        self._ahead = float("inf")  # by how much the wall clock is ahead of the monotonic one

    async def __call__(self) -> None:
        """One sweep.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        now = self._watches.clock()
        await self._recover()
        await self._miss()
        await self._mind_the_clock(now)
        await self._let_go()
        waiting = await self._ledger.events.waiting(BATCH)
        # One that seems to come from the future came before the clock was set back.
        late = [event for event in waiting if not now - PATIENCE < event.accepted_at <= now]
        for lane in {event.lane for event in late}:
            if not await self._heard(partial(self._bell.ring_expand, EVERY, lane)):
                self._expand_unrung(late)
        for lane in await self._ledger.backlog.due_lanes(now):
            if not await self._heard(partial(self._bell.ring_deliver, lane)):
                self._unrung.begin(f"to deliver {lane} mail", partial(self._sweeper.deliver, lane))

    async def _heard(self, ring: Callable[[], Awaitable[bool]]) -> bool:
        return not self._sweeper.deaf() and await ring()

    def _expand_unrung(self, waiting: Sequence[Waiting]) -> None:
        """Expand what waits, one after the other; urgent events do not queue behind a hundred others."""
        urgent = [event.id for event in waiting if event.lane is Lane.URGENT]
        for event in urgent[:ASIDE]:
            self._unrung.begin(f"to expand {event}", partial(self._sweeper.expand, event))
        self._unrung.begin("to expand events", partial(self._sweeper.expand, EVERY))

    async def settled(self) -> None:
        """Wait for what was begun without the bell, however long it takes."""
        await self._unrung.settled()

    async def end(self, grace: timedelta) -> None:
        """Wait for what was begun without the bell; after `grace` it is cancelled."""
        await self._unrung.end(grace)

    async def _recover(self) -> None:
        held = await self._ledger.leases.held(self._sweeper.worker)
        lapsed = self._leases.lapsed(held, self._watches.monotonic())
        if not lapsed:
            return
        try:
            recovered = await self._ledger.leases.recover(lapsed)
        except ServiceUnreachable:
            self._leases.forget()
            raise
        if recovered.deliveries:
            _log.warning("%d deliveries were taken over from a worker that went away", recovered.deliveries)
        for delivery in recovered.poison:
            _log.error(
                "delivery %s is held: several workers in a row went away while they were sending it. "
                "`dispatcher release %s` tries it again.",
                delivery,
                delivery,
            )

    async def _miss(self) -> None:
        """Learn who does not report any more; one that is only late is heard of again."""
        reports = await self._ledger.workers.reports()
        silent = self._reports.lapsed(reports, self._watches.monotonic())
        self.gone = frozenset(worker for worker, _ in silent)

    async def _mind_the_clock(self, now: datetime) -> None:
        """Do not let what is due at once wait for a clock that was set back, now or before we started."""
        ahead = now.timestamp() - self._watches.monotonic()
        if ahead < self._ahead - SET_BACK and (moved := await self._ledger.backlog.due_at_once(LEASE)):
            _log.warning("the clock was set back; %d that are due at once do not wait for it", moved)
        self._ahead = ahead
