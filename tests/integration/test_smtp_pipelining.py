"""MAIL, RCPT and DATA in one write, and each reply matched to its command (RFC 2920)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from slow import PATIENT
from smtp_server import SmtpServer, Verb, trusting_context

from dispatcher.domain.delivery import Status
from dispatcher.smtp.relay import Envelope, Relay, Timeouts

QUICK = Timeouts(connect=20, mail=0.5, recipient=0.5, data_start=0.5, data_end=0.5, reset=0.5, quit=0.5)
MESSAGE = b"Subject: hello\r\n\r\nbody\r\n"
GROUP: tuple[Verb, ...] = ("MAIL", "RCPT", "DATA")


def mail(to: str = "ann@example.com") -> Envelope:
    return Envelope("noreply@example.org", to, MESSAGE)


def verbs(server: SmtpServer) -> list[str]:
    return [line.split(":")[0].split(" ")[0] for _, line in server.commands]


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


@pytest.fixture
async def relay(server: SmtpServer) -> AsyncIterator[Relay]:
    relay = Relay(server.address(), connections=1, reserved=0, timeouts=QUICK)
    yield relay
    await relay.close()


async def test_the_group_leaves_in_one_write(server: SmtpServer, relay: Relay) -> None:
    """A server that is slow to answer MAIL has read RCPT and DATA all the same when it does."""
    slow = server.script("MAIL", delay=0.1, times=1)
    sending = asyncio.create_task(relay.send(mail()))
    await slow.reached.wait()
    outcome = await sending

    assert outcome.status is Status.SENT
    assert verbs(server)[-3:] == [*GROUP]


async def test_without_the_extension_each_command_waits() -> None:
    """A server that does not offer PIPELINING is never sent two commands at once."""
    async with SmtpServer(extensions=("ENHANCEDSTATUSCODES",)) as server:
        relay = Relay(server.address(), connections=1, reserved=0, timeouts=QUICK)
        hanging = server.script("MAIL", action="hang", times=1)
        sending = asyncio.create_task(relay.send(mail()))
        await hanging.reached.wait()
        await asyncio.sleep(0.1)

        assert verbs(server)[-1] == "MAIL"
        await sending
        await relay.close()


@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
async def test_a_refusal_before_an_accepted_data_ends_with_a_lone_dot(
    server: SmtpServer, relay: Relay, verb: Verb
) -> None:
    """The refusal stands, nothing of the message is sent, and the session serves the next one."""
    server.script(verb, reply="550 5.1.1 No such user", times=1)
    outcome = await relay.send(mail())
    following = await relay.send(mail("bob@example.com"))

    assert (outcome.status, outcome.enhanced_code) == (Status.FAILED, "5.1.1")
    assert following.status is Status.SENT
    assert [kept.recipients for kept in server.kept if b"hello" in kept.message] == [("bob@example.com",)]
    assert server.connections == 1


@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
async def test_the_first_refusal_of_a_group_is_the_messages(
    server: SmtpServer, relay: Relay, verb: Verb
) -> None:
    """That DATA has no valid recipients follows from it, and is not what the ledger keeps."""
    server.script(verb, reply="452 4.2.2 Mailbox full", times=1)
    server.script("DATA", reply="554 5.5.1 No valid recipients", times=1)
    outcome = await relay.send(mail())

    assert (outcome.status, outcome.code) == (Status.DEFERRED, 452)
    assert server.connections == 1


@pytest.mark.parametrize("verb", GROUP)
async def test_a_server_that_hangs_up_after_a_refusal_changes_nothing_about_it(
    server: SmtpServer, relay: Relay, verb: Verb
) -> None:
    """The refusal was said; only the session is given up."""
    server.script(verb, reply="550 5.7.1 Not you", action="cut", times=1)
    outcome = await relay.send(mail())
    following = await relay.send(mail())

    assert (outcome.status, outcome.enhanced_code) == (Status.FAILED, "5.7.1")
    assert following.status is Status.SENT
    assert server.connections == 2


async def test_what_a_server_adds_to_its_last_reply_is_no_answer_to_the_next_message(
    server: SmtpServer, relay: Relay
) -> None:
    """A reply that nobody asked for ends the session, however early it comes."""
    server.script("DOT", reply="250 2.0.0 Ok\r\n250 2.0.0 Ok", times=1, keep=True)
    first = await relay.send(mail())
    server.script("MAIL", reply="550 5.7.1 Not you", times=1)
    second = await relay.send(mail("bob@example.com"))

    assert (first.status, second.status) == (Status.SENT, Status.FAILED)
    assert server.connections == 2


async def test_a_reply_before_the_message_is_not_the_messages(server: SmtpServer, relay: Relay) -> None:
    """What comes together with the 354 and was not asked for accepts nothing."""
    server.script("DATA", reply="354 Go on\r\n250 2.0.0 Ok: queued", times=1)
    server.script("DOT", reply="550 5.7.1 Spam", times=1)
    outcome = await relay.send(mail())
    following = await relay.send(mail("bob@example.com"))

    assert (outcome.status, outcome.enhanced_code) == (Status.FAILED, "5.7.1")
    assert following.status is Status.SENT
    assert server.connections == 2


async def test_a_message_that_is_cancelled_before_the_354_is_not_written(
    server: SmtpServer, relay: Relay
) -> None:
    """Nobody waits for its outcome, so it must not arrive."""
    slow = server.script("DATA", delay=0.1, times=1)
    sending = asyncio.create_task(relay.send(mail()))
    await slow.reached.wait()
    sending.cancel()
    following = await relay.send(mail("bob@example.com"))

    assert following.status is Status.SENT
    assert server.recipients == ["bob@example.com"]


async def test_replies_in_pieces_and_of_several_lines_are_read(server: SmtpServer, relay: Relay) -> None:
    """However the network cuts them, and however much a server has to say."""
    server.script("MAIL", reply="250-2.1.0 Hello\r\n250-2.1.0 and\r\n250 2.1.0 welcome", times=1)
    server.script("DOT", reply="250-2.0.0 Taken\r\n250 2.0.0 as 4F1", times=1, keep=True)
    outcome = await relay.send(mail())

    assert (outcome.status, outcome.reply) == (Status.SENT, "2.0.0 Taken 2.0.0 as 4F1")


async def test_one_timer_serves_many_messages(server: SmtpServer, relay: Relay) -> None:
    """A reply that does not come is noticed in its own time, whatever was waited for before."""
    for _ in range(3):
        await relay.send(mail())
    server.script("RCPT", action="hang", times=1)
    began = asyncio.get_running_loop().time()
    outcome = await relay.send(mail())
    took = asyncio.get_running_loop().time() - began

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, "relay_unreachable")
    assert "Timed out" in outcome.reply
    assert 0.45 < took < 0.5 + 2 * PATIENT


@pytest.mark.parametrize("verb", GROUP)
async def test_a_421_within_a_group_defers(server: SmtpServer, relay: Relay, verb: Verb) -> None:
    """The server closes; nothing of the message was on its way."""
    server.script(verb, reply="421 4.3.2 Shutting down", action="cut", times=1)
    outcome = await relay.send(mail())

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, "relay_unreachable")
    assert server.kept == []


async def test_a_group_over_tls_arrives() -> None:
    """The protocol takes over an encrypted session as well."""
    async with SmtpServer(tls="starttls", login=("app", "secret")) as server:
        relay = Relay(
            server.address(), connections=1, reserved=0, timeouts=QUICK, tls_context=trusting_context()
        )
        outcomes = [await relay.send(mail()) for _ in range(3)]
        await relay.close()

    assert [outcome.status for outcome in outcomes] == [Status.SENT] * 3
    assert all(kept.tls for kept in server.kept)
