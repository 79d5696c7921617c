"""One SMTP transaction: MAIL, RCPT, DATA and the message, each within its time.

Where the server offers PIPELINING the three commands leave in one write; else each waits for its reply.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiosmtplib import SMTP, SMTPDataError, SMTPResponseException, SMTPServerDisconnected

from dispatcher.smtp import replies
from dispatcher.smtp.envelope import Envelope
from dispatcher.smtp.pipelining import PipeliningProtocol

if TYPE_CHECKING:
    from aiosmtplib.protocol import SMTPProtocol

# RFC 5321 section 4.5.3.2: what a client should at least wait.
CONNECT_SECONDS = 30.0  # 5 min for the greeting there; a relay of one's own is up or it is not
MAIL_SECONDS = 300.0
RECIPIENT_SECONDS = 300.0
DATA_START_SECONDS = 120.0
DATA_END_SECONDS = 600.0  # a client that gives up too soon causes duplicates (RFC 1047)
# Not in the RFC: nothing is lost when these run out.
RESET_SECONDS = 30.0
QUIT_SECONDS = 2.0

MESSAGE = "the message"  # the step after the 354
STEPS = ("MAIL", "RCPT", "DATA", MESSAGE)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for each reply; ``connect`` is for all it takes until a session stands."""

    connect: float = CONNECT_SECONDS
    mail: float = MAIL_SECONDS
    recipient: float = RECIPIENT_SECONDS
    data_start: float = DATA_START_SECONDS
    data_end: float = DATA_END_SECONDS
    reset: float = RESET_SECONDS
    quit: float = QUIT_SECONDS


class Transaction:
    """The transactions of one session, one after the other.

    Attributes:
        step: What is being answered, or was last: MAIL, RCPT, DATA or `MESSAGE`.
    """

    def __init__(self, client: SMTP, timeouts: Timeouts) -> None:
        if client.protocol is None:
            raise SMTPServerDisconnected("Connection lost")
        self._client = client
        self._timeouts = timeouts
        self._waits = (timeouts.mail, timeouts.recipient, timeouts.data_start, timeouts.data_end)
        self._sized = client.supports_extension("size")
        pipelining = client.supports_extension("pipelining")
        self._pipeline = PipeliningProtocol.take_over(client) if pipelining else None
        self._protocol: SMTPProtocol = client.protocol
        self.step = ""

    @property
    def in_step(self) -> bool:
        """False where the server said more than it was asked: the next answer would be an old one."""
        return self._pipeline is None or self._pipeline.in_step

    async def run(self, envelope: Envelope) -> str:
        """Hand one message over.

        Returns:
            The text of the reply that accepts it.

        Raises:
            SMTPResponseException: A command or the message was refused.
            TimeoutError: A reply did not come in time.
            Exception: Whatever else aiosmtplib and asyncio raise; `step` says how far it had come.
        """
        self.step = "MAIL"
        if self._pipeline is not None:
            return await self._together(self._pipeline, envelope)
        async with asyncio.timeout(self._timeouts.mail) as limit:
            return await self._one_by_one(envelope, limit)

    async def _one_by_one(self, envelope: Envelope, limit: asyncio.Timeout) -> str:
        options = [f"SIZE={envelope.size}"] if self._sized else []
        await self._client.mail(envelope.sender, options=options)
        self._begin("RCPT", limit, self._timeouts.recipient)
        await self._client.rcpt(envelope.recipient)
        self._begin("DATA", limit, self._timeouts.data_start)
        # Not `client.data()`: that waits for the 354 and for the final reply in one call, so a loss
        # that is harmless could not be told from one that is not.
        reply = await self._client.execute_command(b"DATA")
        if reply.code != replies.START_INPUT:
            raise SMTPDataError(reply.code, reply.message)
        self._begin(MESSAGE, limit, self._timeouts.data_end)
        # No await between writing and reading: the protocol drops what arrives when nobody waits.
        self._protocol.write(envelope.wire())
        reply = await self._protocol.read_response()
        if reply.code != replies.COMPLETED:
            raise SMTPDataError(reply.code, reply.message)
        return reply.message

    async def _together(self, pipeline: PipeliningProtocol, envelope: Envelope) -> str:
        """MAIL, RCPT and DATA in one write; each reply is matched to its command by its turn."""
        size = f" SIZE={envelope.size}" if self._sized else ""
        group = f"MAIL FROM:<{envelope.sender}>{size}\r\nRCPT TO:<{envelope.recipient}>\r\nDATA\r\n"
        try:
            reply = await pipeline.hand_over(group.encode("ascii"), envelope.wire(), self._waits)
        finally:
            self.step = STEPS[pipeline.step]
        if self.step == MESSAGE and reply.code == replies.COMPLETED:
            return reply.message
        left = len(STEPS) - 2 - pipeline.step
        if left > 0 and replies.is_refusal(reply.code) and reply.code != replies.SERVICE_CLOSING:
            await self._read_on(pipeline, left)
        raise SMTPResponseException(reply.code, reply.message)

    async def _read_on(self, pipeline: PipeliningProtocol, left: int) -> None:
        """Read what the rest of a refused group is answered, so that the session stays in step.

        A server may want a message although it took no recipient; a lone dot ends that (RFC 2920, 3.1).
        The refusal stands whatever comes of this.
        """
        with suppress(Exception):
            async with asyncio.timeout(self._timeouts.reset):
                for _ in range(left):
                    reply = await pipeline.next_reply()
                if left and reply.code == replies.START_INPUT:
                    pipeline.write_group(b".\r\n", 1)
                    await pipeline.next_reply()

    def _begin(self, step: str, limit: asyncio.Timeout, seconds: float) -> None:
        self.step = step
        limit.reschedule(asyncio.get_running_loop().time() + seconds)
