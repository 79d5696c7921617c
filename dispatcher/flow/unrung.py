"""Work that is begun without the bell, while Redis is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from dispatcher.errors import DispatcherError

_log = logging.getLogger(__name__)


class Unrung:
    """Runs jobs in this process, each kind once at a time."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._ending = False

    def begin(self, kind: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run `work`, unless work of that kind runs already or `end` was called."""
        self._running = {name: task for name, task in self._running.items() if not task.done()}
        task = self._running.get(kind)
        if not self._ending and (task is None or task.done()):
            self._running[kind] = asyncio.create_task(_borne(kind, work))

    async def settled(self) -> None:
        """Wait for what runs, however long it takes."""
        await asyncio.gather(*self._running.values())

    async def end(self, grace: timedelta) -> None:
        """Begin nothing more and wait for what runs; after `grace` it is cancelled."""
        self._ending = True
        running = {task for task in self._running.values() if not task.done()}
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=grace.total_seconds())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _borne(kind: str, work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except DispatcherError as error:
        _log.error("%s waits: %s", kind, error)
    except Exception:  # noqa: BLE001 - the ledger still has it; the next sweep begins again
        _log.exception("%s failed", kind)
