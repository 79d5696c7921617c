"""A development SMTP server that keeps every mail in a Maildir instead of passing it on."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from aiosmtpd.smtp import DATA_SIZE_DEFAULT, SMTP
from aiosmtpd.smtp import Envelope as Received
from aiosmtpd.smtp import Session as Peer

from dispatcher.settings import RelayAddress

STOP_SECONDS = 10.0
END_OF_DATA = b"\r\n.\r\n"


@dataclass(frozen=True)
class CaughtMail:
    """A mail that the catcher kept.

    Attributes:
        path: Its file in the Maildir: the message as it came, after two lines that give the envelope.
        envelope_from: The address of MAIL FROM.
        envelope_to: The addresses of RCPT TO; Dispatcher gives one each time.
    """

    path: Path
    envelope_from: str
    envelope_to: tuple[str, ...]

    @cached_property
    def message(self) -> EmailMessage:
        """The mail, parsed when first asked for."""
        return message_from_bytes(self.path.read_bytes(), policy=policy.default)


def caught(maildir: Path) -> list[CaughtMail]:
    """Every mail in a Maildir that a `Catcher` filled, oldest first; empty if there is no Maildir."""
    folders = (maildir / "new", maildir / "cur")
    paths = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return [_read(path) for path in sorted(paths, key=lambda path: path.name)]


def _read(path: Path) -> CaughtMail:
    with path.open(encoding="utf-8", errors="replace", newline="\r\n") as lines:
        sender, recipients = (next(lines, "").partition(": ")[2].rstrip() for _ in range(2))
    return CaughtMail(path, sender, tuple(filter(None, recipients.split(", "))))


class _Maildir:
    """Writes messages in Maildir's way: complete under ``tmp``, then moved to ``new``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for folder in ("tmp", "new", "cur"):
            (root / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        # The format wants the time in the name. One start time and a counter also sort by arrival.
        host = re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())
        self._name = f"{time.time_ns():020d}.{{:010d}}.{os.getpid()}.{host}"
        self._count = count()

    def keep(self, content: bytes) -> None:
        name = self._name.format(next(self._count))
        temporary = self._root / "tmp" / name
        temporary.write_bytes(content)
        temporary.rename(self._root / "new" / name)


class _Keeper:
    """aiosmtpd's handler: what to do with a message that was received."""

    def __init__(self, maildir: _Maildir) -> None:
        self._maildir = maildir

    async def handle_DATA(self, _server: SMTP, _peer: Peer, envelope: Received) -> str:  # noqa: N802
        head = f"X-MailFrom: {envelope.mail_from}\r\nX-RcptTo: {', '.join(envelope.rcpt_tos)}\r\n"
        try:
            self._maildir.keep(head.encode() + cast("bytes", envelope.original_content))
        except OSError as error:
            return f"452 4.3.1 The mail could not be kept: {error.strerror}"
        return "250 2.0.0 OK"


class Catcher:
    """An SMTP server in a thread of its own.

    Not aiosmtpd's `Controller`: that one cannot be given port 0, and leaves open sessions behind when it
    is stopped.

    Args:
        maildir: Where mails go; made if it is missing.
        host: The interface to listen on; whoever reaches it may fill the disk.
        port: 0 for one that is free.
    """

    def __init__(self, maildir: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._maildir = maildir
        self._host, self._port = host, port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._sessions: set[_Session] = set()

    @property
    def address(self) -> RelayAddress:
        """Where it listens; the port is known once it was started."""
        return RelayAddress(self._host, self._port)

    def start(self) -> RelayAddress:
        """Listen, and return when connections are taken.

        Raises:
            OSError: If the port is taken or the Maildir cannot be made.
        """
        if self._thread is not None:
            raise RuntimeError("The catcher was started before. Make another one.")
        ready: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(ready)), name="catcher", daemon=True
        )
        self._thread.start()
        self._port = ready.result()
        return self.address

    def stop(self) -> None:
        """Hang up on everybody and stop listening; mails that were answered with 250 are kept."""
        if self._thread is None or self._loop is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def _run(self, ready: Future[int]) -> None:
        loop = self._loop = asyncio.get_running_loop()
        try:
            keeper = _Keeper(_Maildir(self._maildir))
            server = await loop.create_server(
                lambda: _Session(keeper, loop, self._sessions), self._host, self._port
            )
        except OSError as error:
            ready.set_exception(error)
            return
        ready.set_result(server.sockets[0].getsockname()[1])
        async with server:
            await self._stop.wait()
            server.close()
            # Leaving the block waits for open sessions, on Python 3.12 and later without end.
            for session in [*self._sessions]:
                session.hang_up()
            await asyncio.sleep(0)  # sockets are closed in the loop's next round


class _Session(SMTP):
    """aiosmtpd's protocol, known to its server so that it can be closed, and quicker with DATA."""

    line_length_limit = DATA_SIZE_DEFAULT  # how much its reader holds: here a whole message

    def __init__(self, keeper: _Keeper, loop: asyncio.AbstractEventLoop, sessions: set[_Session]) -> None:
        # With a name of its own it looks none up in the DNS for each connection.
        super().__init__(keeper, hostname="catcher.localhost", enable_SMTPUTF8=True, loop=loop)
        self._sessions = sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._sessions.discard(self)
        super().connection_lost(error)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Take a message in one piece; aiosmtpd goes line by line, which costs a third of the rate."""
        if arg or self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 RCPT comes first, and DATA has no argument")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = bytearray(b"\r\n")  # so that a dot on the very first line is found as well
        try:
            while not content.endswith(END_OF_DATA) and len(content) < DATA_SIZE_DEFAULT:
                content += await self._reader.readuntil(b".\r\n")
        except asyncio.LimitOverrunError:
            pass
        if not content.endswith(END_OF_DATA):
            await self.push("552 5.3.4 The mail is too large")
            self.hang_up()
            return
        self.envelope.original_content = bytes(content[:-3].replace(b"\r\n.", b"\r\n")[2:])
        reply = await self.event_handler.handle_DATA(self, self.session, self.envelope)
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(reply)

    def hang_up(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()
