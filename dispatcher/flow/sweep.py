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

#: How long an accepted event is left to the bell that was rung for it.
PATIENCE = timedelta(seconds=3)
#: Events rung for in one sweep; the next sweep is seconds away.
BATCH = 100

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
        for waiting in await self._ledger.events.unexpanded(BATCH):
            event = await self._ledger.events.get(waiting)
            if event.accepted_at <= now - PATIENCE:
                await self._bell.ring_expand(event.id, event.lane)
        for lane in await self._ledger.claims.due_lanes(now):
            await self._bell.ring_deliver(lane)
