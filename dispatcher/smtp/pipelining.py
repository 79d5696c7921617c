"""aiosmtplib's protocol, able to wait for several replies to one write (RFC 2920).

MAIL, RCPT and DATA leave in one packet, so a message costs two round trips instead of four. aiosmtplib keeps
one reply at a time and drops what comes when nobody waits; here every reply that is owed is kept in order,
and whatever comes beyond that puts the session out of step for good.

What happens at each reply happens where it is read: whoever hands a message over is woken once, at its end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, cast

from aiosmtplib import SMTP, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import MAX_LINE_LENGTH, MAX_RESPONSE_LENGTH, SMTPProtocol
from aiosmtplib.response import SMTPResponse

from dispatcher.smtp import replies

if TYPE_CHECKING:
    from asyncio import TimerHandle

#: What lets the next step begin, for MAIL, RCPT and DATA.
_WANTED = (
    (replies.COMPLETED,),
    (replies.COMPLETED, replies.FORWARDED),
    (replies.START_INPUT,),
)
_LAST = len(_WANTED)  # the message itself
_BLANK = ord(" ")


class PipeliningProtocol(SMTPProtocol):
    """The protocol of one session whose server offered PIPELINING.

    Attributes:
        step: How many of MAIL, RCPT and DATA the last message has behind it.
    """

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
        self.step = 0
        self._message = b""
        self._end: asyncio.Future[SMTPResponse] | None = None
        self._waits: Sequence[float] = ()
        self._deadline = 0.0
        self._timer: TimerHandle | None = None
        self._rings_at = 0.0

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

    async def hand_over(self, group: bytes, message: bytes, waits: Sequence[float]) -> SMTPResponse:
        """Write MAIL, RCPT and DATA, and the message once all three are answered as they should be.

        Args:
            group: The three commands.
            message: As it goes over the wire, final dot included.
            waits: Seconds to wait for the reply to each command, and to the message.

        Returns:
            The reply that ended it: the message's, or the first refusal; `step` says to what.

        Raises:
            SMTPServerDisconnected: The connection is gone.
            SMTPResponseException: What came is no reply.
            TimeoutError: A reply did not come in time.
        """
        self.step = 0
        self._message = message
        self._waits = waits
        self.write_group(group, _LAST)
        end: asyncio.Future[SMTPResponse] = self._loop.create_future()
        self._end = end
        self._await_until(waits[0])
        try:
            return await end
        finally:
            self._end = None

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
            while self._owed and (reply := self._reply()) is not None:
                self._owed -= 1
                self._replies.append(reply)
                if self._end is not None and not self._end.done():
                    self._proceed(self._end)
        except (SMTPResponseException, SMTPServerDisconnected) as error:
            self._fail(error)
        if len(self._buffer) > MAX_RESPONSE_LENGTH:
            self._fail(SMTPResponseException(-1, "Response too long"))
        if not self._owed and self._buffer:
            self._drop_surplus()
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
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def _proceed(self, end: asyncio.Future[SMTPResponse]) -> None:
        """Take the next step of handing over, or end it with the reply that came."""
        reply = self._replies.popleft()
        if self.step == _LAST or reply.code not in _WANTED[self.step]:
            end.set_result(reply)
            return
        self.step += 1
        self._await_until(self._waits[self.step])
        if self.step == _LAST:
            if self._buffer:  # it would be taken for the message's own reply
                self._drop_surplus()
            self._owed = 1
            self.write(self._message)

    def _await_until(self, seconds: float) -> None:
        """Allow so long for the next reply. One timer lasts for many: mostly it is set anew when it rings."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._rings_at > self._deadline:
            self._ring_at(self._deadline)

    def _ring_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = when
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._end is None or self._end.done():
            return  # nobody waits; whoever does next sets it again
        if self._loop.time() < self._deadline:
            self._ring_at(self._deadline)
        else:
            self._end.set_exception(TimeoutError())

    def _reply(self) -> SMTPResponse | None:
        """The next whole reply in the buffer; aiosmtplib reads those that are not one plain line."""
        buffer = self._buffer
        end = buffer.find(b"\n")
        if not 3 < end < MAX_LINE_LENGTH or buffer[3] != _BLANK or not buffer[:3].isdigit():
            return self._read_response_from_buffer()
        text = buffer[4:end].strip(b" \t\r").decode("utf-8", "surrogateescape")
        reply = SMTPResponse(int(buffer[:3]), text)
        del buffer[: end + 1]
        return reply

    def _drop_surplus(self) -> None:
        self._orderly = False
        del self._buffer[:]

    def _awaits_more(self) -> bool:
        """Whether what is left in the buffer can be the beginning of a reply that is still awaited."""
        answered = self._response_waiter is not None and self._response_waiter.done()
        return not (answered and self._buffer)

    def _fail(self, error: Exception) -> None:
        self._orderly = False
        self._owed = 0
        self._fault = self._fault or error
        if self._end is not None and not self._end.done():
            self._end.set_exception(self._fault)
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
