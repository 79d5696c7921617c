"""The processes of a storm and their supervisor: whatever ends is started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from program import PROJECT, UNMEASURED

#: Seconds before a process that ended is started again.
PAUSE = 0.3
#: Seconds for a process to end by itself when the storm is over.
PATIENCE = 30.0


class Tended:
    """One process, started again whenever it ends, until `finish`.

    Attributes:
        pids: Of every process that was started, oldest first.
        ends: How each of them ended: its exit code, or the negative number of a signal.
        log: Where all of them wrote what they had to say.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCHER_")}
        paths = os.pathsep.join([str(PROJECT / "tests"), str(PROJECT)])
        self._environment = {**kept, **UNMEASURED, **environment, "PYTHONPATH": paths}
        self._arguments = arguments
        self._finishing = False
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self.pids: list[int] = []
        self.ends: list[int] = []
        self.log = log

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._tend())

    def signal(self, number: int) -> int | None:
        """Send a signal to the process that runs; its pid, or None if none runs just now."""
        process = self._process
        if process is None or process.returncode is not None:
            return None
        with suppress(ProcessLookupError):
            process.send_signal(number)
            return process.pid
        return None

    @property
    def pid(self) -> int | None:
        """The pid of the process that runs."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def finish(self) -> int | None:
        """Tell it to stop, as a supervisor would; its exit code, or None if none ran.

        One that does not end in time is killed, and gives -9.
        """
        self._finishing = True
        self.signal(signal.SIGCONT)
        ran = self.signal(signal.SIGTERM) is not None
        if self._task is None:
            return None
        _, late = await asyncio.wait({self._task}, timeout=PATIENCE)
        if late:
            self.signal(signal.SIGKILL)
            await asyncio.wait_for(self._task, PATIENCE)
        return self.ends[-1] if ran else None

    async def abandon(self) -> None:
        """End it at once, whatever it does; for when the storm itself fails."""
        self._finishing = True
        self.signal(signal.SIGKILL)
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=PATIENCE)

    def _over(self) -> bool:
        return self._finishing

    async def _tend(self) -> None:
        while not self._over():
            with self.log.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "chaos.entry", *self._arguments),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                )
            self._process = process
            self.pids.append(process.pid)
            if self._over():  # told to while it was being started
                self.signal(signal.SIGTERM)
            self.ends.append(await process.wait())
            if not self._over():
                await asyncio.sleep(PAUSE)
