"""Whose turn it is to write to a SQLite file, among the tasks of this process and among processes.

SQLite has one writer at a time. Who finds it busy asks again, at intervals that grow to a tenth of a second:
two workers then spend more time asleep than at work. So writers take turns before they ask SQLite: in order
within a process, and by a lock on a file beside the database, asked for every millisecond, among processes.
It is a courtesy. SQLite's own lock is what holds; a process that does not take part, or a turn that does not
come, loses nothing but time.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

LOOK_SECONDS = 0.001


class Turns:
    """The turns of one process at one SQLite file."""

    def __init__(self, path: Path, patience: float) -> None:
        """Nothing is opened before the first turn.

        Args:
            path: The file that is locked; made where it is not there.
            patience: Seconds after which a writer asks SQLite whether it is its turn or not. Those that come
                after it look once and wait no more, until the turn can be had again.
        """
        self._path = path
        self._patience = patience
        self._one = asyncio.Semaphore(1)
        self._file: int | None = None
        self._stuck = False

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the block."""
        async with self._one:
            file = self._opened()
            locked = file is not None and await self._locked(file)
            try:
                yield
            finally:
                if locked and file is not None:
                    with suppress(OSError):
                        fcntl.flock(file, fcntl.LOCK_UN)

    @asynccontextmanager
    async def in_order(self) -> AsyncIterator[None]:
        """Wait for a turn among the tasks of this process alone; within it a thread has `held`."""
        async with self._one:
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait, in a thread, for a turn among processes; let go of it before the loop hears of anything."""
        file = self._opened()
        locked = file is not None and self._waited(file)
        try:
            yield
        finally:
            if locked and file is not None:
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _opened(self) -> int | None:
        if self._file is None:
            with suppress(OSError):
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file

    async def _locked(self, file: int) -> bool:
        ends = self._ends()
        while True:
            had = self._tried(file, ends)
            if had is not None:
                return had
            await asyncio.sleep(LOOK_SECONDS)

    def _waited(self, file: int) -> bool:
        ends = self._ends()
        while (had := self._tried(file, ends)) is None:
            time.sleep(LOOK_SECONDS)
        return had

    def _ends(self) -> float:
        return time.monotonic() + (0 if self._stuck else self._patience)

    def _tried(self, file: int, ends: float) -> bool | None:
        """Whether the turn was had; None to ask again."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < ends:
                return None
            self._stuck = True  # somebody was stopped in their turn; the others do not all wait
            return False
        except OSError:
            return False
        self._stuck = False
        return True
