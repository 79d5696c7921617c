"""TLS, log-in, and the probe."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from slow import PATIENT
from smtp_server import SmtpServer, trusting_context

from dispatcher.domain.circuit import LOGIN_PAUSE
from dispatcher.domain.delivery import Status
from dispatcher.errors import ServiceUnreachable
from dispatcher.settings import RelayAddress, Secret, Tls
from dispatcher.smtp.relay import Envelope, Relay, Timeouts

LOGIN = ("ann", "s3cret-pässword")
ENVELOPE = Envelope("noreply@example.org", "bob@example.com", b"Subject: x\r\n\r\nbody\r\n")
QUICK = Timeouts(connect=5, quit=0.2)
Mode = Literal["starttls", "implicit"]
MODES: tuple[Mode, ...] = ("starttls", "implicit")


@asynccontextmanager
async def relay_to(
    address: RelayAddress, *, trusting: bool = True, timeouts: Timeouts = QUICK
) -> AsyncIterator[Relay]:
    relay = Relay(address, timeouts=timeouts, tls_context=trusting_context() if trusting else None)
    try:
        yield relay
    finally:
        await relay.close()


@pytest.mark.parametrize("mode", MODES)
async def test_mail_goes_encrypted_and_logged_in(mode: Mode) -> None:
    """With TLS and credentials, over a certificate that was verified."""
    async with SmtpServer(tls=mode, login=LOGIN) as server, relay_to(server.address()) as relay:
        outcomes = [await relay.send(ENVELOPE) for _ in range(3)]

    assert [outcome.status for outcome in outcomes] == [Status.SENT] * 3
    assert {(kept.tls, kept.login) for kept in server.kept} == {(True, "ann")}
    assert server.connections == 1


@pytest.mark.parametrize("mode", MODES)
async def test_a_certificate_that_is_not_trusted_is_refused(mode: Mode) -> None:
    """Nothing but EHLO and STARTTLS is said to a stranger, and the password least of all."""
    async with (
        SmtpServer(tls=mode, login=LOGIN) as server,
        relay_to(server.address(), trusting=False) as relay,
    ):
        outcome = await relay.send(ENVELOPE)

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, "relay_unreachable")
    assert "certificate" in outcome.reply.lower()
    assert set(server.verbs()) <= {"EHLO", "STARTTLS"}


@pytest.mark.parametrize("mode", MODES)
async def test_a_certificate_for_another_host_is_refused(mode: Mode) -> None:
    """A trusted certificate proves only the host that it names."""
    async with SmtpServer(tls=mode, host="127.0.0.2") as server, relay_to(server.address()) as relay:
        outcome = await relay.send(ENVELOPE)

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, "relay_unreachable")
    assert "127.0.0.2" in outcome.reply
    assert server.kept == []


@pytest.mark.parametrize("tls", ["starttls", "opportunistic"])
async def test_credentials_are_never_sent_in_clear(tls: Tls) -> None:
    """A server that offers no STARTTLS, or whose offer was removed on the way, gets no AUTH."""
    async with SmtpServer(extensions=("AUTH PLAIN LOGIN",)) as server:
        address = RelayAddress("127.0.0.1", server.port, "ann", Secret("s3cret"), tls)
        async with relay_to(address) as relay:
            outcome = await relay.send(ENVELOPE)

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, "relay_unreachable")
    assert "STARTTLS" in outcome.reply
    assert set(server.verbs()) == {"EHLO"}


async def test_required_tls_is_required_without_credentials_too() -> None:
    """An address that says starttls gets no mail in clear."""
    async with SmtpServer() as server, relay_to(server.address("starttls")) as relay:
        outcome = await relay.send(ENVELOPE)

    assert outcome.reason == "relay_unreachable"
    assert server.kept == []


async def test_opportunistic_tls_is_used_when_offered_whatever_the_certificate() -> None:
    """Plain text would have been taken as well, so an unknown certificate is no worse."""
    async with (
        SmtpServer(tls="starttls") as server,
        relay_to(server.address("opportunistic"), trusting=False) as relay,
    ):
        outcome = await relay.send(ENVELOPE)

    assert outcome.status is Status.SENT
    assert server.kept[0].tls


async def test_opportunistic_tls_does_without_when_not_offered() -> None:
    """A catcher or a relay on the same machine often has no TLS."""
    async with SmtpServer() as server, relay_to(server.address(), trusting=False) as relay:
        outcome = await relay.send(ENVELOPE)

    assert outcome.status is Status.SENT
    assert not server.kept[0].tls


@pytest.mark.parametrize(
    ("action", "reply"),
    [("reply", "454 4.7.0 TLS not available"), ("cut", None), ("cut", "220 2.0.0 Go"), ("hang", None)],
)
async def test_a_starttls_that_fails_defers(
    action: Literal["reply", "cut", "hang"], reply: str | None
) -> None:
    """Whatever goes wrong on the way into TLS, no mail goes without."""
    async with SmtpServer(tls="starttls") as server:
        server.script("STARTTLS", action=action, reply=reply)
        async with relay_to(
            server.address(), timeouts=Timeouts(connect=0.3 if action == "hang" else 20)
        ) as relay:
            outcome = await relay.send(ENVELOPE)

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, "relay_unreachable")
    assert server.kept == []


async def test_a_server_that_hangs_up_while_offering_starttls_defers() -> None:
    """aiosmtplib stumbles over its own lost connection here; the message gets its outcome anyhow."""
    async with SmtpServer(tls="starttls") as server:
        server.script("EHLO", reply="250-test.example\r\n250 STARTTLS", action="cut")
        async with relay_to(server.address()) as relay:
            outcome = await relay.send(ENVELOPE)

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, "relay_unreachable")


@pytest.mark.parametrize(("mode", "plain_greetings"), [("starttls", 1), ("implicit", 0)])
async def test_a_greeting_refused_under_tls_defers_and_leaves_no_socket(
    mode: Mode, plain_greetings: int
) -> None:
    """The EHLO after the handshake counts as part of connecting."""
    async with SmtpServer(tls=mode) as server, relay_to(server.address()) as relay:
        server.script("EHLO", reply="550 5.7.1 Not you", skip=plain_greetings)
        outcome = await relay.send(ENVELOPE)
        async with asyncio.timeout(5 * PATIENT):
            while server.open:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    assert (outcome.status, outcome.reason, outcome.code) == (
        Status.DEFERRED,
        "relay_unreachable",
        550,
    )
    assert server.verbs()[-2:] == ["EHLO", "HELO"]


async def test_a_refused_log_in_defers_and_is_not_repeated_at_once() -> None:
    """The message is not at fault, and an account is not locked by trying again and again."""
    now = [1000.0]
    async with SmtpServer(tls="starttls", login=LOGIN) as server:
        address = dataclasses.replace(server.address(), password=Secret("wrong"))
        relay = Relay(address, timeouts=QUICK, tls_context=trusting_context(), clock=lambda: now[0])
        outcomes = await asyncio.gather(*(relay.send(ENVELOPE) for _ in range(50)))
        first = server.connections
        now[0] += LOGIN_PAUSE - 1
        await relay.send(ENVELOPE)
        held = server.connections
        now[0] += 2
        await relay.send(ENVELOPE)
        await relay.close()

    assert {(o.status, o.reason, o.code) for o in outcomes} == {(Status.DEFERRED, "relay_unreachable", 535)}
    assert (first, held, server.connections) == (1, 1, 2)


async def test_a_server_that_wants_a_log_in_we_do_not_have_defers() -> None:
    """530 blames the settings, so no message is failed for good because of it."""
    async with (
        SmtpServer(tls="starttls", login=LOGIN) as server,
        relay_to(server.address(login=False)) as relay,
    ):
        outcome = await relay.send(ENVELOPE)

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, "relay_unreachable")
    assert outcome.code == 530


@pytest.mark.parametrize("mode", [None, *MODES])
async def test_a_probe_of_a_relay_that_is_well_returns(mode: Mode | None) -> None:
    """It goes all the way through TLS, log-in and NOOP, sends nothing and leaves with QUIT."""
    login = LOGIN if mode else None
    async with SmtpServer(tls=mode, login=login) as server:
        async with relay_to(server.address()) as relay:
            await relay.probe()

        assert server.verbs()[-2:] == ["NOOP", "QUIT"]
        assert ("AUTH" in server.verbs()) == bool(login)
        assert server.kept == []


async def probe_error(address: RelayAddress, *, trusting: bool = True) -> str:
    async with relay_to(address, trusting=trusting, timeouts=Timeouts(connect=0.5)) as relay:
        with pytest.raises(ServiceUnreachable) as caught:
            await relay.probe()
    assert caught.value.service == "smtp"
    assert caught.value.__cause__ is None
    assert str(address) in str(caught.value)
    return str(caught.value)


async def test_a_probe_of_nothing_says_so(unused_tcp_port: int) -> None:
    """The text names the address, what happened and the setting to look at."""
    text = await probe_error(RelayAddress("127.0.0.1", unused_tcp_port))

    assert "Check host and port in DISPATCHER_SMTP_URL" in text


@pytest.mark.parametrize("verb", ["CONNECT", "EHLO", "NOOP"])
async def test_a_probe_of_a_server_that_hangs_ends(
    verb: Literal["CONNECT", "EHLO", "NOOP"],
) -> None:
    """Within its time limit, with the reason."""
    async with SmtpServer() as server:
        server.script(verb, action="hang")
        text = await probe_error(server.address())

    assert "Timed out" in text


async def test_a_probe_with_a_wrong_password_says_so_without_the_password() -> None:
    """Even if the server repeats what it was given, in whatever form."""
    async with SmtpServer(tls="implicit", login=LOGIN) as server:
        wrong = "wr0ng-password"
        encoded = base64.b64encode(f"\0ann\0{wrong}".encode()).decode()
        also = base64.b64encode(wrong.encode()).decode()
        server.script("AUTH", reply=f"535 5.7.8 You said {encoded} and {also}, that is {wrong}")
        address = dataclasses.replace(server.address(), password=Secret(wrong))
        text = await probe_error(address)
        async with relay_to(address) as relay:
            outcome = await relay.send(ENVELOPE)

    assert "535 5.7.8 You said **** and ****, that is ****" in text
    assert "Check the user name and password in DISPATCHER_SMTP_URL." in text
    for secret in (wrong, encoded, also):
        assert secret not in text
        assert secret not in outcome.reply


async def test_a_probe_tells_of_a_certificate_that_is_not_trusted() -> None:
    """The advice is about certificates, not about firewalls."""
    async with SmtpServer(tls="starttls") as server:
        text = await probe_error(server.address(), trusting=False)

    assert "certificate" in text
    assert "trusted" in text


async def test_a_probe_tells_of_a_server_without_starttls() -> None:
    """The advice is about the port and STARTTLS."""
    async with SmtpServer() as server:
        text = await probe_error(server.address("starttls"))

    assert "have STARTTLS turned on at the relay" in text


async def test_a_probe_tells_of_plain_text_on_a_tls_port() -> None:
    """Speaking TLS to a port that does not is told apart from an outage."""
    async with SmtpServer() as server:
        text = await probe_error(server.address("implicit"))

    assert "the right kind of TLS" in text


def test_verification_is_on_unless_opportunistic() -> None:
    """The context that is made where none is given checks chain and host name."""
    made = {
        tls: Relay(RelayAddress("h", 25, tls=tls))._context
        for tls in ("implicit", "starttls", "opportunistic")
    }

    assert [made[tls].verify_mode for tls in made] == [
        ssl.CERT_REQUIRED,
        ssl.CERT_REQUIRED,
        ssl.CERT_NONE,
    ]
    assert [made[tls].check_hostname for tls in made] == [True, True, False]
