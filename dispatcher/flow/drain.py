"""One lane's due deliveries, sent until none is left.

What must hold whatever goes wrong meanwhile:

- An outcome that is known is never thrown away: while the ledger is away it is kept and offered again.
- A message is begun only under a claim that still holds; one that lapsed while it waited is given back,
  and the ledger knows whether others have it.
- What was claimed and not begun goes back to the queue when the work ends early, so that nobody has to
  guess about it.
- A delivery that goes wrong in a way nobody thought of is put off, and the others go on.
- While the SMTP server takes nothing, nothing is claimed, and what was claimed goes back untried.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from dispatcher.domain.delivery import Claim, Lane, Status
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.attempt import Attempt, Terms
from dispatcher.flow.compose import Content
from dispatcher.flow.patience import for_at_most, patiently
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.outcomes import Recorded

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
#: How long it may take until a worker knows that an event was cancelled.
LOOK_SECONDS = 0.5
#: How long what has begun may still take when the work is cancelled; the queue allows five seconds.
LAST_SECONDS = 3.0

_log = logging.getLogger(__name__)


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
class Tally:
    """What a worker counts over all its runs.

    Attributes:
        stale: Outcomes that the ledger refused, because somebody else had the delivery by then.
    """

    stale: int = 0


@dataclass(slots=True)
class Drain:
    """One run over one lane; made anew for each.

    Attributes:
        beside: How many claims other runs over the lane hold, which claim nothing more.
    """

    lane: Lane
    ledger: Ledger
    attempt: Attempt
    terms: Terms
    stopping: asyncio.Event
    tally: Tally
    beside: Callable[[], int]
    _open: dict[Claim, _Open] = field(default_factory=dict)
    _waiting: deque[_Open] = field(default_factory=deque)
    _returning: list[Claim] = field(default_factory=list)
    _done: list[Recorded] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _withdrawn: AbstractSet[str] = frozenset()
    _claiming: bool = True
    _again: bool = False

    @property
    def held(self) -> int:
        """How many claims it holds."""
        return len(self._open)

    def look_again(self) -> bool:
        """Have it look for more even if its last look found nothing; False if it claims no more."""
        self._again = True
        self._news.set()
        return self._claiming

    async def run(self) -> int:
        """Send what is due; how many outcomes were recorded.

        Raises:
            ServiceUnreachable: The ledger does not answer, and nothing is on its way.
        """
        ends = self._now() + BUDGET_SECONDS
        senders = [asyncio.create_task(self._sender()) for _ in range(self.terms.sessions)]
        minding = [asyncio.create_task(self._renew()), asyncio.create_task(self._withdraw())]
        recorded = 0
        try:
            while True:
                room = self.attempt.relay.room()
                self._claiming = not self.stopping.is_set() and room != 0 and self._now() < ends
                if self.stopping.is_set() or room == 0:
                    self._put_back(self._waiting)
                await self._give_back("" if room is None or self.stopping.is_set() else "relay_unreachable")
                if self._claiming:
                    self._again = False
                    await self._take(WINDOW if room is None else room)
                if not self._open and not (self._again and self._claiming):
                    return recorded
                recorded += await self._flush()
        finally:
            self._claiming = False
            for task in minding:
                task.cancel()
            await self._close(senders)
            await asyncio.gather(*minding, *senders, return_exceptions=True)

    async def _take(self, window: int) -> None:
        """Claim as many as there is room for, in few large batches rather than many small ones."""
        room = window - len(self._open) - self.beside()
        if room < max(1, window // 2):
            return
        until = self._now() + self.terms.lease.total_seconds()
        claiming = asyncio.ensure_future(
            self.ledger.claims.claim(
                self.lane,
                room,
                worker=self.terms.worker,
                lease=self.terms.lease,
                optional=self.attempt.compose.optional,
                waiting=self.attempt.compose.waiting,
            )
        )
        try:
            claims = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # The rows may be ours all the same: learn of them, so that they can be given back.
            await asyncio.wait({claiming}, timeout=LAST_SECONDS)
            if claiming.done() and not claiming.exception():
                self._returning += claiming.result()
            raise
        except ServiceUnreachable:
            if not self._open:
                raise
            return  # what is on its way is seen through first
        await self._accept([_Open(claim, "", until) for claim in claims])

    async def _accept(self, taken: list[_Open]) -> None:
        """Let the senders have what was claimed, once its content is read."""
        self._open |= {one.claim: one for one in taken}
        try:
            contents = await patiently(lambda: self.attempt.compose.contents([one.claim for one in taken]))
            for one in taken:
                one.content = contents[one.claim.variant]
        finally:
            self._waiting.extend(taken)
        self._more.set()

    async def _sender(self) -> None:
        """Send one waiting claim after the other."""
        while True:
            while not self._waiting or self.stopping.is_set():
                self._more.clear()
                await self._more.wait()
            one = self._waiting.popleft()
            came = await self.attempt(one.claim, one.content, partial(self._holds, one))
            if came is None:
                self._returning.append(one.claim)
            else:
                self._done.append(came)
            self._news.set()

    async def _flush(self) -> int:
        """Wait for outcomes, a little longer for those that come soon after, and commit them together."""
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_SECONDS):
                await self._news.wait()
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                while len(self._done) + len(self._returning) < min(FLUSH_ROWS, len(self._open)):
                    await self._news.wait()
                    self._news.clear()
        return await self._record(patiently)

    async def _record(self, keep_at: Callable[[Callable[[], Awaitable[int]]], Awaitable[int]]) -> int:
        """Commit what is done; it stays known here until it is committed."""
        batch = self._done[:]
        if not batch:
            return 0
        stale = await keep_at(lambda: self.ledger.claims.record(batch))
        del self._done[: len(batch)]
        for one in batch:
            self._open.pop(one.claim, None)
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
            self.tally.stale += stale
            _log.warning("%d outcomes came after their claim had lapsed and were refused", stale)
        return len(batch) - stale

    async def _renew(self) -> None:
        """Let claims hold on while their messages are on the way; a final dot may wait ten minutes."""
        seconds = self.terms.lease.total_seconds()
        pause = seconds / 3
        while True:
            await asyncio.sleep(pause)
            held = list(self._open.values())
            until = self._now() + seconds
            try:
                ours = await self.ledger.claims.renew([one.claim for one in held], self.terms.lease)
            except Exception as error:  # noqa: BLE001 - without renewal every claim lapses, so it goes on
                if not isinstance(error, ServiceUnreachable):
                    _log.exception("claims could not be renewed")
                pause = min(1.0, seconds / 3)
                continue
            for one in held:
                one.until = until if one.claim in ours else 0.0
            pause = seconds / 3

    async def _withdraw(self) -> None:
        """Learn of events that are cancelled while deliveries of theirs wait here: they go back unsent."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            waiting = {one.claim.event for one in self._waiting}
            if waiting:
                with suppress(ServiceUnreachable):
                    self._withdrawn = await self.ledger.events.cancelled(waiting)

    def _put_back(self, waiting: deque[_Open]) -> None:
        """Let no sender have what waits."""
        self._returning += [one.claim for one in waiting]
        waiting.clear()

    async def _give_back(self, reason: str) -> None:
        """Return to the queue what was not begun; known here until the ledger has it back."""
        going = self._returning[:]
        if going:
            await patiently(lambda: self.ledger.claims.give_back(going, reason))
            del self._returning[: len(going)]
            for claim in going:
                self._open.pop(claim, None)

    async def _close(self, senders: list[asyncio.Task[None]]) -> None:
        """At the end: normally there is nothing left; cut short, see through what has begun.

        A statement that hangs on a locked database is left to itself rather than waited for.
        """
        if self._open or self._returning:
            await for_at_most(LAST_SECONDS, self._see_through())
        for sender in senders:
            sender.cancel()
        if self._done:
            await for_at_most(1.0, self._record(lambda commit: commit()))

    async def _see_through(self) -> None:
        self._put_back(self._waiting)
        while self._open or self._returning:
            await self._give_back("")
            if self._open:
                await self._flush()

    def _holds(self, one: _Open) -> bool:
        return self._now() < one.until and one.claim.event not in self._withdrawn

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
