"""aiosmtplib's protocol, able to wait for several replies to one write (RFC 2920).

MAIL, RCPT and DATA leave in one packet, so a message costs two round trips instead of four. aiosmtplib keeps
one reply at a time and drops what comes when nobody waits; here every reply that is owed is kept in order,
and whatever comes beyond that puts the session out of step for good.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self, cast

from aiosmtplib import SMTP, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import MAX_RESPONSE_LENGTH, SMTPProtocol

if TYPE_CHECKING:
    from aiosmtplib.response import SMTPResponse


class PipeliningProtocol(SMTPProtocol):
    """The protocol of one session whose server offered PIPELINING."""

    def __init__(self, before: SMTPProtocol) -> None:
        super().__init__(before._loop, before._connection_lost_callback)  # noqa: SLF001 - its own kind
        self.transport = before.transport
        self._over_ssl = before._over_ssl  # noqa: SLF001 - likewise
        self._command_lock = before._command_lock  # noqa: SLF001 - likewise
        self._response_waiter = self._loop.create_future()
        self._owed = 0
        self._replies: deque[SMTPResponse] = deque()
        self._arrival: asyncio.Future[None] | None = None
        self._fault: Exception | None = None
        self._orderly = True

    @classmethod
    def take_over(cls, client: SMTP) -> Self:
        """Give the connection of `client`, which waits for nothing, this protocol."""
        if client.protocol is None or client.transport is None:
            raise SMTPServerDisconnected("Connection lost")
        protocol = cls(client.protocol)
        cast("asyncio.Transport", client.transport).set_protocol(protocol)
        client.protocol = protocol
        return protocol

    @property
    def in_step(self) -> bool:
        """Whether every reply was asked for and read, so that the next one belongs to the next command."""
        return self._orderly and not self._owed and not self._replies

    def write_group(self, group: bytes, replies: int) -> None:
        """Write commands, or a message, that so many replies will answer; read each with `next_reply`.

        Raises:
            SMTPServerDisconnected: The connection is gone.
        """
        if self._fault is not None:
            raise self._fault
        self._owed += replies
        self.write(group)

    async def next_reply(self) -> SMTPResponse:
        """The reply that is owed next.

        Raises:
            SMTPServerDisconnected: The connection was lost before it came.
            SMTPResponseException: What came is no reply, or one too many.
        """
        while not self._replies:
            if self._fault is not None:
                raise self._fault
            self._arrival = self._loop.create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        return self._replies.popleft()

    def data_received(self, data: bytes) -> None:
        """Keep the replies that are owed; without any, leave it to aiosmtplib's way of one at a time."""
        if not self._owed:
            self._orderly = self._orderly and self._response_pending
            super().data_received(data)
            self._orderly = self._orderly and self._awaits_more()
            return
        self._buffer.extend(data)
        try:
            while self._owed and (reply := self._read_response_from_buffer()) is not None:
                self._owed -= 1
                self._replies.append(reply)
        except SMTPResponseException as error:
            self._fail(error)
        if len(self._buffer) > MAX_RESPONSE_LENGTH:
            self._fail(SMTPResponseException(-1, "Response too long"))
        if not self._owed and self._buffer:
            self._orderly = False
            del self._buffer[:]
        self._wake()

    def eof_received(self) -> bool:
        """The server hangs up."""
        self._fail(SMTPServerDisconnected("Unexpected EOF received"))
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; replies that came before count."""
        error = SMTPServerDisconnected("Connection lost")
        error.__cause__ = exc
        self._fail(error)
        super().connection_lost(exc)

    def _awaits_more(self) -> bool:
        """Whether what is left in the buffer can be the beginning of a reply that is still awaited."""
        answered = self._response_waiter is not None and self._response_waiter.done()
        return not (answered and self._buffer)

    def _fail(self, error: Exception) -> None:
        self._orderly = False
        self._owed = 0
        self._fault = self._fault or error
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
