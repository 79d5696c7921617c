"""A client that posts ready bodies over kept connections and costs next to nothing itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import uvloop

from benchmarks.harness.system import TOKEN


def post(port: int, path: str, kind: str, bodies: Sequence[bytes], connections: int) -> float:
    """Seconds until every body was answered with 202, so many at a time.

    Raises:
        RuntimeError: One was answered otherwise.
    """
    return uvloop.run(_post(port, path, kind, bodies, connections))


async def _post(port: int, path: str, kind: str, bodies: Sequence[bytes], connections: int) -> float:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: "
    ).encode()
    left = iter(bodies)

    async def poster() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in left:
            writer.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
            content = await reader.readexactly(length)
            if not answer.startswith(b"http/1.1 202 "):
                raise RuntimeError(f"{answer[:40]!r}: {content[:500]!r}")
        writer.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(poster())
    return time.perf_counter() - began
