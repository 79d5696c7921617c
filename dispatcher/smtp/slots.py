"""How many messages may be on their way at once, with room kept for urgent ones."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """A semaphore with a reserve: urgent callers go first, and into slots that others cannot take."""

    def __init__(self, room: int, reserved: int) -> None:
        """All are free.

        Args:
            room: How many callers are let in, the reserve included.
            reserved: How many of them must be urgent; at most half of them are.
        """
        self._reserved = reserved
        self._room = room
        self._taken = 0
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @property
    def full(self) -> bool:
        """Whether whoever is not urgent would have to wait, or does."""
        return self._taken >= self._limit(urgent=False) or bool(self._others)

    def resize(self, room: int) -> None:
        """Let that many callers in from now on, the reserve included; at least one."""
        self._room = max(1, room)
        self._grant()

    async def take(self, *, urgent: bool) -> None:
        """Wait for a slot and hold it until `release`."""
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
                self.release()  # granted and cancelled in the same breath: hand it on
            elif waiter in queue:
                queue.remove(waiter)
            raise

    def release(self) -> None:
        """Give a slot back."""
        self._taken -= 1
        self._grant()

    def _limit(self, *, urgent: bool) -> int:
        # Of few slots half are kept, or a server that bears three would get one message at a time.
        return self._room if urgent else max(1, self._room - min(self._reserved, self._room // 2))

    def _grant(self) -> None:
        if not (self._urgent or self._others):
            return
        for queue, limit in (
            (self._urgent, self._limit(urgent=True)),
            (self._others, self._limit(urgent=False)),
        ):
            while queue and self._taken < limit:
                waiter = queue.popleft()
                if not waiter.done():
                    self._taken += 1
                    waiter.set_result(None)
