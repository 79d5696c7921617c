"""Mail that is held for an incident goes back to the queue once that is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from dispatcher.ledger.ledger import Ledger

#: Seconds after which it is looked for even though nothing changed: a claim may have held something back
#: at the very moment at which its incident ended.
ANYHOW: Final = 30.0

_log = logging.getLogger(__name__)


class LetGo:
    """Lets go of what is held for incidents that are over."""

    def __init__(self, ledger: Ledger, monotonic: Callable[[], float]) -> None:
        self._ledger = ledger
        self._monotonic = monotonic
        self._extent: Mapping[str, int] | None = None
        self._looked = 0.0

    async def __call__(self) -> None:
        """Look whether an incident has ended; what was held for it alone is due from now on.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        now = self._monotonic()
        extent = await self._ledger.incidents.extent()
        if extent == self._extent and now - self._looked < ANYHOW:
            return
        released = await self._ledger.holds.release()
        self._extent, self._looked = extent, now
        if released:
            _log.info("%d deliveries go on: the incident that they were held for is over", released)
