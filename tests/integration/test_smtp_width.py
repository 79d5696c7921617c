"""How many sessions the relay opens, and what makes it open fewer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from clock import Monotonic
from slow import PATIENT
from smtp_server import Rule, SmtpServer

from dispatcher.domain.circuit import State
from dispatcher.domain.delivery import Outcome, Status
from dispatcher.smtp.relay import Envelope, Relay, Timeouts
from dispatcher.smtp.width import FIRST, HOLD_SECONDS

QUICK = Timeouts(connect=5, mail=5, recipient=5, data_start=5, data_end=5, reset=1, quit=0.2)


def mails(count: int) -> list[Envelope]:
    message = b"Subject: hello\r\n\r\nbody\r\n"
    return [Envelope("noreply@example.org", f"r{number}@example.com", message) for number in range(count)]


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


@pytest.fixture
def clock() -> Monotonic:
    return Monotonic()


@pytest.fixture
async def relay(server: SmtpServer, clock: Monotonic) -> AsyncIterator[Relay]:
    relay = Relay(server.address(), connections=16, reserved=0, timeouts=QUICK, clock=clock)
    yield relay
    await relay.close()


async def send(relay: Relay, count: int) -> list[Outcome]:
    return await asyncio.gather(*map(relay.send, mails(count)))


async def at_once(server: SmtpServer, relay: Relay) -> int:
    """How many messages the relay has on their way when more than enough wait."""
    stuck = server.script("DATA", action="hang")
    sending = [asyncio.create_task(relay.send(one)) for one in mails(40)]
    hits = await steady(stuck)
    stuck.times = 0
    stuck.action = "reply"
    stuck.released.set()
    await asyncio.gather(*sending)
    return hits


async def steady(rule: Rule) -> int:
    """How often a rule was applied, once that rises no more."""
    async with asyncio.timeout(5 * PATIENT):
        before = -1
        while rule.hits > before:
            before = rule.hits
            await asyncio.sleep(0.1)
    return rule.hits


async def test_a_server_that_has_answered_nothing_gets_a_few_messages(
    server: SmtpServer, relay: Relay
) -> None:
    """Sixteen are allowed, and a server that hangs at the first message has four."""
    assert await at_once(server, relay) == FIRST


async def test_messages_that_hang_hold_up_others_for_seconds_only(server: SmtpServer) -> None:
    """With all first sessions stuck another is opened, and the next mail leaves."""
    stuck = [server.script("RCPT", f"r{number}@example.com", action="hang") for number in range(FIRST)]
    relay = Relay(server.address(), connections=8, reserved=0, timeouts=Timeouts())
    sending = [asyncio.create_task(relay.send(one)) for one in mails(FIRST + 1)]
    async with asyncio.timeout(3 * PATIENT):
        outcome = await sending[-1]
    for one in stuck:
        one.released.set()
    await asyncio.gather(*sending)
    await relay.close()

    assert outcome.status is Status.SENT


async def test_a_server_that_answers_gets_all_that_is_allowed(server: SmtpServer, relay: Relay) -> None:
    """After two rounds of answers as many sessions stand as may."""
    await send(relay, 60)

    assert await at_once(server, relay) == 16
    assert server.most_open == 16


async def test_a_421_while_others_stand_halves_what_is_under_way(
    server: SmtpServer, relay: Relay, clock: Monotonic
) -> None:
    """The one that met it is deferred, nothing is held up, and after a while there are more again."""
    await send(relay, 60)
    server.script("MAIL", reply="421 4.7.0 Too many messages at once", action="cut", times=1)
    outcomes = await send(relay, 60)
    halved = await at_once(server, relay)
    clock.now += HOLD_SECONDS
    await send(relay, 60)
    later = await at_once(server, relay)

    assert sorted(outcome.status for outcome in outcomes) == [Status.DEFERRED, *[Status.SENT] * 59]
    assert relay.look().state is State.CLOSED
    assert halved == 8
    assert 8 < later < 16


async def test_a_second_421_with_no_answer_between_is_an_outage(server: SmtpServer, relay: Relay) -> None:
    """Those that were under way met it; all others wait untried."""
    await send(relay, 60)
    shut = server.script("MAIL", reply="421 4.3.2 Shutting down", action="cut")
    outcomes = await send(relay, 200)

    assert relay.look().state is State.OPEN
    assert sum(outcome.tried for outcome in outcomes) == shut.hits <= 16 + 8
    assert {outcome.status for outcome in outcomes} == {Status.DEFERRED}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("451 4.3.0 Queue file write error", 8),
        ("452 4.3.1 Insufficient system storage", 8),
        ("452 Insufficient system storage", 8),
        ("451 4.4.5 System congestion", 8),
        ("451 4.7.1 Greylisted", 16),
        ("452 4.2.2 Mailbox full", 16),
        ("550 5.3.4 Message too big", 16),
    ],
)
async def test_a_temporary_refusal_for_the_servers_own_sake_halves_it(
    server: SmtpServer, relay: Relay, reply: str, expected: int
) -> None:
    """What is said of the message or its reader changes nothing."""
    await send(relay, 60)
    server.script("RCPT", reply=reply, times=1)
    await send(relay, 60)

    assert await at_once(server, relay) == expected


async def test_urgent_mail_keeps_its_reserve_at_every_width(server: SmtpServer) -> None:
    """Of four sessions two are kept, and of sixteen two."""
    relay = Relay(server.address(), connections=14, reserved=2, timeouts=QUICK, clock=Monotonic())
    first = await at_once(server, relay)
    await send(relay, 60)
    then = await at_once(server, relay)
    await relay.close()

    assert (first, then) == (FIRST - 2, 14)
