"""How much a request may be, and the reading of its body within that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request

from dispatcher.web.problems import Refusal

#: The rest of a refused body is not read, so the connection cannot carry another request.
_CLOSE = {"Connection": "close"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask of us.

    Attributes:
        body: In bytes. A full batch of ordinary events is half of it.
        batch: Events; one commit holds them all.
        seconds: For the whole body; whoever needs longer holds a connection for nothing.
    """

    body: int = 1024 * 1024
    batch: int = 1_000
    seconds: float = 30.0


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body, counted while it comes in, whatever its length was said to be.

    Raises:
        Refusal: 413, it is too long; 408, it comes too slowly.
        ClientDisconnect: The caller went away.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said[:20]) > limits.body:
        raise _too_long(limits)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body:
                    raise _too_long(limits)
                parts.append(part)
    except TimeoutError:
        detail = f"The body did not arrive within {limits.seconds:g} seconds. Send the same event again."
        raise Refusal(408, detail, headers=_CLOSE) from None
    return b"".join(parts)


def _too_long(limits: Limits) -> Refusal:
    detail = f"The body is longer than {limits.body} bytes. Send fewer events at a time."
    return Refusal(413, detail, headers=_CLOSE)
