"""A proxy that holds everything back for half of a round trip, in both directions, and changes nothing else.

Run as a process of its own (``python -m benchmarks.harness.delay PORT MILLISECONDS COUNTS``); it prints its
port and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.harness.sink import Counts


class Way(asyncio.Protocol):
    """One end of a connection; what comes in goes out at the other end, later."""

    def __init__(self, proxy: Proxy, *, client: bool) -> None:
        self._proxy, self._client = proxy, client
        self._transport: asyncio.Transport | None = None
        self._held: list[bytes] = []
        self._gone = False
        self.other: Way | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._client:
            self._proxy.count(1)
            self._proxy.connect(self)
        for data in self._held:
            self._transport.write(data)
        self._held.clear()
        if self._gone:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            asyncio.get_running_loop().call_later(self._proxy.seconds, self.other.write, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        if self._client:
            self._proxy.count(-1)
        if self.other is not None:
            asyncio.get_running_loop().call_later(self._proxy.seconds, self.other.close)

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._held.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        self._gone = True
        if self._transport is not None:
            self._transport.close()


class Proxy:
    """Takes connections and passes them on."""

    def __init__(self, port: int, seconds: float, counts: Counts) -> None:
        self.seconds = seconds
        self._port, self._counts = port, counts
        self._now = self._most = 0
        self._tasks: set[asyncio.Task[object]] = set()

    def connect(self, way: Way) -> None:
        """Reach the server for a client that has come."""
        other = Way(self, client=False)
        way.other, other.other = other, way
        loop = asyncio.get_running_loop()
        task: asyncio.Task[object] = loop.create_task(
            loop.create_connection(lambda: other, "127.0.0.1", self._port)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def count(self, change: int) -> None:
        """One connection more, or one less."""
        self._now += change
        self._most = max(self._most, self._now)
        self._counts.write(0, 0, self._now, self._most)


async def _main() -> None:
    port, milliseconds, counts = sys.argv[1:]
    proxy = Proxy(int(port), float(milliseconds) / 2000, Counts(Path(counts)))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Way(proxy, client=True), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_main())
