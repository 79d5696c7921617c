"""One try to send one message, and what is to be recorded of it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.domain.delivery import Claim, Lane, Outcome, Status
from dispatcher.domain.retry import next_try
from dispatcher.flow.compose import Compose, Content
from dispatcher.ledger.outcomes import Recorded
from dispatcher.smtp.relay import Relay

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker brings to every delivery.

    Attributes:
        worker: The worker's id, for the ledger.
        lease: How long a claim holds without renewal.
        sessions: How many messages may be on their way at a time.
    """

    worker: str
    lease: timedelta
    sessions: int
    clock: Callable[[], datetime]
    rng: random.Random


@dataclass(frozen=True, slots=True)
class Attempt:
    """Makes attempts."""

    relay: Relay
    compose: Compose
    terms: Terms

    async def __call__(self, claim: Claim, content: Content, holds: Callable[[], bool]) -> Recorded | None:
        """What came of one claim; None if nothing was begun, and it goes back to the queue.

        That is so when the SMTP server takes nothing at present, when what the mail announces is over, and
        when the claim held no more by the time it was its turn: the ledger knows whether others have it.

        Raises nothing but `asyncio.CancelledError`: what nobody thought of puts one delivery off.
        """
        if claim.expires_at is not None and claim.expires_at <= self.terms.clock():
            return None  # it waited here past its end; the next claim says so
        try:
            outcome = await self._outcome(claim, content, holds)
        except Exception as error:  # noqa: BLE001 - one delivery must never stop the others
            _log.exception("delivery %s is put off", claim.id)
            reply = f"{type(error).__name__} in the worker; its log says more"
            outcome = Outcome(Status.DEFERRED, "unsendable", reply=reply)
        if outcome is None or not outcome.tried:
            return None
        if outcome.status in {Status.SENT, Status.FAILED}:
            return Recorded(claim, outcome, None)
        # A copy of an uncertain message waits as long as a deferred one, so that a server that hangs
        # is not flooded with copies.
        terms = self.terms
        now = terms.clock()
        since = claim.retry_from if claim.tries else now
        due = next_try(claim.lane, claim.tries + 1, since, now, terms.rng)
        if due is not None and claim.expires_at is not None:
            due = min(due, claim.expires_at)  # no try will come of it, but its end is told in time
        return Recorded(claim, outcome, due)

    async def _outcome(self, claim: Claim, content: Content, holds: Callable[[], bool]) -> Outcome | None:
        made = self.compose.envelope(claim, content)
        if isinstance(made, Outcome):
            return made
        return await self.relay.send(made, urgent=claim.lane is Lane.URGENT, wanted=holds)
