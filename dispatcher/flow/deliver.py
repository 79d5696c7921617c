"""Due deliveries of one lane are claimed, sent and recorded; one job drains many rows."""

from __future__ import annotations

import asyncio

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Lane
from dispatcher.flow.compose import Compose
from dispatcher.flow.drain import Drain, Terms
from dispatcher.ledger.ledger import Ledger
from dispatcher.smtp.relay import Relay


class Deliver:
    """Sends what is due."""

    def __init__(self, catalogue: Catalogue, ledger: Ledger, relay: Relay, terms: Terms) -> None:
        self._ledger = ledger
        self._relay = relay
        self._terms = terms
        self._compose = Compose(catalogue, ledger)
        self._draining: set[Lane] = set()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Claim nothing more; what is on the way is finished, what is not goes back."""
        self._stopping.set()

    async def __call__(self, lane: Lane) -> int:
        """Send what is due in `lane`; a second call for a lane that is being drained returns at once.

        Returns:
            How many outcomes were recorded.

        Raises:
            ServiceUnreachable: The ledger does not answer; the sweep rings again when it does.
        """
        if lane in self._draining or self._stopping.is_set():
            return 0
        self._draining.add(lane)
        try:
            drain = Drain(lane, self._ledger, self._relay, self._compose, self._terms, self._stopping)
            return await drain.run()
        finally:
            self._draining.discard(lane)
