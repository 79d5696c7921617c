"""What the relay makes of everything that can go wrong with one message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from clock import Monotonic
from slow import PATIENT
from smtp_server import Action, SmtpServer, Verb

from dispatcher.domain.delivery import Outcome, Status
from dispatcher.settings import RelayAddress
from dispatcher.smtp.relay import Envelope, Relay, Timeouts

QUICK = Timeouts(connect=20, mail=0.5, recipient=0.5, data_start=0.5, data_end=0.5, reset=0.5, quit=0.5)
MESSAGE = b"Subject: hello\r\n\r\nfirst\r\n.second\r\n..\r\nlast.\r\n"
DEFERRED = (Status.DEFERRED, "relay_unreachable")
LOST = (Status.UNCERTAIN, "lost_after_data")
BEFORE_DATA: tuple[Verb, ...] = ("MAIL", "RCPT", "DATA")


def mail(to: str = "ann@example.com", message: bytes = MESSAGE) -> Envelope:
    return Envelope("noreply@example.org", to, message)


def short(outcome: Outcome) -> tuple[Status, str]:
    return outcome.status, outcome.reason


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
async def relay(server: SmtpServer, monotonic: Monotonic) -> AsyncIterator[Relay]:
    relay = Relay(server.address(), connections=1, reserved=0, timeouts=QUICK, clock=monotonic)
    yield relay
    await relay.close()


async def test_a_message_arrives_byte_for_byte(server: SmtpServer, relay: Relay) -> None:
    """Lines with leading dots and all, to the one recipient, from the sender."""
    outcome = await relay.send(mail())

    assert outcome == Outcome(Status.SENT, "accepted", 250, "2.0.0", "2.0.0 Ok: queued")
    (kept,) = server.kept
    assert (kept.sender, kept.recipients) == ("noreply@example.org", ("ann@example.com",))
    assert kept.message == MESSAGE


async def test_the_size_is_announced_where_the_server_wants_it(server: SmtpServer, relay: Relay) -> None:
    """A server with a limit can refuse before the message has travelled (RFC 1870)."""
    await relay.send(mail())

    assert (1, f"MAIL FROM:<noreply@example.org> SIZE={len(MESSAGE)}") in server.commands


async def test_the_size_is_not_announced_where_it_is_unknown() -> None:
    """A server without SIZE would refuse the parameter."""
    async with SmtpServer(extensions=()) as server:
        relay = Relay(server.address())
        await relay.send(mail())
        await relay.close()

    assert (1, "MAIL FROM:<noreply@example.org>") in server.commands


async def test_a_server_without_ehlo_is_greeted_with_helo(server: SmtpServer, relay: Relay) -> None:
    """The old greeting does where the new one is refused (RFC 5321 section 3.2)."""
    server.script("EHLO", reply="502 5.5.1 EHLO is not known", times=1)

    assert (await relay.send(mail())).status is Status.SENT
    assert server.verbs() == ["EHLO", "HELO", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("verb", [*BEFORE_DATA, "DOT"])
@pytest.mark.parametrize(
    ("reply", "expected", "code", "enhanced"),
    [
        ("451 4.7.1 Greylisted", (Status.DEFERRED, "refused_temporarily"), 451, "4.7.1"),
        ("550 5.1.1 No such user", (Status.FAILED, "refused_permanently"), 550, "5.1.1"),
        ("552 Too large", (Status.FAILED, "refused_permanently"), 552, None),
    ],
)
async def test_a_refusal_is_told_with_its_words_and_the_session_goes_on(
    server: SmtpServer,
    relay: Relay,
    verb: Verb,
    reply: str,
    expected: tuple[Status, str],
    code: int,
    enhanced: str | None,
) -> None:
    """Wherever it is said, 4yz means later and 5yz never; the next message uses the same session."""
    server.script(verb, reply=reply, times=1)
    outcome = await relay.send(mail())
    following = await relay.send(mail("bob@example.com"))

    assert short(outcome) == expected
    assert (outcome.code, outcome.enhanced_code, outcome.reply) == (code, enhanced, reply[4:])
    assert following.status is Status.SENT
    assert server.recipients == ["bob@example.com"]
    assert server.connections == 1
    assert "RSET" in server.verbs()


async def test_a_refusal_of_several_lines_becomes_one(server: SmtpServer, relay: Relay) -> None:
    """The ledger keeps one line."""
    server.script("RCPT", reply="550-5.1.1 No such user\r\n550 5.1.1 Look elsewhere")
    outcome = await relay.send(mail())

    assert outcome.reply == "5.1.1 No such user 5.1.1 Look elsewhere"
    assert outcome.enhanced_code == "5.1.1"


async def test_a_refused_recipient_does_not_harm_others(server: SmtpServer) -> None:
    """Each recipient has a transaction of their own."""
    server.script("RCPT", "gone@example.com", reply="550 5.1.1 No such user")
    relay = Relay(server.address(), connections=3)
    names = [f"r{number}@example.com" for number in range(10)]
    outcomes = await asyncio.gather(*(relay.send(mail(name)) for name in [*names, "gone@example.com"]))
    await relay.close()

    assert [outcome.status for outcome in outcomes] == [Status.SENT] * 10 + [Status.FAILED]
    assert sorted(server.recipients) == names
    assert all(len(kept.recipients) == 1 for kept in server.kept)


@pytest.mark.parametrize("verb", [*BEFORE_DATA, "DOT"])
async def test_421_defers_and_ends_the_session(
    server: SmtpServer, relay: Relay, monotonic: Monotonic, verb: Verb
) -> None:
    """A server that is going away is met again a little later, in a new session (RFC 5321 section 3.8)."""
    server.script(verb, reply="421 4.3.2 Shutting down", times=1)
    outcome = await relay.send(mail())
    at_once = await relay.send(mail())
    monotonic.now += 1
    following = await relay.send(mail())

    assert short(outcome) == DEFERRED
    assert (outcome.code, outcome.enhanced_code) == (421, "4.3.2")
    assert (outcome.tried, at_once.tried) == (True, False)
    assert following.status is Status.SENT
    assert server.connections == 2


@pytest.mark.parametrize("action", ["cut", "hang"])
@pytest.mark.parametrize("verb", BEFORE_DATA)
async def test_a_session_lost_before_data_defers(
    server: SmtpServer, relay: Relay, monotonic: Monotonic, verb: Verb, action: Action
) -> None:
    """Nothing was handed over, so it is safe to try again; the next message gets a new session."""
    server.script(verb, action=action, times=1)
    outcome = await relay.send(mail())
    monotonic.now += 1
    following = await relay.send(mail())

    assert short(outcome) == DEFERRED
    assert verb in outcome.reply
    assert following.status is Status.SENT
    assert server.connections == 2


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("action", ["cut", "hang"])
@pytest.mark.parametrize("verb", ["BODY", "DOT"])
async def test_a_session_lost_after_data_is_uncertain(
    server: SmtpServer, relay: Relay, verb: Verb, action: Action, keep: bool
) -> None:
    """Whether the server kept the message or not looks the same from here, so it is called so."""
    server.script(verb, action=action, keep=keep, times=1)
    outcome = await relay.send(mail())
    following = await relay.send(mail("bob@example.com"))

    assert short(outcome) == LOST
    assert "answer to the message" in outcome.reply
    assert following.status is Status.SENT
    assert len(server.kept) == (2 if keep and verb == "DOT" else 1)


async def test_a_refusal_after_the_final_dot_is_no_loss(server: SmtpServer, relay: Relay) -> None:
    """A server that says no has not taken the message (RFC 5321 section 4.2.5)."""
    server.script("DOT", reply="554 5.7.1 Spam")

    assert short(await relay.send(mail())) == (Status.FAILED, "refused_permanently")
    assert server.kept == []


@pytest.mark.parametrize("reply", ["gibberish", "250", "354 Go on", "220 Hello"])
async def test_an_answer_out_of_step_to_the_message_is_uncertain(
    server: SmtpServer, relay: Relay, reply: str
) -> None:
    """Only the 250 makes a message sent; an answer that makes no sense makes nothing certain."""
    server.script("DOT", reply=reply, times=1)
    outcome = await relay.send(mail())

    expected = (Status.SENT, "accepted") if reply == "250" else LOST
    assert short(outcome) == expected


@pytest.mark.parametrize("reply", ["gibberish", "354 Go on", "220 Hello"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
async def test_an_answer_out_of_step_before_data_ends_the_session(
    server: SmtpServer, relay: Relay, monotonic: Monotonic, verb: Verb, reply: str
) -> None:
    """Answers that do not fit their commands are not read on."""
    server.script(verb, reply=reply, times=1)
    outcome = await relay.send(mail())
    monotonic.now += 1
    following = await relay.send(mail())

    assert short(outcome) == DEFERRED
    assert following.status is Status.SENT
    assert server.connections == 2


async def test_one_answer_too_many_is_never_taken_for_an_acceptance(server: SmtpServer, relay: Relay) -> None:
    """A server that answers twice shifts all later answers; the missing 354 gives it away."""
    server.script("MAIL", reply="250 2.1.0 Ok\r\n250 2.1.0 Ok", times=1)
    server.script("DOT", reply="554 5.7.1 Spam")
    outcome = await relay.send(mail())
    following = await relay.send(mail())

    assert outcome.status is Status.DEFERRED
    assert following.status is Status.FAILED
    assert server.connections == 2


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "BODY", "DOT"])
async def test_a_cancelled_send_takes_its_session_along(server: SmtpServer, relay: Relay, verb: Verb) -> None:
    """The answer still in flight is not handed to the next message as its own."""
    hanging = server.script(verb, action="hang", times=1)
    task = asyncio.create_task(relay.send(mail()))
    await hanging.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hanging.released.set()
    server.script("RCPT", "bob@example.com", reply="550 5.1.1 No such user")
    following = await relay.send(mail("bob@example.com"))

    assert short(following) == (Status.FAILED, "refused_permanently")
    assert server.connections == 2


async def test_a_cancelled_connection_leaves_nothing_open(server: SmtpServer, relay: Relay) -> None:
    """Cancelled while the greeting is awaited, the socket is closed and the slot is free again."""
    hanging = server.script("CONNECT", action="hang", times=1)
    task = asyncio.create_task(relay.send(mail()))
    await hanging.reached.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=2 * PATIENT)
    was_cancelled = task.cancelled()  # and not swallowed until the time limit for connecting
    outcome = await relay.send(mail())
    await server.until_open(1)

    assert was_cancelled
    assert outcome.status is Status.SENT


async def test_a_reset_that_fails_ends_the_session_and_spares_the_outcome(
    server: SmtpServer, relay: Relay
) -> None:
    """What was said about the message stands; the session is given up."""
    server.script("RCPT", reply="550 5.1.1 No such user", times=1)
    server.script("RSET", action="hang", times=1)
    outcome = await relay.send(mail())
    following = await relay.send(mail())

    assert short(outcome) == (Status.FAILED, "refused_permanently")
    assert following.status is Status.SENT
    assert server.connections == 2


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.com, bob@example.com",
        "Ann <ann@example.com>",
        "ann@example.com\r\nRCPT TO:<bob@example.com>",
        "ann @example.com",
        "änn@example.com",
    ],
)
async def test_an_address_that_is_not_plain_is_refused_before_any_connection(
    server: SmtpServer, relay: Relay, address: str
) -> None:
    """Sent as they are, such addresses would be cut short, or smuggle a command."""
    as_recipient = await relay.send(mail(address))
    as_sender = await relay.send(Envelope(address, "ann@example.com", MESSAGE))

    assert short(as_recipient) == short(as_sender) == (Status.FAILED, "unsendable")
    assert server.connections == 0


async def test_a_message_with_bare_line_feeds_is_refused(server: SmtpServer, relay: Relay) -> None:
    """What some servers read as the end of the message is not sent at all."""
    outcome = await relay.send(mail(message=b"Subject: x\r\n\r\na\n.\nMAIL FROM:<x@y.z>\r\n"))

    assert short(outcome) == (Status.FAILED, "unsendable")
    assert server.connections == 0


async def test_a_message_given_up_half_way_is_not_finished_behind_our_back(
    server: SmtpServer, relay: Relay
) -> None:
    """What a server did not read in time is dropped, so it cannot arrive after the next try."""
    stuck = server.script("BODY", action="hang", times=1)
    large = b"Subject: x\r\n\r\n" + (b"x" * 900 + b"\r\n") * 20_000
    outcome = await relay.send(mail(message=large))
    following = await relay.send(mail("bob@example.com"))
    stuck.released.set()
    await server.until_open(1)

    assert short(outcome) == LOST
    assert following.status is Status.SENT
    assert server.recipients == ["bob@example.com"]


@pytest.mark.parametrize(
    "make",
    [
        lambda port: RelayAddress("127.0.0.1", port),
        lambda _: RelayAddress("no-such-host.invalid", 25),
        lambda _: RelayAddress("x" * 70 + ".example", 25),
    ],
    ids=["refused", "unknown host", "unencodable host"],
)
async def test_a_relay_that_cannot_be_reached_defers(
    unused_tcp_port: int, make: Callable[[int], RelayAddress]
) -> None:
    """Whatever stands in the way of a connection, the message is not at fault."""
    address = make(unused_tcp_port)
    relay = Relay(address, timeouts=QUICK)
    outcome = await relay.send(mail())
    await relay.close()

    assert short(outcome) == DEFERRED
    assert outcome.reply.startswith(str(address))


@pytest.mark.parametrize(
    ("verb", "action", "reply"),
    [
        ("CONNECT", "reply", "554 5.3.2 No service here"),
        ("CONNECT", "reply", "421 4.7.0 Too many connections"),
        ("CONNECT", "cut", None),
        ("CONNECT", "hang", None),
        ("EHLO", "reply", "550 5.7.1 Not you"),
        ("EHLO", "reply", "421 4.3.2 Shutting down"),
        ("EHLO", "cut", None),
        ("EHLO", "hang", None),
    ],
)
async def test_a_greeting_that_fails_defers(
    server: SmtpServer, verb: Verb, action: Action, reply: str | None
) -> None:
    """Before a transaction began, even a 5yz says nothing about the message; no socket stays."""
    server.script(verb, action=action, reply=reply)
    relay = Relay(server.address(), timeouts=Timeouts(connect=0.2 if action == "hang" else 20))
    outcome = await relay.send(mail())
    await server.until_open(0)
    await relay.close()

    assert short(outcome) == DEFERRED
    assert outcome.code == (int(reply[:3]) if reply else None)
