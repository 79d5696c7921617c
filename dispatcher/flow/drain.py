"""One lane's due deliveries, sent until none is left.

What must hold whatever goes wrong meanwhile:

- An outcome that is known is never thrown away: while the ledger is away it is kept and offered again.
- A message is begun only under a claim that still holds; a claim that lapsed while it waited is let go.
- What was claimed and not begun goes back to the queue when the work ends early, so that nobody has to
  guess about it.
- A delivery that goes wrong in a way nobody thought of is put off, and the others go on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from dispatcher.domain.delivery import Claim, Lane, Outcome, Status
from dispatcher.domain.retry import next_try
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.compose import Compose, Content
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.outcomes import Recorded
from dispatcher.smtp.relay import Relay

#: Outcomes are committed together, at most so long or so many apart.
FLUSH_SECONDS = 0.1
FLUSH_ROWS = 200
#: Claims held at a time: enough to keep every session busy while outcomes are committed, and a bound on
#: what a killed worker leaves in doubt.
WINDOW = 200
#: After so long nothing more is claimed, and the sweep rings for the rest: the queue ends jobs after half an
#: hour, and a transaction that hangs may take 22 minutes of that.
BUDGET_SECONDS = 300.0
#: Where nothing is heard for so long, look whether more is due, or whether to stop.
IDLE_SECONDS = 1.0
#: How long what has begun may still take when the work is cancelled; the queue allows five seconds.
LAST_SECONDS = 3.0
#: Pauses while the ledger is away.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

_T = TypeVar("_T")
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


@dataclass(slots=True)
class _Open:
    """A claim that is not recorded yet.

    Attributes:
        until: Up to when it holds, on the loop's clock.
    """

    claim: Claim
    content: Content
    until: float


@dataclass(slots=True)
class Drain:
    """One run over one lane; made anew for each."""

    lane: Lane
    ledger: Ledger
    relay: Relay
    compose: Compose
    terms: Terms
    stopping: asyncio.Event
    _open: dict[str, _Open] = field(default_factory=dict)
    _waiting: deque[_Open] = field(default_factory=deque)
    _done: list[Recorded] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> int:
        """Send what is due; how many outcomes were recorded.

        Raises:
            ServiceUnreachable: The ledger does not answer, and nothing is on its way.
        """
        ends = self._now() + BUDGET_SECONDS
        senders = [asyncio.create_task(self._sender()) for _ in range(self.terms.sessions)]
        renewing = asyncio.create_task(self._renew())
        recorded = 0
        try:
            while True:
                if self.stopping.is_set():
                    await self._give_back()
                elif self._now() < ends:
                    await self._take()
                if not self._open:
                    return recorded
                recorded += await self._flush()
        finally:
            renewing.cancel()
            await self._close(senders)
            await asyncio.gather(renewing, *senders, return_exceptions=True)

    async def _take(self) -> None:
        """Claim as many as there is room for, in few large batches rather than many small ones."""
        room = WINDOW - len(self._open)
        if room < WINDOW // 2:
            return
        claimed_at = self._now()
        try:
            claims = await self.ledger.claims.claim(
                self.lane, room, worker=self.terms.worker, lease=self.terms.lease
            )
        except ServiceUnreachable:
            if not self._open:
                raise
            return  # what is on its way is seen through first
        until = claimed_at + self.terms.lease.total_seconds()
        taken = [_Open(claim, "", until) for claim in claims]
        self._open |= {one.claim.id: one for one in taken}
        try:
            contents = await self._patiently(lambda: self.compose.contents(claims))
            for one in taken:
                one.content = contents[one.claim.variant]
        finally:
            self._waiting.extend(taken)
        self._more.set()

    async def _sender(self) -> None:
        """Send one waiting claim after the other."""
        while True:
            while not self._waiting:
                self._more.clear()
                await self._more.wait()
            one = self._waiting.popleft()
            recorded = await self._send(one)
            if recorded is None:
                self._open.pop(one.claim.id, None)
            else:
                self._done.append(recorded)
            self._news.set()

    async def _send(self, one: _Open) -> Recorded | None:
        """What came of one claim; None if it lapsed before it was begun."""
        try:
            outcome = await self._try(one)
        except Exception as error:  # noqa: BLE001 - one delivery must never stop the others
            _log.exception("delivery %s is put off", one.claim.id)
            reply = f"{type(error).__name__} in the worker; its log says more"
            outcome = Outcome(Status.DEFERRED, "unsendable", reply=reply)
        if outcome is None:
            _log.warning("delivery %s waited longer than its claim held; another worker has it", one.claim.id)
            return None
        if outcome.status in {Status.SENT, Status.FAILED}:
            return Recorded(one.claim, outcome, None)
        # A copy of an uncertain message waits as long as a deferred one, so that a server that hangs
        # is not flooded with copies.
        claim, terms = one.claim, self.terms
        due = next_try(claim.lane, claim.tries + 1, claim.created_at, terms.clock(), terms.rng)
        return Recorded(claim, outcome, due)

    async def _try(self, one: _Open) -> Outcome | None:
        made = self.compose.envelope(one.claim, one.content)
        if isinstance(made, Outcome):
            return made
        urgent = one.claim.lane is Lane.URGENT
        return await self.relay.send(made, urgent=urgent, wanted=lambda: self._now() < one.until)

    async def _flush(self) -> int:
        """Wait for outcomes, a little longer for those that come soon after, and commit them together."""
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_SECONDS):
                await self._news.wait()
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                while len(self._done) < min(FLUSH_ROWS, len(self._open)):
                    await self._news.wait()
                    self._news.clear()
        return await self._record(self._patiently)

    async def _record(self, keep_at: Callable[[Callable[[], Awaitable[int]]], Awaitable[int]]) -> int:
        """Commit what is done; it stays known here until it is committed."""
        batch = self._done[:]
        if not batch:
            return 0
        stale = await keep_at(lambda: self.ledger.claims.record(batch))
        del self._done[: len(batch)]
        for one in batch:
            self._open.pop(one.claim.id, None)
        failed = [one for one in batch if one.outcome.status is Status.FAILED]
        if failed:
            _log.warning(
                "%d of %d deliveries failed for good; the first: %s %s",
                len(failed),
                len(batch),
                failed[0].claim.id,
                failed[0].outcome.reply[:200],
            )
        if stale:
            _log.warning("%d outcomes came after their claim had lapsed and were refused", stale)
        return len(batch) - stale

    async def _renew(self) -> None:
        """Let claims hold on while their messages are on the way; a final dot may wait ten minutes."""
        seconds = self.terms.lease.total_seconds()
        while True:
            await asyncio.sleep(seconds / 3)
            held = list(self._open.values())
            until = self._now() + seconds
            with suppress(ServiceUnreachable):
                ours = await self.ledger.claims.renew([one.claim for one in held], self.terms.lease)
                for one in held:
                    one.until = until if one.claim.id in ours else 0.0

    async def _give_back(self) -> None:
        """Return to the queue what was not begun."""
        unbegun = [one.claim for one in self._waiting]
        self._waiting.clear()
        for claim in unbegun:
            self._open.pop(claim.id, None)
        if unbegun:
            await self.ledger.claims.give_back(unbegun)

    async def _close(self, senders: list[asyncio.Task[None]]) -> None:
        """At the end: normally there is nothing left; cut short, see through what has begun."""
        try:
            with suppress(ServiceUnreachable, TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._give_back()
                    while self._open:
                        await self._flush()
        finally:
            for sender in senders:
                sender.cancel()
            with suppress(ServiceUnreachable, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._record(lambda commit: commit())

    async def _patiently(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask the ledger until it answers."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await ask()
            except ServiceUnreachable as error:
                if pause == FIRST_PAUSE:
                    _log.warning("%s Waiting for it.", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
