"""One look at something that many ask for at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_Seen = TypeVar("_Seen")


class Shared(Generic[_Seen]):
    """Looks once for all who ask while the last look is under way.

    Nobody is given what was seen before he asked: who comes during a look shares the next one.
    """

    def __init__(self, look: Callable[[], Awaitable[_Seen]]) -> None:
        """`look` is what takes its time."""
        self._look = look
        self._last: asyncio.Task[_Seen] | None = None
        self._next: asyncio.Task[_Seen] | None = None

    async def __call__(self) -> _Seen:
        """What is there now; raises what the look raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._look_after(self._last))
            self._next.add_done_callback(_heard)
        # Who gives up waiting takes nothing from the others.
        return await asyncio.shield(self._next)

    async def _look_after(self, last: asyncio.Task[_Seen] | None) -> _Seen:
        if last is not None and not last.done():
            await asyncio.wait([last])
        self._last, self._next = self._next, None
        return await self._look()


def _heard(task: asyncio.Task[_Seen]) -> None:
    """A failure that nobody waits for any more is no news."""
    if not task.cancelled():
        task.exception()
