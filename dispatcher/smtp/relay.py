"""The relay: a pool of SMTP sessions that turns every message into an outcome."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import overload

from aiosmtplib import SMTPAuthenticationError

from dispatcher.domain.circuit import LOGIN_PAUSE, Circuit, Look, State
from dispatcher.domain.delivery import Outcome
from dispatcher.settings import DomainLimit, RelayAddress
from dispatcher.smtp import envelope as envelopes
from dispatcher.smtp import replies
from dispatcher.smtp.advice import unusable
from dispatcher.smtp.domains import Domains
from dispatcher.smtp.envelope import Envelope
from dispatcher.smtp.pool import Pool
from dispatcher.smtp.session import Session, SessionStaleError, masked, new_context, open_session, tls_mode
from dispatcher.smtp.slots import Slots
from dispatcher.smtp.transaction import Timeouts
from dispatcher.smtp.width import SILENT_SECONDS, Width

__all__ = ["Envelope", "Relay", "Timeouts"]

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
        connections: Messages on their way at once, at most; fewer while the server does not bear so many.
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
        self._most = connections + reserved
        self._width = Width(self._most)
        self._slots = Slots(self._width.room, reserved)
        self._domains = Domains({}, clock)
        self._timeouts = timeouts
        self._context = tls_context or new_context(tls_mode(address))
        self._clock = clock
        self._hostname: str | None = None
        self._pool = Pool(clock)
        self._watch: asyncio.TimerHandle | None = None
        self._first = asyncio.Lock()
        self._circuit = Circuit()
        self._down = replies.unreachable("")  # what opened the circuit last
        self._closed = False

    def limit(self, domains: Mapping[str, DomainLimit]) -> None:
        """Give each domain so much mail at a time and no more; call it before the first `send`.

        Args:
            domains: By domain; `EVERY_OTHER` stands for each that is not named.
        """
        self._domains = Domains(domains, self._clock)

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
        is open, the outcome says at once that nothing was tried; where the recipient's domain is at its limit
        it says so within seconds, and when to come back.

        Args:
            envelope: The message.
            urgent: Whether it may use the reserve, and goes before others.
            wanted: Asked when it is the message's turn, again after a wait for a session; False leaves it
                unsent and gives None.
        """
        if problem := envelopes.problem(envelope):
            return replies.unsendable(problem)
        if pause := await self._domains.enter(envelope.recipient, urgent=urgent):
            return replies.domain_full(pause)
        began, outcome = self._clock(), None
        try:
            outcome = await self._in_a_slot(envelope, wanted, urgent=urgent)
        finally:
            tried = outcome is not None and outcome.tried
            self._domains.leave(envelope.recipient, began, tried=tried)
        return outcome

    async def _in_a_slot(
        self, envelope: Envelope, wanted: Callable[[], bool], *, urgent: bool
    ) -> Outcome | None:
        if self._slots.full and self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(SILENT_SECONDS / 2, self._look_for_silence)
        await self._slots.take(urgent=urgent)
        try:
            if not wanted():
                return None
            if self._closed:
                return replies.unreachable("Dispatcher is shutting down")
            if not self._circuit.admit(self._clock()):
                return self._down
            outcome = await self._send(envelope, wanted, urgent=urgent)
        except _DownError as down:
            return down.outcome
        else:
            if outcome is None:
                self._circuit.unused()
            return outcome
        finally:
            self._slots.release()

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
        if self._watch is not None:
            self._watch.cancel()
        await self._pool.close()

    def _look_for_silence(self) -> None:
        """While mail waits and the server answers nothing, give it more: another session may be luckier."""
        self._watch = None
        if self._closed or not self._slots.full:
            return
        if len(self._pool) and self._width.waited(self._clock()):
            self._slots.resize(self._width.room)
        self._watch = asyncio.get_running_loop().call_later(SILENT_SECONDS / 2, self._look_for_silence)

    async def _send(self, envelope: Envelope, wanted: Callable[[], bool], *, urgent: bool) -> Outcome | None:
        session = self._pool.kept()
        if session is not None:
            try:
                return await self._use(session, envelope)
            except SessionStaleError:
                pass  # the server dropped it while it lay idle and has seen nothing of this message
        session = await self._fresh(urgent=urgent)
        if not wanted():  # to open a session may take half a minute
            self._pool.put_back(session, self._width.room)
            return None
        return await self._use(session, envelope)

    async def _use(self, session: Session, envelope: Envelope) -> Outcome:
        began, shrinks = self._clock(), self._width.shrinks
        try:
            outcome = await session.send(envelope)
            self._judge(outcome, session, began, shrinks)
            return outcome
        finally:
            self._pool.put_back(session, self._width.room)

    def _judge(self, outcome: Outcome, session: Session, began: float, shrinks: int) -> None:
        """What the fate of a message says about the server."""
        if outcome.reason != "relay_unreachable":
            if outcome.code is None:
                self._circuit.unused()  # lost once it had begun: the next one will tell
            else:
                self._works(began)
                if replies.is_overload(outcome):
                    self._too_much(shrinks)
        elif outcome.code is not None or session.unanswered:
            closing = outcome.code == replies.SERVICE_CLOSING and len(self._pool) > 1
            if not (closing and self._too_much(shrinks)):
                self._fails(replace(outcome, tried=False))
        else:
            self._circuit.unused()

    def _works(self, began: float) -> None:
        now = self._clock()
        if self._circuit.room(now) is not None:
            _log.warning("The SMTP server %s works again.", self._address)
            self._circuit.succeeded()
        if self._width.answered(now, now - began, full=self._slots.full):
            self._slots.resize(self._width.room)

    def _too_much(self, shrinks: int, standing: int | None = None) -> bool:
        """Whether the server may have had too much, so that it is given less; else it is out of order."""
        if self.look().state is not State.CLOSED:
            return False
        before = self._width.room
        borne = self._width.refused(self._clock(), shrinks, standing)
        if self._width.room != before:
            _log.info("The SMTP server %s is given %d sessions.", self._address, self._width.room)
            self._slots.resize(self._width.room)
        return borne

    def _fails(self, outcome: Outcome, *, pause: float = 0.0) -> None:
        if self._circuit.look(self._clock()).state is State.CLOSED:
            _log.warning("The SMTP server cannot be used (%s). Mail waits; trying again.", outcome.reply)
        self._down = outcome
        self._circuit.failed(self._clock(), outcome.reply, pause=pause)
        self._width = Width(self._most)  # one that comes back is met as gently as a new one
        self._slots.resize(self._width.room)

    async def _fresh(self, *, urgent: bool) -> Session:
        if urgent or len(self._pool):
            return await self._counted()
        # While nothing stands, one goes ahead: an outage is met, and a wrong password tried, once.
        async with self._first:
            if not len(self._pool):
                if self.look().state is State.OPEN:
                    raise _DownError(self._down)
                return await self._counted()
        return await self._counted()

    async def _counted(self) -> Session:
        shrinks = self._width.shrinks
        try:
            session = await self._connect()
        except Exception as error:
            raise _DownError(self._note_failure(error, shrinks)) from error
        self._pool.add(session)
        return session

    def _note_failure(self, error: Exception, shrinks: int) -> Outcome:
        what = masked(f"{self._address}: {replies.describe(error)}", self._address)
        outcome = replies.unreachable(what, error)
        # Where others stand, the server takes so many sessions and no more: work on with those.
        if not (len(self._pool) and self._too_much(shrinks, len(self._pool))):
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
