"""How long to wait for a ledger that is away: for ever while there is work in hand, briefly at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from dispatcher.errors import ServiceUnreachable

#: Seconds between two questions: the first, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


async def patiently(ask: Callable[[], Awaitable[_T]]) -> _T:
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


async def for_at_most(seconds: float, work: Coroutine[Any, Any, object]) -> None:
    """Do the work for so long; what it then still waits for is told to end and not waited for."""
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
    elif error := task.exception():
        _log.warning("%s", error)
