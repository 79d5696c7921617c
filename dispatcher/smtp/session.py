"""One SMTP session: opening it, one transaction after another, and whether it may be used again."""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode
from typing import TYPE_CHECKING, cast

from aiosmtplib import (
    SMTP,
    SMTPHeloError,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from dispatcher.domain.delivery import Outcome
from dispatcher.settings import RelayAddress
from dispatcher.smtp import replies
from dispatcher.smtp.envelope import Envelope
from dispatcher.smtp.transaction import MESSAGE, Timeouts, Transaction

if TYPE_CHECKING:
    from aiosmtplib.protocol import SMTPProtocol

#: A server that vanished without a word (a machine that died, a firewall that forgot) is noticed after half a
#: minute of silence, or a minute of bytes that nobody acknowledges, instead of the ten that a final dot may
#: wait. One that is merely slow acknowledges all the same. Only Linux has all of these.
_VANISHED = {
    getattr(socket, name): value
    for name, value in (
        ("TCP_KEEPIDLE", 15),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 60_000),  # milliseconds
    )
    if hasattr(socket, name)
}


class SessionStaleError(Exception):
    """A kept session turned out to be dead before the server saw anything of this message."""


class Session:
    """A connected aiosmtplib client that knows whether its replies are still in step.

    Attributes:
        fit: True if another transaction may follow. Only a completed transaction, or a refusal that
            RSET cleaned up after, makes it so; anything else, a cancellation above all, leaves an
            answer in flight that the next message would take for its own.
        messages: Transactions so far.
        idle_since: When it was put aside, on the owner's clock.
    """

    def __init__(self, client: SMTP, timeouts: Timeouts) -> None:
        if client.protocol is None or client.transport is None:
            raise SMTPServerDisconnected("Connection lost")
        self._client = client
        self._transaction = Transaction(client, timeouts)
        # The client forgets both when it closes itself; `abort` needs them then most of all.
        self._protocol: SMTPProtocol = client.protocol
        self._transport = cast("asyncio.Transport", client.transport)
        _watch_peer(self._transport.get_extra_info("socket"))
        self._timeouts = timeouts
        self.fit = True
        self.messages = 0
        self.idle_since = 0.0

    @property
    def connected(self) -> bool:
        """False once the server has hung up."""
        return self._client.is_connected

    @property
    def unanswered(self) -> bool:
        """Whether the last transaction ended without any answer of the server to it."""
        return not self.fit and self._transaction.step == "MAIL"

    async def send(self, envelope: Envelope) -> Outcome:
        """Carry out one transaction.

        Raises:
            SessionStaleError: If a session that was used before is lost before its first reply.
        """
        reused = self.messages > 0
        self.messages += 1
        self.fit = False
        try:
            reply = await self._transaction.run(envelope)
        except Exception as error:  # whatever broke, the message needs an outcome
            lost = isinstance(error, SMTPServerDisconnected)
            if reused and lost and self._transaction.step == "MAIL":
                raise SessionStaleError from error
            return await self._broken(error)
        self.fit = self._transaction.in_step
        return replies.accepted(reply)

    async def _broken(self, error: Exception) -> Outcome:
        if isinstance(error, SMTPResponseException) and replies.is_refusal(error.code):
            outcome = replies.refused(error.code, error.message)
            usable = outcome.reason != "relay_unreachable" and self._transaction.in_step
            self.fit = usable and await self._reset() and self._transaction.in_step
            return outcome
        what = f"{replies.describe(error)} (the relay's answer to {self._transaction.step})"
        return replies.lost(what) if self._transaction.step == MESSAGE else replies.broken(what)

    async def _reset(self) -> bool:
        try:
            async with asyncio.timeout(self._timeouts.reset):
                await self._client.rset()
        except Exception:  # noqa: BLE001 - the outcome stands; only the session is given up
            return False
        return True

    async def noop(self) -> None:
        """Ask for a sign of life; raises what aiosmtplib raises."""
        async with asyncio.timeout(self._timeouts.connect):
            await self._client.noop()

    def retire(self) -> None:
        """Say QUIT and hang up without waiting for the answer."""
        if self.connected:
            self._protocol.write(b"QUIT\r\n")
        self._client.close()

    async def quit(self) -> None:
        """Say QUIT, wait a little for the answer, hang up. Raises nothing but cancellation."""
        try:
            async with asyncio.timeout(self._timeouts.quit):
                await self._client.quit()
        except Exception:  # noqa: BLE001, S110 - it was going away anyhow
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Hang up at once.

        A transport that is merely closed would first flush its buffer: to a server that hangs, never.
        """
        self._client.close()
        self._transport.abort()


def _watch_peer(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _VANISHED.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def tls_mode(address: RelayAddress) -> str:
    """How TLS is used: as the address says, but never without TLS when there are credentials."""
    if address.username is not None and address.tls == "opportunistic":
        return "starttls"
    return address.tls


def new_context(mode: str) -> ssl.SSLContext:
    """A context to be shared by all sessions: reading the trusted roots takes tens of milliseconds."""
    if mode != "opportunistic":
        return ssl.create_default_context()
    # Any certificate will do here: a server without STARTTLS would be sent plain text as well, so a
    # check would only turn away servers that are better than that.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def open_session(
    address: RelayAddress, context: ssl.SSLContext, hostname: str, timeouts: Timeouts
) -> Session:
    """Connect, greet, start TLS and log in.

    Args:
        address: The server, and who we are to it.
        context: For TLS; shared by all sessions.
        hostname: What we call ourselves in EHLO.
        timeouts: How long to wait for each step, and for what follows.

    Raises:
        Exception: Whatever aiosmtplib, asyncio and ssl raise; `masked` makes its text fit to show.
    """
    mode = tls_mode(address)
    client = SMTP(
        hostname=address.host,
        port=address.port,
        username=address.username,
        password=address.password.reveal() if address.password is not None else None,
        local_hostname=hostname,
        # Its own limits go through `wait_for`, which on Python 3.11 can swallow a cancellation.
        timeout=None,
        use_tls=mode == "implicit",
        start_tls={"implicit": False, "starttls": True}.get(mode),
        tls_context=context,
    )
    try:
        async with asyncio.timeout(timeouts.connect):
            await client.connect()
            await _greet(client)
        return Session(client, timeouts)
    except BaseException:
        client.close()
        raise


async def _greet(client: SMTP) -> None:
    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except SMTPHeloError as error:
            if error.code == replies.SERVICE_CLOSING:
                raise
            await client.helo()  # a server from before 1995, or one that hides its extensions


def masked(text: str, address: RelayAddress) -> str:
    """Text without the password, in clear or as AUTH encodes it: a server may echo what it got."""
    if not address.password:
        return text
    password = address.password.reveal()
    user = address.username or ""
    encoded = (b64encode(form.encode()).decode() for form in (password, f"\0{user}\0{password}"))
    for form in (*encoded, password):
        text = text.replace(form, "****")
    return text
