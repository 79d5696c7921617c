"""How the relay keeps, shares and gives up sessions."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
from aiosmtplib import SMTP
from clock import Monotonic
from slow import PATIENT
from smtp_server import SmtpServer

from dispatcher.domain.delivery import Status
from dispatcher.smtp import session
from dispatcher.smtp.pool import MESSAGES_PER_SESSION
from dispatcher.smtp.relay import Envelope, Relay, Timeouts

QUICK = Timeouts(connect=5, mail=5, recipient=5, data_start=5, data_end=5, reset=1, quit=0.2)


def mail(to: str = "ann@example.com") -> Envelope:
    return Envelope("noreply@example.org", to, b"Subject: hello\r\n\r\nbody\r\n")


def mails(count: int) -> list[Envelope]:
    return [mail(f"r{number}@example.com") for number in range(count)]


async def settled(server: SmtpServer, *, sessions: int) -> None:
    """Wait until only so many sessions are open, and both sides know of it."""
    await server.until_open(sessions)
    for _ in range(3):  # the end of a session is there to be read, which takes the loop's next round
        await asyncio.sleep(0.01)


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


@pytest.fixture
def clock() -> Monotonic:
    return Monotonic()


@pytest.fixture
async def relay(server: SmtpServer, clock: Monotonic) -> AsyncIterator[Relay]:
    relay = Relay(server.address(), connections=3, reserved=1, timeouts=QUICK, clock=clock)
    yield relay
    await relay.close()


async def test_messages_share_as_few_sessions_as_allowed(server: SmtpServer, relay: Relay) -> None:
    """A hundred messages at once use the shared slots and no more."""
    outcomes = await asyncio.gather(*map(relay.send, mails(100)))

    assert {outcome.status for outcome in outcomes} == {Status.SENT}
    assert len(set(server.recipients)) == len(server.kept) == 100
    assert (server.connections, server.most_open) == (3, 3)


async def test_an_incident_overtakes_bulk_that_hangs(server: SmtpServer, relay: Relay) -> None:
    """With every shared slot stuck, an urgent message still leaves at once."""
    stuck = server.script("MAIL", action="hang")
    bulk = [asyncio.create_task(relay.send(envelope)) for envelope in mails(5)]
    while stuck.hits < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    stuck.times = stuck.hits
    outcome = await relay.send(mail("oncall@example.com"), urgent=True)
    before_bulk = server.recipients[:]
    stuck.released.set()
    await asyncio.gather(*bulk)

    assert outcome.status is Status.SENT
    assert before_bulk == ["oncall@example.com"]
    assert len(server.kept) == 6


async def test_a_session_idle_for_too_long_is_replaced(
    server: SmtpServer, relay: Relay, clock: Monotonic
) -> None:
    """After 31 s the kept session is taken leave of and a new one opened."""
    await relay.send(mail())
    clock.now += 29
    await relay.send(mail())
    connections_before = server.connections
    clock.now += 31
    outcome = await relay.send(mail())
    await settled(server, sessions=1)

    assert outcome.status is Status.SENT
    assert (connections_before, server.connections, server.open) == (1, 2, 1)
    assert server.verbs(session=1)[-1] == "QUIT"


async def test_sessions_that_are_not_needed_any_more_age_out(
    server: SmtpServer, relay: Relay, clock: Monotonic
) -> None:
    """After a burst, a trickle of mail keeps one session alive and lets the others go."""
    await asyncio.gather(*map(relay.send, mails(50)))
    after_the_burst = server.open
    for seconds in (20, 8, 17):
        clock.now += seconds
        await relay.send(mail())
    await settled(server, sessions=1)

    assert (after_the_burst, server.open) == (3, 1)


async def test_a_session_that_was_dropped_while_idle_is_replaced(server: SmtpServer, relay: Relay) -> None:
    """A server that hung up in the meantime costs a new connection, not a try."""
    await relay.send(mail())
    await server.cut_all()
    await settled(server, sessions=0)

    assert (await relay.send(mail())).status is Status.SENT
    assert server.connections == 2


async def test_a_kept_session_that_dies_at_mail_is_retried_on_a_new_one(
    server: SmtpServer, relay: Relay
) -> None:
    """The server saw nothing of the message, so it goes again without anybody noticing."""
    await relay.send(mail())
    server.script("MAIL", action="cut", times=1)
    outcome = await relay.send(mail("bob@example.com"))

    assert outcome.status is Status.SENT
    assert server.recipients == ["ann@example.com", "bob@example.com"]
    assert server.connections == 2


async def test_a_kept_session_is_retried_once_only(server: SmtpServer, relay: Relay) -> None:
    """A new session that dies at MAIL as well is an outcome."""
    await relay.send(mail())
    server.script("MAIL", action="cut")
    outcome = await relay.send(mail())

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, "relay_unreachable")
    assert server.connections == 2


async def test_a_kept_session_that_dies_after_mail_is_not_retried(server: SmtpServer, relay: Relay) -> None:
    """Once the server has answered, the caller decides about another try."""
    await relay.send(mail())
    server.script("RCPT", action="cut", times=1)
    outcome = await relay.send(mail())

    assert outcome.reason == "relay_unreachable"
    assert server.connections == 1


async def test_a_session_carries_so_many_messages_and_no_more(server: SmtpServer) -> None:
    """The message after the limit goes over a new session, and the old one gets its QUIT."""
    relay = Relay(server.address(), connections=1, reserved=0)
    outcomes = await asyncio.gather(*map(relay.send, mails(MESSAGES_PER_SESSION + 1)))
    await settled(server, sessions=1)
    await relay.close()

    assert {outcome.status for outcome in outcomes} == {Status.SENT}
    assert [kept.session for kept in server.kept] == [1] * MESSAGES_PER_SESSION + [2]
    assert server.verbs(session=1)[-1] == "QUIT"


async def test_an_outage_is_met_by_one_connection_at_a_time(
    server: SmtpServer, relay: Relay, clock: Monotonic
) -> None:
    """A thousand messages into an outage make one attempt a second, and all are deferred."""
    server.script("CONNECT", reply="554 5.3.2 Down")
    outcomes = await asyncio.gather(*map(relay.send, mails(1000)))
    first = server.connections
    clock.now += 0.9
    await relay.send(mail())
    within_the_second = server.connections
    clock.now += 0.2
    await relay.send(mail())

    assert {outcome.reason for outcome in outcomes} == {"relay_unreachable"}
    assert {outcome.code for outcome in outcomes} == {554}
    assert (first, within_the_second, server.connections) == (1, 1, 2)


async def test_an_outage_that_cut_idle_sessions_is_met_by_one_connection(
    server: SmtpServer, relay: Relay
) -> None:
    """Sessions that died while idle do not count as a sign of life."""
    await asyncio.gather(*map(relay.send, mails(50)))
    server.script("CONNECT", reply="554 5.3.2 Down")
    await server.cut_all()
    await settled(server, sessions=0)
    outcomes = await asyncio.gather(*map(relay.send, mails(50)))

    assert {outcome.reason for outcome in outcomes} == {"relay_unreachable"}
    assert server.connections == 3 + 1


async def test_mail_flows_again_once_the_outage_is_over(
    server: SmtpServer, relay: Relay, clock: Monotonic
) -> None:
    """A second after the last failure the next message finds the relay well."""
    await relay.send(mail())
    await server.refuse()
    await server.cut_all()
    await settled(server, sessions=0)
    during = await relay.send(mail())
    await server.listen()
    clock.now += 1.1
    after = await relay.send(mail())

    assert during.reason == "relay_unreachable"
    assert after.status is Status.SENT


async def test_a_server_with_fewer_sessions_than_slots_is_served_with_those(
    server: SmtpServer, relay: Relay, clock: Monotonic
) -> None:
    """A limit on connections defers the few that met it, not the hundreds behind them."""
    limit = server.script("CONNECT", reply="421 4.7.0 Too many connections", action="cut", skip=2)
    first = await asyncio.gather(*map(relay.send, mails(300)))
    met_it = limit.hits
    second = await asyncio.gather(*map(relay.send, mails(300)))
    server.clear()
    clock.now += 31
    third = await asyncio.gather(*map(relay.send, mails(300)))

    assert [outcome.status for outcome in first].count(Status.DEFERRED) == met_it == 1
    assert {outcome.status for outcome in (*second, *third)} == {Status.SENT}
    assert server.open == 3


async def test_a_send_that_is_cancelled_while_it_waits_costs_no_slot(
    server: SmtpServer, relay: Relay
) -> None:
    """Those who wait behind it go on."""
    stuck = server.script("MAIL", action="hang", times=3)
    tasks = [asyncio.create_task(relay.send(envelope)) for envelope in mails(9)]
    await stuck.reached.wait()
    for task in tasks[3:8]:
        task.cancel()
    stuck.released.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes) == 5
    assert sorted(server.recipients) == [f"r{number}@example.com" for number in (0, 1, 2, 8)]


async def test_close_says_goodbye_on_every_idle_session(server: SmtpServer, relay: Relay) -> None:
    """No session is left open, and each was ended with QUIT."""
    await asyncio.gather(*map(relay.send, mails(20)))
    await relay.close()
    await settled(server, sessions=0)

    assert server.open == 0
    assert server.verbs().count("QUIT") == server.connections == 3


async def test_close_does_not_wait_for_a_server_that_hangs(server: SmtpServer, relay: Relay) -> None:
    """Goodbye takes as long as its time limit, for all sessions together."""
    await asyncio.gather(*map(relay.send, mails(20)))
    server.script("QUIT", action="hang")
    began = time.monotonic()
    await relay.close()

    assert 0.15 < time.monotonic() - began < 2 * PATIENT


async def test_a_send_under_way_survives_close(server: SmtpServer, relay: Relay) -> None:
    """What was begun gets its outcome; its session is ended afterwards."""
    held = server.script("DOT", action="hang", times=1)
    task = asyncio.create_task(relay.send(mail()))
    await held.reached.wait()
    await relay.close()
    held.action = "reply"
    held.released.set()
    outcome = await task
    await settled(server, sessions=0)

    assert outcome.status is Status.SENT
    assert server.open == 0


async def test_a_closed_relay_defers(server: SmtpServer, relay: Relay) -> None:
    """A message that comes too late is kept for the next worker."""
    await relay.close()
    outcome = await relay.send(mail())

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, "relay_unreachable")
    assert server.connections == 0


async def test_a_server_that_vanishes_is_noticed(
    server: SmtpServer, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system looks after half a minute of silence whether the other side is still there."""
    sockets: list[socket.socket] = []
    session_init = session.Session.__init__

    def noting(self: session.Session, client: SMTP, timeouts: Timeouts) -> None:
        session_init(self, client, timeouts)
        assert client.transport is not None
        sockets.append(client.transport.get_extra_info("socket"))

    monkeypatch.setattr(session.Session, "__init__", noting)
    await relay.send(mail())
    [connection] = sockets

    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
