"""What is due, what got stuck, what Redis forgot: read from the ledger every few seconds.

Redis is only the bell. Whatever it loses is rung for again here, and a delivery whose worker went away is
taken up once its lease has run out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from dispatcher.ledger.ledger import Ledger
from dispatcher.queue.bell import Bell
from dispatcher.queue.lanes import EVERY

#: How long an accepted event is left to the bell that was rung for it.
PATIENCE = timedelta(seconds=3)
#: Waiting events looked at in one sweep.
BATCH = 1_000

_log = logging.getLogger(__name__)


class Sweep:
    """Rings for everything that waits."""

    def __init__(self, ledger: Ledger, bell: Bell, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._bell = bell
        self._clock = clock

    async def __call__(self) -> None:
        """One sweep.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        now = self._clock()
        if recovered := await self._ledger.claims.recover(now):
            _log.warning("%d deliveries were taken over from a worker that went away", recovered)
        waiting = await self._ledger.events.unexpanded(BATCH)
        for lane in {event.lane for event in waiting if event.accepted_at <= now - PATIENCE}:
            await self._bell.ring_expand(EVERY, lane)
        for lane in await self._ledger.claims.due_lanes(now):
            await self._bell.ring_deliver(lane)
