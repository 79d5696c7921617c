"""The relay: a pool of SMTP sessions that turns every message into an outcome."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import overload

from aiosmtplib import SMTPAuthenticationError

from dispatcher.domain.circuit import LOGIN_PAUSE, Circuit, Look, State
from dispatcher.domain.delivery import Outcome
from dispatcher.settings import RelayAddress
from dispatcher.smtp import envelope as envelopes
from dispatcher.smtp import replies
from dispatcher.smtp.advice import unusable
from dispatcher.smtp.envelope import Envelope
from dispatcher.smtp.session import Session, SessionStaleError, masked, new_context, open_session, tls_mode
from dispatcher.smtp.slots import Slots
from dispatcher.smtp.transaction import Timeouts

__all__ = ["Envelope", "Relay", "Timeouts"]

#: Servers drop idle sessions after minutes (RFC 5321: at least five), load balancers sooner.
IDLE_SECONDS = 30.0
#: Many servers limit the messages per session, and load balancers spread only new ones.
MESSAGES_PER_SESSION = 1000
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
        self._circuit = Circuit()
        self._down = replies.unreachable("")  # what opened the circuit last
        self._narrow_until = 0.0
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

        A cancelled send may have been delivered: shield it, or treat it as uncertain. While the circuit
        is open, the outcome says at once that nothing was tried.

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
            if self._closed:
                return replies.unreachable("Dispatcher is shutting down")
            if not self._circuit.admit(self._clock()):
                return self._down
            try:
                outcome = await self._send(envelope, wanted, urgent=urgent)
            except _DownError as down:
                return down.outcome
            if outcome is None:
                self._circuit.unused()
            return outcome

    def room(self) -> int | None:
        """How many messages may be begun: None for any number, 0 while the server takes nothing."""
        return 0 if self._closed else self._circuit.room(self._clock())

    def look(self) -> Look:
        """How its circuit stands."""
        return self._circuit.look(self._clock())

    async def probe(self) -> None:
        """Open a session of its own, with TLS and log-in as for mail, and ask for a sign of life.

        Raises:
            ServiceUnreachable: With the address, what happened and what to do.
        """
        try:
            session = await self._connect()
        except Exception as error:  # noqa: BLE001 - told apart by `unusable`
            raise unusable(self._address, error) from None
        try:
            await session.noop()
            await session.quit()
        except Exception as error:  # noqa: BLE001 - told apart by `unusable`
            raise unusable(self._address, error) from None
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
            outcome = await session.send(envelope)
            self._judge(outcome, session)
            return outcome
        finally:
            self._put_back(session)

    def _judge(self, outcome: Outcome, session: Session) -> None:
        """What the fate of a message says about the server."""
        if outcome.reason != "relay_unreachable":
            if outcome.code is None:
                self._circuit.unused()  # lost once it had begun: the next one will tell
            else:
                self._works()
        elif outcome.code is not None or session.unanswered:
            self._fails(replace(outcome, tried=False))
        else:
            self._circuit.unused()

    def _works(self) -> None:
        if self._circuit.look(self._clock()).state is not State.CLOSED:
            _log.warning("The SMTP server %s works again.", self._address)
        self._circuit.succeeded()

    def _fails(self, outcome: Outcome, *, pause: float = 0.0) -> None:
        if self._circuit.look(self._clock()).state is State.CLOSED:
            _log.warning("The SMTP server cannot be used (%s). Mail waits; trying again.", outcome.reply)
        self._down = outcome
        self._circuit.failed(self._clock(), outcome.reply, pause=pause)

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
        if self._narrow_until and self._clock() >= self._narrow_until:
            self._narrow_until = 0.0
            self._slots.narrow(None)
        if urgent or self._open:
            return await self._counted()
        # While nothing stands, one goes ahead: an outage is met, and a wrong password tried, once.
        async with self._first:
            if not self._open:
                if self.look().state is State.OPEN:
                    raise _DownError(self._down)
                return await self._counted()
        return await self._counted()

    async def _counted(self) -> Session:
        try:
            session = await self._connect()
        except Exception as error:
            raise _DownError(self._note_failure(error)) from error
        self._open.add(session)
        return session

    def _note_failure(self, error: Exception) -> Outcome:
        what = masked(f"{self._address}: {replies.describe(error)}", self._address)
        outcome = replies.unreachable(what, error)
        if self._open and self.look().state is State.CLOSED:
            # The server takes so many sessions and no more: work on with those.
            self._narrow_until = self._clock() + NARROW_SECONDS
            self._slots.narrow(len(self._open))
        else:
            login = isinstance(error, SMTPAuthenticationError)
            self._fails(outcome, pause=LOGIN_PAUSE if login else 0.0)
        return outcome

    async def _connect(self) -> Session:
        if self._hostname is None:
            self._hostname = await asyncio.to_thread(_local_hostname)
        return await open_session(self._address, self._context, self._hostname, self._timeouts)


def _local_hostname() -> str:
    name = socket.getfqdn()
    # RFC 5321 section 4.1.4: a client without a proper name gives its address as a literal.
    return name if "." in name and name.isascii() else "[127.0.0.1]"
