"""The relay: a pool of SMTP sessions that turns every message into an outcome."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import overload

from aiosmtplib import SMTPAuthenticationError

from dispatcher.domain.delivery import Outcome
from dispatcher.errors import ServiceUnreachable
from dispatcher.settings import RelayAddress
from dispatcher.smtp import envelope as envelopes
from dispatcher.smtp import replies
from dispatcher.smtp.envelope import Envelope
from dispatcher.smtp.session import (
    Session,
    SessionStaleError,
    Timeouts,
    masked,
    new_context,
    open_session,
    tls_mode,
)
from dispatcher.smtp.slots import Slots

__all__ = ["Envelope", "Relay", "Timeouts"]

#: Servers drop idle sessions after minutes (RFC 5321: at least five), load balancers sooner.
IDLE_SECONDS = 30.0
#: Many servers limit the messages per session, and load balancers spread only new ones.
MESSAGES_PER_SESSION = 1000
#: After a failed connection, how long others are spared the same wait.
DOWN_SECONDS = 1.0
#: A refused log-in is tried again much later: accounts get locked for less.
LOGIN_REFUSED_SECONDS = 30.0
#: After a connection failed while others stood, how long to make do with those.
NARROW_SECONDS = 30.0

_log = logging.getLogger(__name__)


class _DownError(Exception):
    """No session can be had; carries the outcome that says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reply)
        self.outcome = outcome


class Relay:
    """Sends messages over kept sessions, one recipient per transaction.

    Args:
        address: The server. With credentials TLS is required, whatever `RelayAddress.tls` says.
        connections: Messages on their way at once.
        reserved: As many again that only urgent ones may use, so that none waits behind bulk.
        tls_context: In place of the usual one; for a private certificate authority.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        address: RelayAddress,
        *,
        connections: int = 8,
        reserved: int = 2,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        tls_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._slots = Slots(connections, reserved)
        self._timeouts = timeouts
        self._context = tls_context or new_context(tls_mode(address))
        self._clock = clock
        self._hostname: str | None = None
        self._idle: deque[Session] = deque()  # the longest idle first
        self._open: set[Session] = set()  # idle or in use
        self._first = asyncio.Lock()
        self._down: Outcome | None = None
        self._told = False  # whether the log tells of an outage
        self._down_until = self._narrow_until = 0.0
        self._closed = False

    @overload
    async def send(self, envelope: Envelope, *, urgent: bool = False) -> Outcome: ...

    @overload
    async def send(
        self, envelope: Envelope, *, urgent: bool = False, wanted: Callable[[], bool]
    ) -> Outcome | None: ...

    async def send(
        self, envelope: Envelope, *, urgent: bool = False, wanted: Callable[[], bool] = lambda: True
    ) -> Outcome | None:
        """Send one message and say what came of it; raises nothing but `asyncio.CancelledError`.

        A cancelled send may have been delivered: shield it, or treat it as uncertain.

        Args:
            envelope: The message.
            urgent: Whether it may use the reserve, and goes before others.
            wanted: Asked when it is the message's turn, again after a wait for a session; False leaves it
                unsent and gives None.
        """
        if problem := envelopes.problem(envelope):
            return replies.unsendable(problem)
        async with self._slots.taken(urgent=urgent):
            if not wanted():
                return None
            try:
                return await self._send(envelope, wanted, urgent=urgent)
            except _DownError as down:
                return down.outcome

    async def probe(self) -> None:
        """Open a session of its own, with TLS and log-in as for mail, and ask for a sign of life.

        Raises:
            ServiceUnreachable: With the address, what happened and what to do.
        """
        try:
            session = await self._connect()
        except Exception as error:  # noqa: BLE001 - told apart by `_advice`
            raise self._service_unreachable(error) from None
        try:
            await session.noop()
            await session.quit()
        except Exception as error:  # noqa: BLE001 - told apart by `_advice`
            raise self._service_unreachable(error) from None
        finally:
            session.abort()

    async def close(self) -> None:
        """Say QUIT on idle sessions and let go of them; sessions in use follow when they are done.

        Takes no longer than `Timeouts.quit`. Every later `send` is deferred.
        """
        self._closed = True
        idle = [*self._idle]
        self._idle.clear()
        self._open.difference_update(idle)
        await asyncio.gather(*(session.quit() for session in idle))
        await asyncio.sleep(0)  # sockets are closed in the loop's next round

    async def _send(self, envelope: Envelope, wanted: Callable[[], bool], *, urgent: bool) -> Outcome | None:
        session = self._kept()
        if session is not None:
            try:
                return await self._use(session, envelope)
            except SessionStaleError:
                pass  # the server dropped it while it lay idle and has seen nothing of this message
        session = await self._fresh(urgent=urgent)
        if not wanted():  # to open a session may take half a minute
            self._put_back(session)
            return None
        return await self._use(session, envelope)

    async def _use(self, session: Session, envelope: Envelope) -> Outcome:
        try:
            return await session.send(envelope)
        finally:
            self._put_back(session)

    def _put_back(self, session: Session) -> None:
        if not session.fit:
            self._open.discard(session)
            session.abort()
        elif self._closed or session.messages >= MESSAGES_PER_SESSION:
            self._open.discard(session)
            session.retire()
        else:
            session.idle_since = self._clock()
            self._idle.append(session)

    def _kept(self) -> Session | None:
        """The idle session that was used last; those idle for too long are let go."""
        oldest = self._clock() - IDLE_SECONDS
        while self._idle and self._idle[0].idle_since < oldest:
            session = self._idle.popleft()
            self._open.discard(session)
            session.retire()
        while self._idle:
            session = self._idle.pop()
            if session.connected:
                return session
            self._open.discard(session)
            session.abort()
        return None

    async def _fresh(self, *, urgent: bool) -> Session:
        self._check_down()
        if urgent or self._open:
            return await self._counted()
        # While nothing stands, one goes ahead: an outage is met, and a wrong password tried, once.
        async with self._first:
            self._check_down()
            if not self._open:
                return await self._counted()
        return await self._counted()

    def _check_down(self) -> None:
        now = self._clock()
        if self._closed:
            raise _DownError(replies.unreachable("Dispatcher is shutting down"))
        if self._down is not None and now < self._down_until:
            raise _DownError(self._down)
        if self._narrow_until and now >= self._narrow_until:
            self._narrow_until = 0.0
            self._slots.narrow(None)

    async def _counted(self) -> Session:
        try:
            session = await self._connect()
        except Exception as error:
            raise _DownError(self._note_failure(error)) from error
        self._open.add(session)
        if self._down is not None and self._told:
            _log.warning("The SMTP server %s works again.", self._address)
            self._told = False
        self._down = None
        return session

    def _note_failure(self, error: Exception) -> Outcome:
        what = masked(f"{self._address}: {replies.describe(error)}", self._address)
        self._down = replies.unreachable(what, error)
        login = isinstance(error, SMTPAuthenticationError)
        self._down_until = self._clock() + (LOGIN_REFUSED_SECONDS if login else DOWN_SECONDS)
        if self._open:
            # The server takes so many sessions and no more: work on with those, instead of deferring
            # every message that finds a slot but no session.
            self._narrow_until = self._clock() + NARROW_SECONDS
            self._slots.narrow(len(self._open))
        elif not self._told:
            _log.warning("The SMTP server cannot be used (%s). Mail waits; trying again.", self._down.reply)
            self._told = True
        return self._down

    async def _connect(self) -> Session:
        if self._hostname is None:
            self._hostname = await asyncio.to_thread(_local_hostname)
        return await open_session(self._address, self._context, self._hostname, self._timeouts)

    def _service_unreachable(self, error: Exception) -> ServiceUnreachable:
        what = masked(replies.plain(replies.describe(error)), self._address).rstrip(".")
        return ServiceUnreachable(
            "smtp", f"The SMTP relay {self._address} cannot be used: {what}. {_advice(error)}"
        )


def _local_hostname() -> str:
    name = socket.getfqdn()
    # RFC 5321 section 4.1.4: a client without a proper name gives its address as a literal.
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _advice(error: Exception) -> str:
    causes = (error, error.__cause__)
    if isinstance(error, SMTPAuthenticationError):
        return "Check the user name and password in DISPATCHER_SMTP_URL."
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return (
            "Check that the certificate is valid for this host name and trusted here, and that the "
            "URL in DISPATCHER_SMTP_URL speaks of the right kind of TLS for this port."
        )
    if "STARTTLS" in str(error):
        return "Use a port with TLS in DISPATCHER_SMTP_URL, or have STARTTLS turned on at the relay."
    return (
        "Check host and port in DISPATCHER_SMTP_URL, that the relay runs, and that it takes "
        "connections from here."
    )
