"""An event loop whose time passes at once: whoever waits for it is woken without waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything runs, and leaps to the next timer when nothing does.

    For code that waits for timers and for itself alone: sockets and threads take real time.
    """

    def __init__(self) -> None:
        """Time begins at 0."""
        self._clock = _Leaping()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._clock.seconds


class _Leaping(selectors.SelectSelector):
    seconds = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits for something that never comes"
            self.seconds += timeout
        return found


def in_no_time(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it to its end in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()
