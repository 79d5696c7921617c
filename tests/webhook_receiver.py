"""A receiver of webhooks for tests: a real HTTP server on a port of the system's choice."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_" + base64.b64encode(b"the first secret of tests, 32 B.").decode()
NEXT_SECRET = "whsec_" + base64.b64encode(b"another secret of tests, 32 byte").decode()
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True)
class Got:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    def signed_by(self, secret: str) -> str | None:
        """The signature that is this secret's, made anew by the standard's library."""
        id_, at = self.headers["webhook-id"], int(self.headers["webhook-timestamp"])
        wanted = Webhook(secret).sign(id_, datetime.fromtimestamp(at, UTC), self.body.decode())
        return wanted if wanted in self.headers["webhook-signature"].split() else None


@dataclass
class Receiver:
    """What came in, and what is answered.

    Attributes:
        answers: Raw answers, used up from the front; the last one stays.
        stalls: Whether it takes a request and never answers.
        came: Set, for a moment, whenever a request came in.
    """

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=lambda: [OK])
    stalls: bool = False
    came: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection, and know of it until it is over."""
        task = asyncio.ensure_future(self.serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.got.append(Got(line.split()[1], headers, body))
            self.came.set()
            self.came.clear()
            if self.stalls:
                await reader.read()
                return
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver, for the block."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.take, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks/4f1d"
    try:
        yield receiver
    finally:
        server.close()
        await server.wait_closed()
        for task in receiver.tasks:
            task.cancel()
        await asyncio.gather(*receiver.tasks, return_exceptions=True)


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    """A raw HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
