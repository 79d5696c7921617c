"""An SMTP server that takes every message and keeps none: the fastest relay that asyncio can be.

Run as a process of its own, so that it does not slow down what is measured; it prints its port and ends when
its standard input does. What it counts is in a file that others map (`Counts`), what it times in another, a
line a message: nanoseconds of the monotonic clock, which is one clock for all processes, and the recipient.
"""

from __future__ import annotations

import argparse
import asyncio
import mmap
import struct
import sys
import time
from pathlib import Path
from typing import IO, cast

import uvloop

_COUNTS = struct.Struct("=qqqq")


class Counts:
    """Messages, their bytes, sessions now and the most sessions at once; shared through a file."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_COUNTS.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _COUNTS.size)

    def read(self) -> tuple[int, int, int, int]:
        """Messages, bytes, sessions now, the most sessions at once."""
        return _COUNTS.unpack_from(self._map)

    def write(self, messages: int, size: int, sessions: int, most: int) -> None:
        _COUNTS.pack_into(self._map, 0, messages, size, sessions, most)


class Book:
    """What all sessions together have taken, and what is to be noted of it."""

    def __init__(self, counts: Counts, times: IO[str] | None, marker: bytes, delay: float) -> None:
        self.delay = delay
        self._counts, self._times, self._marker = counts, times, marker
        self._messages = self._size = self._sessions = self._most = 0

    def session(self, change: int) -> None:
        """One session more, or one less."""
        self._sessions += change
        self._most = max(self._most, self._sessions)
        self._store()

    def taken(self, size: int, recipient: bytes) -> None:
        """A message was answered with 250."""
        self._messages += 1
        self._size += size
        self._store()
        if self._times is not None and self._marker in recipient:
            self._times.write(f"{time.monotonic_ns()} {recipient.decode('ascii', 'replace')}\n")

    def _store(self) -> None:
        self._counts.write(self._messages, self._size, self._sessions, self._most)


class Session(asyncio.Protocol):
    """One session: answers each command, swallows each message, after a delay if one is set."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._buffer = b""
        self._in_data = self._waiting = False
        self._size = 0
        self._recipient = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none, but serves as one
        self._book.session(1)
        self._transport.write(b"220 sink\r\n")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        self._book.session(-1)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._waiting:
            if self._in_data:
                end = self._buffer.find(b"\r\n.\r\n")
                if end < 0:
                    self._size += max(0, len(self._buffer) - 4)
                    self._buffer = self._buffer[-4:]
                    return
                self._size += end + 2
                self._buffer = self._buffer[end + 5 :]
                self._in_data = False
                self._end()
                continue
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                return
            self._buffer = rest
            self._command(line)

    def _end(self) -> None:
        if self._book.delay:
            self._waiting = True
            asyncio.get_running_loop().call_later(self._book.delay, self._late)
        else:
            self._take()

    def _late(self) -> None:
        self._waiting = False
        if not self._transport.is_closing():
            self._take()
            self.data_received(b"")

    def _take(self) -> None:
        self._transport.write(b"250 2.0.0 taken\r\n")
        self._book.taken(self._size, self._recipient)
        self._size = 0

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper()
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
            if verb == b"RCPT":
                self._recipient = line[line.find(b"<") + 1 : line.rfind(b">")]
            self._transport.write(b"250 2.0.0 ok\r\n")


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", type=Path)
    parser.add_argument("--times", type=Path)
    parser.add_argument("--marker", default="")
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds before each message's 250")
    options = parser.parse_args()
    times = options.times.open("a", buffering=1) if options.times else None
    book = Book(Counts(options.counts), times, options.marker.encode(), options.delay / 1000)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(book), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_main())
