"""The parent's part of ``dispatcher up``: it keeps one child working, and leaves nobody behind.

Parent and child share a socket pair, the *lifeline*. The child sends the address that it serves once it is
ready, and stops when its end reads as closed: the kernel sees to that even if the parent is killed. So the
parent tells the child to stop in the same way. A signal would not do: systemd, unless told otherwise, sends
SIGTERM to both, and the child must not take two of them for a wish to leave at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from dispatcher import environment

#: Seconds before a child that ended is started again: the first time, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: A child that ran so long, in seconds, was well: the next pause is the first again.
SETTLED_SECONDS = 60.0
#: Seconds on top of the grace that a child has to end: cancelled jobs, sessions and the ledger take a few.
MARGIN_SECONDS = 15.0
#: Seconds between two looks at the embedded Valkey.
LOOK_SECONDS = 0.5
#: The longest address that a child can send.
_LONGEST = 1024

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Child:
    """A child that was started, and our end of its lifeline."""

    process: asyncio.subprocess.Process
    lifeline: socket.socket

    async def address(self) -> str:
        """What it serves, once it is ready; empty if it ends before."""
        with suppress(OSError):
            return (await asyncio.get_running_loop().sock_recv(self.lifeline, _LONGEST)).decode()
        return ""

    def finish(self) -> None:
        """Have it stop as after SIGTERM."""
        with suppress(OSError):
            self.lifeline.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()


class Supervisor:
    """Starts a child again whenever it ends, until told to stop."""

    def __init__(self, command: Sequence[str], grace: int) -> None:
        """Nothing happens before `run`.

        Args:
            command: Arguments of ``dispatcher``; ``--listener`` and ``--lifeline`` are added, with the
                numbers of their descriptors.
            grace: Seconds that a child may take for its work when it is told to stop.
        """
        self._command = command
        self._patience = grace + MARGIN_SECONDS
        self._child: _Child | None = None
        self._ready = False

    def kill(self) -> None:
        """End the child at once; what it was sending becomes ``uncertain``."""
        if self._child is not None:
            self._child.kill()

    async def run(self, listener: socket.socket, stop: asyncio.Event, on_ready: Callable[[str], None]) -> int:
        """Keep a child running until `stop` is set, then let it finish.

        Args:
            listener: The child's; connections wait in it while there is none. Closed when told to stop.
            stop: Ends it.
            on_ready: Gets the address that the first child serves.

        Returns:
            The exit code to end with: 0, or that of a child that failed before any was ready, having said
            why, or of one that did not end well when it was told to.

        Raises:
            OSError: Not even the first child could be started.
        """
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while not stop.is_set():
            began = loop.time()
            try:
                code = await self._once(listener, stop, on_ready)
                how = _how(code)
            except OSError as error:  # the machine has no room for a process just now
                if not self._ready:
                    raise
                code, how = 1, f"could not be started: {error.strerror}"
            if stop.is_set() and code:
                _log.error("The process that does the work %s while it was stopping.", how)
            if stop.is_set() or (code > 0 and not self._ready):
                return code if code >= 0 else 1
            if loop.time() - began >= SETTLED_SECONDS:
                pause = FIRST_PAUSE
            _log.error("The process that does the work %s; it is started again in %g s.", how, pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stop.wait()
            pause = min(2 * pause, LONGEST_PAUSE)
        return 0

    async def _once(
        self, listener: socket.socket, stop: asyncio.Event, on_ready: Callable[[str], None]
    ) -> int:
        """One child from its start to its end; its exit code, or the negative number of a signal."""
        child = self._child = await self._start(listener)
        ended = asyncio.create_task(child.process.wait())
        stopping = asyncio.create_task(stop.wait())
        announcing = asyncio.create_task(self._announce(child, on_ready))
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                listener.close()  # whoever comes now is refused, rather than left to wait for nobody
                child.finish()
                await asyncio.wait({ended}, timeout=self._patience)
            if not ended.done():
                _log.error(
                    "The process that does the work did not end in %g s; it is killed.", self._patience
                )
                child.kill()
            code = await ended
            await asyncio.wait({announcing}, timeout=1)  # it may have been ready for a moment
            return code
        finally:
            child.kill()
            self._child = None
            for task in (ended, stopping, announcing):
                task.cancel()
            await asyncio.gather(ended, stopping, announcing, return_exceptions=True)
            child.lifeline.close()

    async def _start(self, listener: socket.socket) -> _Child:
        ours, theirs = socket.socketpair()
        with ExitStack() as unless_started, theirs:
            unless_started.enter_context(ours)
            ours.setblocking(False)
            numbers = (listener.fileno(), theirs.fileno())
            arguments = ("--listener", str(numbers[0]), "--lifeline", str(numbers[1]))
            process = await asyncio.create_subprocess_exec(
                # -P: what lies in the folder one stands in is no part of the program.
                *(sys.executable, "-P", "-m", "dispatcher.cli", *self._command, *arguments),
                stdin=subprocess.DEVNULL,
                pass_fds=numbers,
                start_new_session=True,  # a terminal's Ctrl-C is for the parent, which tells the child
                env=_environment(),
            )
            unless_started.pop_all()
        return _Child(process, ours)

    async def _announce(self, child: _Child, on_ready: Callable[[str], None]) -> None:
        address = await child.address()
        if address and not self._ready:
            self._ready = True
            on_ready(address)


@asynccontextmanager
async def tended(revive: Callable[[], Awaitable[object]] | None) -> AsyncIterator[None]:
    """Within the block, start the embedded Valkey again whenever it is gone."""
    if revive is None:
        yield
        return
    over = asyncio.Event()
    tending = asyncio.create_task(_tend(revive, over))
    try:
        yield
    finally:
        over.set()  # not cancelled: a server that is just being started would be left behind
        await tending


async def _tend(revive: Callable[[], Awaitable[object]], over: asyncio.Event) -> None:
    away = False
    while not over.is_set():
        try:
            await revive()
            away = False
        except OSError as error:  # `ServiceUnreachable` is one
            if not away:
                _log.error("%s", error)
            away = True
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await over.wait()


async def parent_done(lifeline: socket.socket, stop: asyncio.Event) -> None:
    """In the child: set `stop` when the parent says so, or is gone."""
    with suppress(OSError):
        await asyncio.get_running_loop().sock_recv(lifeline, 1)
    stop.set()


def _environment() -> dict[str, str]:
    """Ours without misspelt settings: the parent has warned of them, and once is enough."""
    misspelt = set(environment.unknown(os.environ))
    return {name: text for name, text in os.environ.items() if name not in misspelt}


def _how(code: int) -> str:
    if code >= 0:
        return f"ended by itself with exit code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
