"""The catcher: a server that keeps every mail in a Maildir."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import stat
import threading
from pathlib import Path

import pytest

from dispatcher.domain.delivery import Status
from dispatcher.smtp.catcher import Catcher, caught
from dispatcher.smtp.relay import Envelope, Relay

MESSAGE = (
    b"From: Dispatcher <noreply@example.org>\r\nTo: ann@example.com\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n.dot\r\nends with a dot.\r\n..\r\nlast\r\n"
)


def mail(to: str = "ann@example.com", message: bytes = MESSAGE) -> Envelope:
    return Envelope("noreply@example.org", to, message)


async def test_a_mail_is_kept_as_it_came_with_its_envelope(tmp_path: Path) -> None:
    """The file holds two lines of envelope and then the message, byte for byte."""
    with Catcher(tmp_path) as catcher:
        relay = Relay(catcher.address)
        outcome = await relay.send(mail())
        await relay.close()
    (kept,) = caught(tmp_path)

    assert outcome.status is Status.SENT
    assert (kept.envelope_from, kept.envelope_to) == ("noreply@example.org", ("ann@example.com",))
    assert kept.message["Subject"] == "Grüße"
    assert kept.path.read_bytes() == (
        b"X-MailFrom: noreply@example.org\r\nX-RcptTo: ann@example.com\r\n" + MESSAGE
    )


async def test_many_mails_are_kept_in_the_order_of_arrival(tmp_path: Path) -> None:
    """Sorted by name, the files are in the order in which they came; none is missing."""
    with Catcher(tmp_path) as catcher:
        one_by_one = Relay(catcher.address, connections=1)
        for number in range(300):
            await one_by_one.send(mail(f"r{number}@example.com"))
        await one_by_one.close()
        at_once = Relay(catcher.address)
        await asyncio.gather(*(at_once.send(mail(f"s{n}@example.com")) for n in range(300)))
        await at_once.close()
    recipients = [kept.envelope_to[0] for kept in caught(tmp_path)]

    assert recipients[:300] == [f"r{number}@example.com" for number in range(300)]
    assert sorted(recipients[300:]) == sorted(f"s{number}@example.com" for number in range(300))


def test_the_extensions_are_offered(tmp_path: Path) -> None:
    """SIZE, 8BITMIME, so that a client meets what real servers have."""
    with Catcher(tmp_path) as catcher, smtplib.SMTP(catcher.address.host, catcher.address.port) as c:
        c.ehlo()

        assert {"size", "8bitmime"} <= set(c.esmtp_features)


def test_a_mail_for_several_names_them_all(tmp_path: Path) -> None:
    """Other clients may give more than one recipient."""
    with Catcher(tmp_path) as catcher, smtplib.SMTP(catcher.address.host, catcher.address.port) as c:
        c.sendmail("x@example.com", ["a@example.com", "b@example.com"], MESSAGE)
    (kept,) = caught(tmp_path)

    assert kept.envelope_to == ("a@example.com", "b@example.com")


def talk(catcher: Catcher, *said: bytes) -> list[bytes]:
    """Say each, and return what came back for each."""
    with socket.create_connection((catcher.address.host, catcher.address.port), timeout=5) as s:
        answers = [s.recv(1000)]
        for line in said:
            s.sendall(line)
            answers.append(s.recv(1000))
    return answers


def test_an_empty_mail_and_one_that_comes_in_pieces_are_kept(tmp_path: Path) -> None:
    """The end of a message is found wherever its bytes are torn apart."""
    begin = (b"HELO x\r\n", b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<b@example.com>\r\n")
    with Catcher(tmp_path) as catcher:
        empty = talk(catcher, *begin, b"DATA\r\n", b".\r\n")
        with socket.create_connection((catcher.address.host, catcher.address.port), timeout=5) as s:
            for line in (b"", *begin, b"DATA\r\n"):
                s.sendall(line)
                s.recv(1000)
            for byte in b"A: b.\r\n\r\nc.\r\n..\r\n.\r\n":
                s.sendall(bytes([byte]))
            torn = s.recv(1000)
    first, second = caught(tmp_path)

    assert empty[-1].startswith(b"250")
    assert torn.startswith(b"250")
    assert first.path.read_bytes().endswith(b"X-RcptTo: b@example.com\r\n")
    assert second.path.read_bytes().endswith(b"X-RcptTo: b@example.com\r\nA: b.\r\n\r\nc.\r\n.\r\n")


def test_data_out_of_turn_is_refused(tmp_path: Path) -> None:
    """Without a recipient there is no message to take."""
    with Catcher(tmp_path) as catcher:
        answers = talk(catcher, b"HELO x\r\n", b"DATA\r\n", b"MAIL FROM:<a@b.c>\r\n", b"DATA\r\n")

    assert [answer[:3] for answer in answers] == [b"220", b"250", b"503", b"250", b"503"]


async def test_a_disk_that_takes_nothing_defers_the_mail(tmp_path: Path) -> None:
    """The mail is not lost: the catcher says 452, and the sender keeps it."""
    with Catcher(tmp_path) as catcher:
        (tmp_path / "tmp").rmdir()
        relay = Relay(catcher.address)
        outcome = await relay.send(mail())
        await relay.close()

    assert (outcome.status, outcome.code) == (Status.DEFERRED, 452)
    assert outcome.enhanced_code == "4.3.1"


async def test_a_mail_too_large_is_refused_by_its_announced_size(tmp_path: Path) -> None:
    """A sender that announces the size learns it before sending."""
    large = b"Subject: x\r\n\r\n" + (b"x" * 900 + b"\r\n") * 40_000
    with Catcher(tmp_path) as catcher:
        relay = Relay(catcher.address)
        outcome = await relay.send(mail(message=large))
        await relay.close()

    assert (outcome.status, outcome.code) == (Status.FAILED, 552)


def flood(s: socket.socket, line: bytes) -> None:
    for _ in range(200):
        s.sendall(line * 1000)


@pytest.mark.parametrize("line", [b"x" * 900 + b"\r\n", b"x" * 900, b"x" * 900 + b".\r\n"])
def test_a_mail_too_large_without_a_word_is_cut_off(tmp_path: Path, line: bytes) -> None:
    """Nobody can fill the catcher's memory, in many lines or in one."""
    begin = (b"HELO x\r\n", b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<b@example.com>\r\n")
    with (
        Catcher(tmp_path) as catcher,
        socket.create_connection((catcher.address.host, catcher.address.port), timeout=10) as s,
    ):
        for said in (b"", *begin, b"DATA\r\n"):
            s.sendall(said)
            s.recv(1000)
        with pytest.raises(ConnectionError):
            flood(s, line)

    assert caught(tmp_path) == []


def test_start_and_stop_are_forgiving_where_they_can_be(tmp_path: Path) -> None:
    """Stopping what never ran does nothing; starting twice is a mistake that is told."""
    Catcher(tmp_path).stop()
    with Catcher(tmp_path) as catcher, pytest.raises(RuntimeError, match="Make another one"):
        catcher.start()


async def test_a_mail_cut_off_is_not_kept(tmp_path: Path) -> None:
    """Half a message leaves no file, and the next one is taken."""
    with Catcher(tmp_path) as catcher:
        talk(
            catcher,
            b"HELO x\r\n",
            b"MAIL FROM:<a@example.com>\r\n",
            b"RCPT TO:<b@example.com>\r\n",
            b"DATA\r\n",
        )
        relay = Relay(catcher.address)
        await relay.send(mail())
        await relay.close()

    assert [kept.envelope_to for kept in caught(tmp_path)] == [("ann@example.com",)]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_stop_ends_open_sessions_and_the_thread(tmp_path: Path) -> None:
    """Nothing is left behind, though a client has not said goodbye."""
    catcher = Catcher(tmp_path)
    address = catcher.start()
    with socket.create_connection((address.host, address.port), timeout=5) as client:
        client.recv(1000)
        catcher.stop()
        catcher.stop()

        assert client.recv(1000) == b""
    assert "catcher" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port), timeout=5)


def test_a_port_that_is_taken_is_an_error_at_once(tmp_path: Path) -> None:
    """The caller learns of it from `start`, not from a silent thread."""
    with Catcher(tmp_path) as first:
        second = Catcher(tmp_path, port=first.address.port)
        with pytest.raises(OSError, match="address already in use"):
            second.start()
        second.stop()


def test_a_second_catcher_goes_on_in_the_same_maildir(tmp_path: Path) -> None:
    """Mails of an earlier run come first and are not overwritten."""
    for name in ("first", "second"):
        with Catcher(tmp_path) as catcher, smtplib.SMTP("127.0.0.1", catcher.address.port) as client:
            client.sendmail("x@example.com", f"{name}@example.com", MESSAGE)

    assert [kept.envelope_to[0][:-12] for kept in caught(tmp_path)] == ["first", "second"]


def test_the_maildir_is_for_its_owner_only(tmp_path: Path) -> None:
    """Mails may hold what is nobody else's business."""
    with Catcher(tmp_path / "mails"):
        mode = stat.S_IMODE((tmp_path / "mails" / "new").stat().st_mode)

    assert mode == 0o700


def test_no_maildir_means_no_mails(tmp_path: Path) -> None:
    """Asked before the first mail came, there is nothing yet."""
    assert caught(tmp_path / "nowhere") == []
