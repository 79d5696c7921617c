"""Due deliveries of one lane are claimed, sent and recorded, until none is left.

One queue job drains many rows. `sending` is committed before the first byte goes out, outcomes are committed
together, at most `FLUSH_SECONDS` or `FLUSH_ROWS` apart, and a claim's lease is renewed while its message is
on the way.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Claim, Lane, Outcome, Status
from dispatcher.domain.retry import next_try
from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger.claims import VariantContent
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.outcomes import Recorded
from dispatcher.mail.message import Person, Sealed, finish
from dispatcher.smtp.envelope import Envelope
from dispatcher.smtp.relay import Relay

FLUSH_SECONDS = 0.1
FLUSH_ROWS = 200
#: Claims that one job holds at a time: enough to keep every session busy while outcomes are committed.
WINDOW = 400
#: Parsed variants kept; the rows of one batch rarely need more.
CACHED_VARIANTS = 1_000
_MISSING = "its content is missing from the ledger"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker brings to every delivery.

    Attributes:
        worker: The worker's id, for the ledger.
        lease: How long a claim holds without renewal.
    """

    worker: str
    lease: timedelta
    clock: Callable[[], datetime]
    rng: random.Random


class Deliver:
    """Sends what is due."""

    def __init__(self, catalogue: Catalogue, ledger: Ledger, relay: Relay, terms: Terms) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._relay = relay
        self._terms = terms
        self._draining: set[Lane] = set()
        self._sealed: dict[int, Sealed | str] = {}
        self._stopping = False

    def stop(self) -> None:
        """Claim nothing more; what is on the way is finished."""
        self._stopping = True

    async def __call__(self, lane: Lane) -> int:
        """Send what is due in `lane`; a second call for a lane that is being drained returns at once.

        Returns:
            How many outcomes were recorded.

        Raises:
            ServiceUnreachable: The ledger does not answer; claims run out and are taken up again.
        """
        if lane in self._draining or self._stopping:
            return 0
        self._draining.add(lane)
        try:
            return await self._drain(lane)
        finally:
            self._draining.discard(lane)

    async def _drain(self, lane: Lane) -> int:
        running: dict[asyncio.Task[Recorded], Claim] = {}
        recorded = 0
        renewing = asyncio.create_task(self._renew(running))
        try:
            while True:
                await self._take(lane, running)
                if not running:
                    return recorded
                recorded += await self._record(running)
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _take(self, lane: Lane, running: dict[asyncio.Task[Recorded], Claim]) -> None:
        """Claim as many as there is room for, in few large batches rather than many small ones."""
        room = WINDOW - len(running)
        if self._stopping or room < WINDOW // 2:
            return
        claims = await self._ledger.claims.claim(
            lane, min(room, FLUSH_ROWS), worker=self._terms.worker, lease=self._terms.lease
        )
        contents = await self._contents(claims)
        for claim in claims:
            task = asyncio.create_task(self._send(claim, contents.get(claim.variant, _MISSING)))
            running[task] = claim

    async def _record(self, running: dict[asyncio.Task[Recorded], Claim]) -> int:
        """Wait a little for outcomes and commit those that came."""
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        deadline = asyncio.get_running_loop().time() + FLUSH_SECONDS
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            pending = [task for task in running if not task.done()]
            if not pending or len(running) - len(pending) >= FLUSH_ROWS:
                break
            await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        done = [task for task in running if task.done()]
        stale = await self._ledger.claims.record([task.result() for task in done])
        for task in done:
            del running[task]
        if stale:
            _log.warning("%d outcomes came after their lease had ended and were refused", stale)
        return len(done) - stale

    async def _renew(self, running: Mapping[asyncio.Task[Recorded], Claim]) -> None:
        """Hold the leases of what is on the way; a final dot may wait ten minutes, a lease does not."""
        while True:
            await asyncio.sleep(self._terms.lease.total_seconds() / 3)
            with suppress(ServiceUnreachable):
                await self._ledger.claims.renew(list(running.values()), lease=self._terms.lease)

    async def _contents(self, claims: Sequence[Claim]) -> Mapping[int, Sealed | str]:
        """The content of each claim's variant; what the batch before had is not read again."""
        wanted = {claim.variant for claim in claims}
        if missing := sorted(wanted - set(self._sealed)):
            if len(self._sealed) > CACHED_VARIANTS:
                self._sealed = {key: kept for key, kept in self._sealed.items() if key in wanted}
            read = await self._ledger.claims.content(missing)
            self._sealed |= {key: _unseal(content) for key, content in read.items()}
        return self._sealed

    async def _send(self, claim: Claim, sealed: Sealed | str) -> Recorded:
        outcome = await self._try(claim, sealed)
        if outcome.status in {Status.SENT, Status.FAILED}:
            return Recorded(claim, outcome, None)
        # A copy of an uncertain message waits as long as a deferred one, so that a server that hangs
        # is not flooded with copies.
        terms = self._terms
        due = next_try(claim.lane, claim.tries + 1, claim.created_at, terms.clock(), terms.rng)
        return Recorded(claim, outcome if due else replace(outcome, status=Status.FAILED), due)

    async def _try(self, claim: Claim, sealed: Sealed | str) -> Outcome:
        if isinstance(sealed, str):
            return Outcome(Status.FAILED, "unsendable", reply=sealed)
        sender = self._catalogue.senders["partners" if claim.sender == "partners" else "default"]
        person = Person(claim.address, claim.name, claim.message_id, claim.created_at, sender)
        try:
            message = finish(sealed, person)
        except ValueError as error:
            return Outcome(Status.FAILED, "unsendable", reply=str(error)[:500])
        envelope = Envelope(sender.address, claim.address, message)
        return await self._relay.send(envelope, urgent=claim.lane is Lane.URGENT)


def _unseal(content: VariantContent) -> Sealed | str:
    """The sealed content, or why there is none."""
    if not content.content:
        return "the mail could not be rendered; `dispatcher check` says why, or the worker's log"
    try:
        return Sealed.load(content.content)
    except ValueError as error:
        return str(error)[:500]
