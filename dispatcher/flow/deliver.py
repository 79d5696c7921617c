"""Due deliveries of one lane are claimed, sent and recorded; one job drains many rows."""

from __future__ import annotations

import asyncio

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Lane
from dispatcher.flow.attempt import Attempt, Terms
from dispatcher.flow.compose import Compose
from dispatcher.flow.drain import Drain, Tally
from dispatcher.ledger.ledger import Ledger
from dispatcher.smtp.relay import Relay


class Deliver:
    """Sends what is due.

    Attributes:
        tally: What was counted so far.
    """

    def __init__(
        self, catalogue: Catalogue, ledger: Ledger, relay: Relay, terms: Terms, public_url: str | None = None
    ) -> None:
        self._ledger = ledger
        self._terms = terms
        self._attempt = Attempt(relay, Compose(catalogue, ledger, public_url), terms)
        self.tally = Tally()
        self._drains: dict[Lane, list[Drain]] = {}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Claim nothing more; what is on the way is finished, what is not goes back."""
        self._stopping.set()

    async def __call__(self, lane: Lane) -> int:
        """Send what is due in `lane`; if that is being done already, have it look once more and return.

        Returns:
            How many outcomes were recorded.

        Raises:
            ServiceUnreachable: The ledger does not answer; the sweep rings again when it does.
        """
        if self._stopping.is_set():
            return 0
        drains = self._drains.setdefault(lane, [])
        if drains and drains[-1].look_again():
            return 0
        drain = Drain(
            lane,
            self._ledger,
            self._attempt,
            self._terms,
            self._stopping,
            self.tally,
            beside=lambda: sum(other.held for other in drains if other is not drain),
        )
        drains.append(drain)
        try:
            return await drain.run()
        finally:
            drains.remove(drain)
