"""aiosmtplib with kept connections, each sending one ready message after the other.

As its documentation says ("The SMTP Client Class": connect once, then `sendmail` with bytes again and again),
on uvloop; the fastest that it can be used.
"""

from __future__ import annotations

import asyncio
import time

import aiosmtplib
import uvloop

from benchmarks.peers.mails import SENDER, reader


def rate(port: int, number: int, size: float, sessions: int) -> float:
    """Messages per second over so many connections that are open before the clock starts."""
    return uvloop.run(_rate(port, number, size, sessions))


async def _rate(port: int, number: int, size: float, sessions: int) -> float:
    line = b"x" * 76 + b"\r\n"
    content = b"Subject: measured\r\n\r\n" + line * max(1, round(size / len(line)))
    clients = [aiosmtplib.SMTP(hostname="127.0.0.1", port=port) for _ in range(sessions)]
    await asyncio.gather(*(client.connect() for client in clients))
    numbers = iter(range(number))

    async def send(client: aiosmtplib.SMTP) -> None:
        for one in numbers:
            await client.sendmail(SENDER, [reader(one)[0]], content)

    began = time.monotonic()
    await asyncio.gather(*map(send, clients))
    seconds = time.monotonic() - began
    await asyncio.gather(*(client.quit() for client in clients))
    return number / seconds
