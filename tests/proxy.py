"""A proxy in front of Valkey, PostgreSQL or an SMTP server, that fails as a network does.

::

    async with Proxy(("127.0.0.1", 6379)) as proxy:          # or a pathlib.Path: a unix socket
        url = f"redis://127.0.0.1:{proxy.port}/0"
        proxy.stall()          # nothing passes any more; connections stay open, new ones are taken
        proxy.cut()            # everybody is hung up on, with a reset; who comes next is served
        await proxy.refuse()   # nobody new is let in (connection refused); those inside go on
        await proxy.restore()  # all is well again; what a stall held back passes on

        when = proxy.once(b"COMMIT", "cut")                  # instead of passing it on
        when = proxy.once(b"COMMIT", "stall", passed=True)   # only after it was passed on
        await when.wait()

It listens on a TCP port of 127.0.0.1 that the system chooses and keeps through `refuse` and `restore`.
asyncpg reaches a PostgreSQL server that listens on a unix socket through it with
``postgresql://postgres@127.0.0.1:{proxy.port}/name``: see `postgresql`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

Target = tuple[str, int] | Path
Fault = Literal["cut", "stall"]
#: SO_LINGER with no time: closing a socket sends a reset and forgets what was not sent.
_RESET = struct.pack("ii", 1, 0)
_CHUNK = 64 * 1024


@dataclass(eq=False)
class Trap:
    """What is done once certain bytes come by; see `Proxy.once`."""

    marker: bytes
    fault: Fault
    side: Literal["client", "server"]
    passed: bool
    _sprung: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def sprung(self) -> bool:
        """Whether it has happened."""
        return self._sprung.is_set()

    async def wait(self) -> None:
        """Until it has happened."""
        await self._sprung.wait()


class Proxy:
    """The proxy; `async with` starts it, and hangs up on everybody at the end.

    Args:
        target: Where connections are passed on to: host and port, or the path of a unix socket.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        connections: How many were taken so far.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.port = 0
        self.connections = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._traps: list[Trap] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @classmethod
    def postgresql(cls, directory: Path) -> Self:
        """In front of the PostgreSQL server whose unix socket lies in `directory`."""
        return cls(directory / ".s.PGSQL.5432")

    @property
    def open(self) -> int:
        """How many connections stand now."""
        return len(self._tasks)

    @property
    def stalled(self) -> bool:
        """Whether nothing passes."""
        return not self._flowing.is_set()

    def stall(self) -> None:
        """Pass nothing on, in neither direction, until `restore`; connections stay open."""
        self._flowing.clear()

    def cut(self) -> None:
        """Hang up on both ends of every connection; what was under way is lost."""
        for writer in list(self._writers):
            _reset(writer)

    async def refuse(self) -> None:
        """Let nobody new in until `restore`; connections that stand go on."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await asyncio.sleep(0)

    async def restore(self) -> None:
        """Let new ones in and everything pass; traps that have not sprung are taken away."""
        self._traps.clear()
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def once(
        self,
        marker: bytes,
        fault: Fault,
        *,
        side: Literal["client", "server"] = "client",
        passed: bool = False,
    ) -> Trap:
        """Cut or stall everything once, when `marker` comes by.

        Args:
            marker: Bytes that `side` sends in one piece.
            fault: What happens then.
            side: Who sends them.
            passed: Whether they are passed on before, so that the other side acts on them and its answer is
                what gets lost or held back.
        """
        trap = Trap(marker, fault, side, passed)
        self._traps.append(trap)
        return trap

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        await asyncio.sleep(0.05)  # who was let in at the last moment is served before they are hung up on
        self.cut()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # sockets are closed in the loop's next round

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._flowing.wait()
            await self._pass_on(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # a cancelled one must end quietly: the streams' callback would report it
        finally:
            self._drop(writer)
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await self._connect()
        self._writers.add(back)
        ways = [
            asyncio.create_task(self._pump(reader, back, "client")),
            asyncio.create_task(self._pump(there, writer, "server")),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._drop(back)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, Path):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection(*self.target)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, side: Literal["client", "server"]
    ) -> None:
        """Pass on what one side sends, until it or the other hangs up."""
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._flowing.wait()
                trap = self._trap(data, side)
                if trap is not None and not trap.passed:
                    self._spring(trap)
                    await self._flowing.wait()
                if writer.is_closing():
                    return
                writer.write(data)
                await writer.drain()
                if trap is not None and trap.passed:
                    self._spring(trap)

    def _trap(self, data: bytes, side: str) -> Trap | None:
        """The trap that these bytes walk into; each is taken away as it is found."""
        for trap in self._traps:
            if trap.side == side and trap.marker in data:
                self._traps.remove(trap)
                return trap
        return None

    def _spring(self, trap: Trap) -> None:
        if trap.fault == "stall":
            self.stall()
        else:
            self.cut()
        trap._sprung.set()

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
