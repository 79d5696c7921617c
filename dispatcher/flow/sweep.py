"""What is due, what got stuck, what Redis forgot: read from the ledger every few seconds.

Redis is only the bell. Whatever it loses is rung for again here, and while it is away the work is begun
without it. A delivery whose worker went away is taken up once its lease has run out.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from dispatcher.domain.delivery import Lane
from dispatcher.flow.unrung import Unrung
from dispatcher.flow.watch import LeaseWatch
from dispatcher.ledger.ledger import Ledger
from dispatcher.queue.bell import Bell
from dispatcher.queue.lanes import EVERY

#: How long an accepted event is left to the bell that was rung for it.
PATIENCE = timedelta(seconds=3)
#: Waiting events looked at in one sweep.
BATCH = 1_000
#: A wall clock that fell behind by so many seconds was set back.
SET_BACK = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watches:
    """The two clocks of a sweep: what time it is, and monotonic seconds."""

    clock: Callable[[], datetime]
    monotonic: Callable[[], float]


class Sweep:
    """Rings for everything that waits, and sees to it where nobody would hear."""

    def __init__(
        self,
        ledger: Ledger,
        bell: Bell,
        watches: Watches,
        lease: timedelta,
        expand: Callable[[str], Awaitable[object]],
        deliver: Callable[[Lane], Awaitable[object]],
    ) -> None:
        """Nothing happens before the first call.

        Args:
            ledger: The ledger.
            bell: What is rung.
            watches: The clocks.
            lease: How long a claim holds without renewal.
            expand: Expands an event, or `EVERY`, where the bell cannot be rung.
            deliver: Delivers what is due in a lane, where the bell cannot be rung.
        """
        self._ledger = ledger
        self._bell = bell
        self._watches = watches
        self._leases = LeaseWatch(lease)
        self._expand = expand
        self._deliver = deliver
        self._unrung = Unrung()
        self._ahead = float("inf")  # by how much the wall clock is ahead of the monotonic one

    async def __call__(self) -> None:
        """One sweep.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        now = self._watches.clock()
        await self._recover()
        await self._mind_the_clock(now)
        waiting = await self._ledger.events.unexpanded(BATCH)
        for lane in {event.lane for event in waiting if event.accepted_at <= now - PATIENCE}:
            if not await self._bell.ring_expand(EVERY, lane):
                self._unrung.begin("to expand events", partial(self._expand, EVERY))
        for lane in await self._ledger.backlog.due_lanes(now):
            if not await self._bell.ring_deliver(lane):
                self._unrung.begin(f"to deliver {lane} mail", partial(self._deliver, lane))

    async def settled(self) -> None:
        """Wait for what was begun without the bell, however long it takes."""
        await self._unrung.settled()

    async def end(self, grace: timedelta) -> None:
        """Wait for what was begun without the bell; after `grace` it is cancelled."""
        await self._unrung.end(grace)

    async def _recover(self) -> None:
        held = await self._ledger.leases.held()
        lapsed = self._leases.lapsed(held, self._watches.monotonic())
        if not lapsed:
            return
        recovered = await self._ledger.leases.recover(lapsed)
        if recovered.deliveries:
            _log.warning("%d deliveries were taken over from a worker that went away", recovered.deliveries)
        for delivery in recovered.poison:
            _log.error(
                "delivery %s is held: several workers in a row went away while they were sending it. "
                "`dispatcher release %s` tries it again.",
                delivery,
                delivery,
            )

    async def _mind_the_clock(self, now: datetime) -> None:
        """Do not let what is due at once wait for a clock that was set back, now or before we started."""
        ahead = now.timestamp() - self._watches.monotonic()
        if ahead < self._ahead - SET_BACK and (moved := await self._ledger.backlog.due_at_once()):
            _log.warning("the clock was set back; %d deliveries that are due at once do not wait", moved)
        self._ahead = ahead
