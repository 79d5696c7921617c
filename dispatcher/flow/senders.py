"""The sending side of a drain: claims go in, and come out with what came of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from dispatcher.domain.delivery import Claim
from dispatcher.flow.attempt import Attempt, Untried
from dispatcher.flow.compose import Content
from dispatcher.ledger.outcomes import Recorded


@dataclass(slots=True, eq=False)
class Open:
    """A claim that is not recorded yet.

    Attributes:
        until: Up to when it holds, on the loop's clock.
        came: What came of it, once that is known.
        untried: Why it goes back, and when it is due, if that is its own affair.
    """

    claim: Claim
    until: float
    content: Content = ""
    came: Recorded | None = None
    untried: Untried = field(default_factory=Untried)


class Senders:
    """So many tasks, each with one message at a time.

    Attributes:
        waiting: What is to be sent.
        done: What has an outcome that is to be recorded, in the order in which it came.
        returning: What was not begun, and goes back to the queue.
        withdrawn: The ids of events of which nothing more is begun.
        ending: Set once nothing more is begun at all.
    """

    def __init__(self, attempt: Attempt, tasks: int, stopping: asyncio.Event) -> None:
        self._attempt = attempt
        self._stopping = stopping
        self.waiting: deque[Open] = deque()
        self.done: list[Open] = []
        self.returning: list[Open] = []
        self.withdrawn: AbstractSet[str] = frozenset()
        self.ending = False
        self._more = asyncio.Event()
        self._news = asyncio.Event()
        self._enough = 1  # so many that are through are news
        self._now = asyncio.get_running_loop().time
        self._tasks = [asyncio.create_task(self._send()) for _ in range(tasks)]

    def send(self, taken: Iterable[Open]) -> None:
        """Let them be sent, one after the other."""
        self.waiting.extend(taken)
        self._more.set()

    def put_back(self) -> None:
        """Let nobody begin what waits."""
        self.returning += self.waiting
        self.waiting.clear()

    def wake(self) -> None:
        """End `news`, whatever is through."""
        self._news.set()

    async def news(self, enough: int, seconds: float) -> None:
        """Wait until so many are through, or somebody calls `wake`; no longer than `seconds`."""
        self._enough = enough
        self._news.clear()
        if len(self.done) + len(self.returning) < enough:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()

    def cancel(self) -> None:
        """End the tasks, whatever they are at."""
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Wait until the tasks have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self) -> None:
        """Send one waiting claim after the other."""
        while True:
            while not self.waiting or self._stopping.is_set():
                self._more.clear()
                await self._more.wait()
            one = self.waiting.popleft()
            came = await self._attempt(one.claim, one.content, partial(self._holds, one))
            if isinstance(came, Recorded):
                one.came = came
                self.done.append(one)
            else:
                one.untried = came
                self.returning.append(one)
            if len(self.done) + len(self.returning) >= self._enough:
                self._news.set()

    def _holds(self, one: Open) -> bool:
        if self.ending or self._stopping.is_set():
            return False
        return self._now() < one.until and one.claim.event not in self.withdrawn
