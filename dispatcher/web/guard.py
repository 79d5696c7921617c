"""What every answer has in common: its headers, an end to defects, and a close that reaches the caller."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatcher.flow import choices, decide_links
from dispatcher.web.problems import Refusal

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
#: What comes before a signed link's token.
_SIGNED: Final = (f"{choices.PATH}/", f"{decide_links.PATH}/")
#: Of a refused body so much is read and thrown away, in bytes and in seconds.
LINGER_BYTES: Final = 16 * 1024 * 1024
LINGER_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class Guard:
    """Outermost around all routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send, read_all=not _has_body(scope))
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            return  # there is nobody to answer
        except Exception:
            _log.exception("%s %r failed", scope["method"], loggable(scope["path"]))
            if exchange.started:
                raise
            detail = "Something went wrong here. The log has the details; the same request may be sent again."
            await Refusal(500, detail).response()(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, receive: Receive, send: Send, *, read_all: bool) -> None:
        self._receive, self._send = receive, send
        self._read_all = read_all
        self.started = False
        self._closing = False

    async def receive(self) -> Message:
        """The next part of the request."""
        message = await self._receive()
        self._read_all = self._read_all or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """The next part of the answer."""
        if message["type"] == "http.response.start":
            self._start(message)
        elif self._closing and not message.get("more_body", False):
            # Closing with unread input resets the connection, and the caller may never see the answer
            # (RFC 9112, 9.6). So the answer goes out whole, and its end follows once he had time to read.
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body"}
        await self._send(message)

    def _start(self, message: Message) -> None:
        self.started = True
        headers = MutableHeaders(scope=message)
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)  # a page knows better what it loads
        self._closing = message["status"] >= 400 and not self._read_all
        if self._closing:
            headers["Connection"] = "close"

    async def _linger(self) -> None:
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0 and not self._read_all:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass


def loggable(path: str) -> str:
    """A path as a log may hold it: of a signed link so much as finds it again, and too little to use it."""
    known = path[:200]
    prefix = next((one for one in _SIGNED if known.startswith(one)), None)
    return known if prefix is None else f"{known[: len(prefix) + 8]}…"


def _has_body(scope: Scope) -> bool:
    """Whether the request announces a body (RFC 9112, 6.3)."""
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
