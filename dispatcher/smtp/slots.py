"""How many messages may be on their way at once, with room kept for urgent ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """A semaphore with a reserve: urgent callers go first, and into slots that others cannot take."""

    def __init__(self, shared: int, reserved: int) -> None:
        self._reserved = reserved
        self._most = shared + reserved
        self._room = self._most
        self._taken = 0
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    def narrow(self, room: int | None) -> None:
        """Let no more than `room` callers in, the reserve included; None opens all slots again."""
        self._room = self._most if room is None else min(self._most, max(1, room))
        self._grant()

    @asynccontextmanager
    async def taken(self, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for a slot and hold it."""
        await self._take(urgent=urgent)
        try:
            yield
        finally:
            self._release()

    def _limit(self, *, urgent: bool) -> int:
        return self._room if urgent else max(1, self._room - self._reserved)

    async def _take(self, *, urgent: bool) -> None:
        queue = self._urgent if urgent else self._others
        if not queue and self._taken < self._limit(urgent=urgent):
            self._taken += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._release()  # granted and cancelled in the same breath: hand it on
            elif waiter in queue:
                queue.remove(waiter)
            raise

    def _release(self) -> None:
        self._taken -= 1
        self._grant()

    def _grant(self) -> None:
        for queue, limit in (
            (self._urgent, self._limit(urgent=True)),
            (self._others, self._limit(urgent=False)),
        ):
            while queue and self._taken < limit:
                waiter = queue.popleft()
                if not waiter.done():
                    self._taken += 1
                    waiter.set_result(None)
