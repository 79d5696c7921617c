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
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from dispatcher.domain.delivery import Lane, Status
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.attempt import Attempt, Terms
from dispatcher.flow.patience import for_at_most, patiently
from dispatcher.flow.senders import Open, Senders
from dispatcher.ledger.ledger import Ledger

#: Claims held at a time, a bound on what a killed worker leaves in doubt.
WINDOW = 200
#: Outcomes are committed together, at most so long or so many apart. It is half of the window, so that the
#: other half is on its way while one half is committed and claimed anew.
FLUSH_SECONDS = 0.1
FLUSH_ROWS = 100
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
class Tally:
    """What a worker counts over all its runs.

    Attributes:
        stale: Outcomes that the ledger refused, because somebody else had the delivery by then.
        sent: Messages that a server took, by lane.
    """

    stale: int = 0
    sent: Counter[Lane] = field(default_factory=Counter)


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
    _open: set[Open] = field(default_factory=set)
    _senders: Senders = field(init=False)
    _claiming: bool = True
    _again: bool = False

    def __post_init__(self) -> None:
        """Nothing happens before `run`, but to have hands for it."""
        self._senders = Senders(self.attempt, self.terms.sessions, self.stopping)

    @property
    def held(self) -> int:
        """How many claims it holds."""
        return len(self._open)

    def look_again(self) -> bool:
        """Have it look for more even if its last look found nothing; False if it claims no more."""
        self._again = True
        self._senders.wake()
        return self._claiming

    async def run(self) -> int:
        """Send what is due; how many outcomes were recorded.

        Raises:
            ServiceUnreachable: The ledger does not answer, and nothing is on its way.
        """
        ends = self._now() + BUDGET_SECONDS
        minding = [asyncio.create_task(self._renew()), asyncio.create_task(self._look())]
        recorded = 0
        try:
            while True:
                room = self.attempt.relay.room()
                self._claiming = not self.stopping.is_set() and room != 0 and self._now() < ends
                if self.stopping.is_set() or room == 0:
                    self._senders.put_back()
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
            await self._close()
            await asyncio.gather(*minding, self._senders.ended(), return_exceptions=True)

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
                self._senders.returning += [Open(claim, until) for claim in claiming.result()]
            raise
        except ServiceUnreachable:
            if not self._open:
                raise
            return  # what is on its way is seen through first
        await self._accept([Open(claim, until) for claim in claims])

    async def _accept(self, taken: list[Open]) -> None:
        """Let the senders have what was claimed, once its content is read."""
        self._open.update(taken)
        try:
            contents = await patiently(lambda: self.attempt.compose.contents([one.claim for one in taken]))
        except BaseException:
            self._senders.returning += taken
            raise
        for one in taken:
            one.content = contents[one.claim.variant]
        self._senders.send(taken)

    async def _flush(self) -> int:
        """Wait for outcomes, a little longer for those that come soon after, and commit them together."""
        if not (self._again and self._claiming):
            await self._senders.news(1, IDLE_SECONDS)
        if not (self._again and self._claiming):
            await self._senders.news(min(FLUSH_ROWS, len(self._open)), FLUSH_SECONDS)
        return await self._record(patiently)

    async def _record(self, keep_at: Callable[[Callable[[], Awaitable[int]]], Awaitable[int]]) -> int:
        """Commit what is done; it stays known here until it is committed."""
        batch = self._senders.done[:]
        if not batch:
            return 0
        outcomes = [one.came for one in batch if one.came is not None]
        stale = await keep_at(lambda: self.ledger.claims.record(outcomes))
        del self._senders.done[: len(batch)]
        self._open.difference_update(batch)
        self.tally.sent[self.lane] += sum(one.outcome.status is Status.SENT for one in outcomes)
        failed = [one for one in outcomes if one.outcome.status is Status.FAILED]
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
            held = list(self._open)
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

    async def _look(self) -> None:
        """Learn of events that are cancelled while deliveries of theirs wait here: they go back unsent."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if waiting := {one.claim.event for one in self._open}:
                with suppress(ServiceUnreachable):
                    self._senders.withdrawn = await self.ledger.events.cancelled(waiting)

    async def _give_back(self, reason: str) -> None:
        """Return to the queue what was not begun; known here until the ledger has it back."""
        senders = self._senders
        while senders.returning:
            own = senders.returning[0].untried
            going = {one for one in senders.returning if one.untried == own}
            claims, later = [one.claim for one in going], timedelta(seconds=own.later)
            await patiently(partial(self.ledger.claims.give_back, claims, own.reason or reason, later))
            senders.returning = [one for one in senders.returning if one not in going]
            self._open -= going

    async def _close(self) -> None:
        """At the end: normally there is nothing left; cut short, see through what has begun.

        A statement that hangs on a locked database is left to itself rather than waited for.
        """
        self._senders.ending = True
        if self._open or self._senders.returning:
            await for_at_most(LAST_SECONDS, self._see_through())
        self._senders.cancel()
        if self._senders.done:
            await for_at_most(1.0, self._record(lambda commit: commit()))

    async def _see_through(self) -> None:
        self._senders.put_back()
        while self._open or self._senders.returning:
            await self._give_back("")
            if self._open:
                await self._flush()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
