"""An SMTP server that takes every message and keeps none: the fastest relay that asyncio can be.

Run as a process of its own (``python -m benchmarks.sink``), so that it does not slow down what is measured;
it prints its port and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Sink(asyncio.Protocol):
    """One session: replies to each command, swallows each message."""

    def __init__(self) -> None:
        self._buffer = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none, but serves as one
        transport = self._transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            if self._in_data:
                end = self._buffer.find(b"\r\n.\r\n")
                if end < 0:
                    self._buffer = self._buffer[-4:]
                    return
                self._buffer = self._buffer[end + 5 :]
                self._in_data = False
                self._transport.write(b"250 2.0.0 taken\r\n")
                continue
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                return
            self._buffer = rest
            self._command(line[:4].upper())

    def _command(self, verb: bytes) -> None:
        if verb == b"EHLO":
            self._transport.write(
                b"250-sink\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250 PIPELINING\r\n"
            )
        elif verb == b"DATA":
            self._in_data = True
            self._transport.write(b"354 go on\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 2.0.0 ok\r\n")


async def _main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_main())
