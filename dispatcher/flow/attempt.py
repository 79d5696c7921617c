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
        sessions: How many messages may be handed to the relay at a time.
    """

    worker: str
    lease: timedelta
    sessions: int
    clock: Callable[[], datetime]
    rng: random.Random


@dataclass(frozen=True, slots=True)
class Untried:
    """Nothing was begun.

    Attributes:
        reason: Why, from `MOVE_REASONS`, if that is the message's own.
        later: In how many seconds to see to it again.
    """

    reason: str = ""
    later: float = 0.0


_AT_ONCE = Untried()


@dataclass(frozen=True, slots=True)
class Attempt:
    """Makes attempts."""

    relay: Relay
    compose: Compose
    terms: Terms

    async def __call__(self, claim: Claim, content: Content, holds: Callable[[], bool]) -> Recorded | Untried:
        """What came of one claim, or that nothing was begun, and it goes back to the queue.

        That is so when the SMTP server takes nothing at present, when the recipient's domain has enough,
        when what the mail announces is over, and when the claim held no more by the time it was its turn: the
        ledger knows whether others have it.

        Raises nothing but `asyncio.CancelledError`: what nobody thought of puts one delivery off.
        """
        if claim.expires_at is not None and claim.expires_at <= self.terms.clock():
            return _AT_ONCE  # it waited here past its end; the next claim says so
        try:
            made = self.compose.envelope(claim, content)
            if isinstance(made, Outcome):
                outcome: Outcome | None = made
            else:
                outcome = await self.relay.send(made, urgent=claim.lane is Lane.URGENT, wanted=holds)
        except Exception as error:  # noqa: BLE001 - one delivery must never stop the others
            _log.exception("delivery %s is put off", claim.id)
            reply = f"{type(error).__name__} in the worker; its log says more"
            outcome = Outcome(Status.DEFERRED, "unsendable", reply=reply)
        if outcome is None:
            return _AT_ONCE
        if not outcome.tried:
            return Untried(outcome.reason, outcome.later) if outcome.later else _AT_ONCE
        if outcome.status is Status.SENT or outcome.status is Status.FAILED:
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
