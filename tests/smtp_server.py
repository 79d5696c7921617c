"""A scripted SMTP server on a real loopback socket: it answers, hangs or hangs up as a test says.

::

    async with SmtpServer() as server:
        server.script("RCPT", "gone@example.com", reply="550 5.1.1 No such user")
        server.script("BODY", action="cut", times=1)
        ...
        assert [kept.recipient for kept in server.kept] == ["here@example.com"]

The places where a script can step in, in the order of a session:

============  =============================================================================
``CONNECT``   in place of the greeting
``EHLO``, ``STARTTLS``, ``AUTH``, ``MAIL``, ``RCPT``, ``RSET``, ``NOOP``, ``QUIT``  in place of the reply
``DATA``      in place of the 354
``BODY``      after the 354, once the first bytes of the message have come; ``reply`` makes no sense
              here, and ``hang`` reads nothing more
``DOT``       after the final dot, in place of the 250; ``keep`` says whether the message is kept
============  =============================================================================
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, cast

from slow import PATIENT

from dispatcher.settings import RelayAddress, Secret, Tls

Action = Literal["reply", "hang", "cut"]
Verb = Literal[
    "CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BODY", "DOT", "RSET", "NOOP", "QUIT"
]

CERTIFICATE = Path(__file__).parent / "certificates" / "localhost.crt.pem"
KEY = CERTIFICATE.with_name("localhost.key.pem")
LARGEST = 64 * 1024 * 1024
EXTENSIONS = ("PIPELINING", f"SIZE {LARGEST}", "8BITMIME", "ENHANCEDSTATUSCODES")

OK: dict[Verb, str] = {
    "CONNECT": "220 test.example ESMTP",
    "STARTTLS": "220 2.0.0 Ready to start TLS",
    "AUTH": "235 2.7.0 Authentication successful",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 End data with <CR><LF>.<CR><LF>",
    "DOT": "250 2.0.0 Ok: queued",
    "RSET": "250 2.0.0 Ok",
    "NOOP": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


def server_context() -> ssl.SSLContext:
    """The server's side of the certificate under ``tests/certificates``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    return context


def trusting_context() -> ssl.SSLContext:
    """A client's context that verifies, and trusts the test certificate alone."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))


@dataclass(frozen=True, slots=True)
class Kept:
    """A message the server has made its own.

    Attributes:
        message: As it was handed over, dots unstuffed.
        session: Which connection brought it, counted from 1.
        tls: True if it came encrypted.
        login: Who had logged in.
    """

    sender: str
    recipients: tuple[str, ...]
    message: bytes
    session: int
    tls: bool
    login: str | None

    @property
    def recipient(self) -> str:
        """The only recipient; fails if there were more."""
        (only,) = self.recipients
        return only


@dataclass(eq=False)
class Rule:
    """What to do instead of the usual at one place.

    Attributes:
        hits: How often it was applied.
        reached: Set when it was first applied.
        released: Set by a test to let sessions that hang here go on.
    """

    verb: Verb
    recipient: str | None
    reply: str | None
    action: Action
    keep: bool
    times: int | None
    skip: int
    delay: float
    hits: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def applies(self, verb: Verb, recipients: list[str]) -> bool:
        """Whether it is this rule's turn; counts down `skip`."""
        if verb != self.verb or (self.recipient is not None and self.recipient not in recipients):
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        return True


class Cut(Exception):  # noqa: N818
    """The session ends here, without a goodbye."""


class SmtpServer:
    """The server; `async with` starts it and ends every session of it.

    Args:
        tls: ``starttls`` offers STARTTLS, ``implicit`` speaks TLS from the first byte.
        login: User name and password; mail is then taken after AUTH only, and AUTH under TLS only.
        extensions: EHLO lines, besides STARTTLS and AUTH.

    Attributes:
        kept: Every message that the server has made its own, in that order.
        commands: Every command line with the number of its session.
        connections: How many were made so far.
        most_open: How many were open at the same time, at most.
    """

    def __init__(
        self,
        *,
        tls: Literal["starttls", "implicit"] | None = None,
        login: tuple[str, str] | None = None,
        extensions: tuple[str, ...] = EXTENSIONS,
        host: str = "127.0.0.1",
    ) -> None:
        self.tls, self.login, self.extensions, self.host = tls, login, extensions, host
        self.context = server_context() if tls else None
        self.kept: list[Kept] = []
        self.commands: list[tuple[int, str]] = []
        self.connections = 0
        self.most_open = 0
        self.port = 0
        self._rules: list[Rule] = []
        self._sessions: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    def script(
        self,
        verb: Verb,
        recipient: str | None = None,
        *,
        reply: str | None = None,
        action: Action = "reply",
        keep: bool = False,
        times: int | None = None,
        skip: int = 0,
        delay: float = 0.0,
    ) -> Rule:
        """Say what happens at `verb`; the rule given last wins.

        Args:
            recipient: Only in transactions with this recipient; from RCPT on.
            reply: The whole reply with its code, several lines separated by CRLF. With ``cut`` it is
                sent before hanging up, with ``hang`` once the rule is released.
            action: ``reply``, ``hang`` (until `Rule.released` is set) or ``cut`` (hang up).
            keep: At ``DOT``: keep the message whatever the reply. A plain 250 keeps it anyhow.
            times: How often; None for ever.
            skip: How often to let it pass before.
            delay: Seconds to wait first.
        """
        rule = Rule(verb, recipient, reply, action, keep, times, skip, delay)
        self._rules.insert(0, rule)
        return rule

    def clear(self) -> None:
        """Forget every rule, and let sessions that hang go on."""
        for rule in self._rules:
            rule.released.set()
        self._rules.clear()

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._sessions)

    @property
    def recipients(self) -> list[str]:
        """The recipient of each kept message, in order."""
        return [kept.recipient for kept in self.kept]

    def verbs(self, session: int | None = None) -> list[str]:
        """The verbs that came, of one session or of all."""
        return [line.split(" ")[0].upper() for at, line in self.commands if session in (None, at)]

    def address(self, mode: Tls | None = None, *, login: bool = True) -> RelayAddress:
        """Where it is and how to get in.

        Args:
            mode: What `RelayAddress.tls` shall say, if not what fits this server.
            login: False to leave the credentials out.
        """
        user, password = self.login if self.login and login else (None, None)
        secret = Secret(password) if password is not None else None
        return RelayAddress(self.host, self.port, user, secret, mode or self.tls or "opportunistic")

    async def listen(self) -> None:
        """Take connections, on the same port as before if there was one."""
        self._server = await asyncio.start_server(
            self._serve,
            self.host,
            self.port,
            limit=LARGEST,
            ssl=self.context if self.tls == "implicit" else None,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Take no more connections; sessions that stand go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def until_open(self, count: int) -> None:
        """Wait until it has noticed that all but so many sessions are gone."""
        async with asyncio.timeout(5 * PATIENT):
            while self.open > count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def cut_all(self) -> None:
        """Hang up on everybody."""
        tasks = list(self._sessions)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.refuse()
        await self.cut_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        self._sessions[task] = writer
        self.most_open = max(self.most_open, self.open)
        try:
            await _Session(self, self.connections, reader, writer).run()
        except (Cut, OSError, EOFError, asyncio.CancelledError):
            pass  # a cancelled one must end quietly: the streams' callback would report it
        finally:
            del self._sessions[task]
            writer.transport.abort()

    def take(self, kept: Kept) -> None:
        """Make a message its own; a subclass may keep less of it."""
        self.kept.append(kept)

    def rule(self, verb: Verb, recipients: list[str]) -> Rule | None:
        """The rule whose turn it is; a subclass may decide for each message."""
        return next((rule for rule in self._rules if rule.applies(verb, recipients)), None)


class _Session:
    """One connection."""

    def __init__(
        self,
        server: SmtpServer,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server, self.number, self.reader, self.writer = server, number, reader, writer
        self.tls = server.tls == "implicit"
        self.login: str | None = None
        self.sender: str | None = None
        self.recipients: list[str] = []

    async def run(self) -> None:
        await self.answer("CONNECT")
        while line := await self.line():
            verb, _, rest = line.partition(" ")
            self.server.commands.append((self.number, line))
            handler = HANDLERS.get(verb.upper())
            if handler is None:
                await self.say("500 5.5.2 Unknown command")
            else:
                await handler(self, rest)

    async def line(self) -> str:
        return (await self.reader.readuntil(b"\r\n")).decode().removesuffix("\r\n")

    async def say(self, reply: str) -> None:
        if self.writer.transport.is_closing():  # the client has gone; not every loop's write bears that
            raise Cut
        self.writer.write(reply.encode("utf-8", "surrogateescape") + b"\r\n")
        await self.writer.drain()

    async def answer(self, verb: Verb, usual: str | None = None) -> bool:
        """Give the scripted or the usual reply; True if it was a positive one."""
        rule = self.server.rule(verb, self.recipients)
        reply = usual or OK[verb]
        if rule is not None:
            reply = rule.reply or reply
            await self.obey(rule)
        await self.say(reply)
        return reply[:1] in "23"

    async def obey(self, rule: Rule) -> None:
        """Whatever a rule asks for besides its reply; a cut ends the session here."""
        rule.hits += 1
        rule.reached.set()
        await asyncio.sleep(rule.delay)
        if rule.action == "hang":
            await self.hang(rule)
        if rule.action == "cut":
            if rule.reply:
                await self.say(rule.reply)
            raise Cut

    async def hang(self, rule: Rule) -> None:
        """Until the rule is released or the client has gone."""
        released = asyncio.ensure_future(rule.released.wait())
        gone = asyncio.ensure_future(self.gone())
        try:
            await asyncio.wait({released, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            released.cancel()
            gone.cancel()
            await asyncio.gather(released, gone, return_exceptions=True)
        if not rule.released.is_set():
            raise Cut

    async def gone(self) -> None:
        # Not `at_eof()`: that stays False as long as something unread lies in the buffer.
        while not (getattr(self.reader, "_eof", False) or self.writer.is_closing()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def ehlo(self, _rest: str) -> None:
        lines = ["test.example", *self.server.extensions]
        if self.server.tls == "starttls" and not self.tls:
            lines.append("STARTTLS")
        if self.server.login and self.tls:
            lines.append("AUTH PLAIN LOGIN")
        usual = "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])
        self.reset()
        await self.answer("EHLO", usual)

    async def starttls(self, _rest: str) -> None:
        if self.server.tls != "starttls" or self.tls:
            await self.say("503 5.5.1 STARTTLS is not on offer")
        elif await self.answer("STARTTLS"):
            assert self.server.context is not None
            await self.writer.start_tls(self.server.context)
            self.tls = True

    async def auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if not self.tls or self.server.login is None:
            await self.say("538 5.7.11 Encryption required")
            return
        given = await (self.plain(initial) if mechanism == "PLAIN" else self.challenge(initial))
        right = given == self.server.login
        if await self.answer("AUTH", None if right else "535 5.7.8 Authentication failed"):
            self.login = given[0]

    async def plain(self, initial: str) -> tuple[str, str]:
        _, user, password = base64.b64decode(initial).decode().split("\0")
        return user, password

    async def challenge(self, initial: str) -> tuple[str, str]:
        if not initial:
            await self.say("334 " + base64.b64encode(b"Username:").decode())
            initial = await self.line()
        await self.say("334 " + base64.b64encode(b"Password:").decode())
        password = await self.line()
        return base64.b64decode(initial).decode(), base64.b64decode(password).decode()

    async def mail(self, rest: str) -> None:
        if self.server.login and self.login is None:
            await self.say("530 5.7.0 Authentication required")
        elif self.sender is not None:
            await self.say("503 5.5.1 Nested MAIL")
        elif await self.answer("MAIL"):
            self.sender = rest.partition("<")[2].partition(">")[0]

    async def rcpt(self, rest: str) -> None:
        if self.sender is None:
            await self.say("503 5.5.1 MAIL comes first")
            return
        self.recipients.append(rest.partition("<")[2].partition(">")[0])
        if not await self.answer("RCPT"):
            self.recipients.pop()

    async def data(self, _rest: str) -> None:
        if not self.recipients:
            await self.say("503 5.5.1 RCPT comes first")
        elif await self.answer("DATA"):
            await self.receive()

    async def receive(self) -> None:
        message = bytearray()
        rule = self.server.rule("BODY", self.recipients)
        if rule is not None:
            message += await self.reader.read(1)
            self.pause(paused=rule.action == "hang")
            await self.obey(rule)
            self.pause(paused=False)
        while not (message == b".\r\n" or message.endswith(b"\r\n.\r\n")):
            message += await self.reader.readuntil(b".\r\n")
        body = bytes((b"\r\n" + message[:-3]).replace(b"\r\n.", b"\r\n")[2:])
        await self.dot(body)

    def pause(self, *, paused: bool) -> None:
        """Stop reading from the socket, or go on; a client that leaves meanwhile is not noticed."""
        transport = cast("asyncio.Transport", self.writer.transport)
        if paused:
            transport.pause_reading()
        elif not transport.is_closing():
            transport.resume_reading()

    async def dot(self, body: bytes) -> None:
        recipients, rule = self.recipients, self.server.rule("DOT", self.recipients)
        reply = rule.reply if rule and rule.reply else OK["DOT"]
        fine = rule is None or (rule.action == "reply" and reply.startswith("250"))
        if fine or (rule is not None and rule.keep):
            assert self.sender is not None
            self.server.take(Kept(self.sender, tuple(recipients), body, self.number, self.tls, self.login))
        if rule is not None:
            await self.obey(rule)
        self.reset()
        await self.say(reply)

    def reset(self) -> None:
        self.sender, self.recipients = None, []

    async def rset(self, _rest: str) -> None:
        self.reset()
        await self.answer("RSET")

    async def noop(self, _rest: str) -> None:
        await self.answer("NOOP")

    async def quit(self, _rest: str) -> None:
        await self.answer("QUIT")
        raise Cut


HANDLERS: dict[str, Callable[[_Session, str], Awaitable[None]]] = {
    "EHLO": _Session.ehlo,
    "HELO": _Session.ehlo,
    "STARTTLS": _Session.starttls,
    "AUTH": _Session.auth,
    "MAIL": _Session.mail,
    "RCPT": _Session.rcpt,
    "DATA": _Session.data,
    "RSET": _Session.rset,
    "NOOP": _Session.noop,
    "QUIT": _Session.quit,
}
