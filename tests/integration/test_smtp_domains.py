"""Domains that get so much mail at a time and no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from clock import Monotonic
from slow import PATIENT
from smtp_server import Rule, SmtpServer

from dispatcher.domain.delivery import Outcome, Status
from dispatcher.settings import DomainLimit
from dispatcher.smtp import domains
from dispatcher.smtp.domains import PARKED
from dispatcher.smtp.relay import Envelope, Relay, Timeouts
from dispatcher.smtp.returns import EARLY_SECONDS, LATEST, SOONEST

QUICK = Timeouts(connect=5, mail=5, recipient=5, data_start=5, data_end=5, reset=1, quit=0.2)


def mail(to: str) -> Envelope:
    return Envelope("noreply@example.org", to, b"Subject: hello\r\n\r\nbody\r\n")


def mails(count: int, domain: str = "slow.example") -> list[Envelope]:
    return [mail(f"r{number}@{domain}") for number in range(count)]


def start(relay: Relay, envelopes: list[Envelope], *, urgent: bool = False) -> list[asyncio.Task[Outcome]]:
    return [asyncio.create_task(relay.send(envelope, urgent=urgent)) for envelope in envelopes]


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


@pytest.fixture
async def relay(server: SmtpServer) -> AsyncIterator[Relay]:
    relay = Relay(server.address(), connections=4, reserved=0, timeouts=QUICK)
    yield relay
    await relay.close()


async def hits(rule: Rule, count: int) -> None:
    async with asyncio.timeout(5 * PATIENT):
        while rule.hits < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def release(rule: Rule) -> None:
    rule.times, rule.action = 0, "reply"
    rule.released.set()


async def test_no_more_are_on_their_way_than_the_limit_says(server: SmtpServer, relay: Relay) -> None:
    """Those that wait hold no session: other domains have all the others."""
    relay.limit({"slow.example": DomainLimit(at_once=1)})
    stuck = server.script("DATA", action="hang")
    slow = start(relay, mails(20))
    await hits(stuck, 1)
    others = start(relay, mails(10, "other.example"))
    await hits(stuck, 4)
    held = stuck.hits
    release(stuck)
    await asyncio.gather(*slow, *others)

    assert held == 4
    assert len(server.kept) == 30


async def test_a_rate_holds_in_every_stretch_of_its_time(server: SmtpServer, relay: Relay) -> None:
    """Six at two in a fifth of a second take two fifths and no less; capitals make no other domain."""
    relay.limit({"slow.example": DomainLimit(None, 2, 0.2)})
    began = time.monotonic()
    outcomes = await asyncio.gather(*start(relay, [*mails(3), *mails(3, "SLOW.Example")]))

    assert {outcome.status for outcome in outcomes} == {Status.SENT}
    assert 0.4 <= time.monotonic() - began < 0.4 + 2 * PATIENT


async def test_the_limit_of_every_other_domain_is_each_ones_own(server: SmtpServer, relay: Relay) -> None:
    """`*` gives each domain that is not named a limit, not all of them one together."""
    relay.limit({"*": DomainLimit(at_once=1), "named.example": DomainLimit(at_once=2)})
    stuck = server.script("DATA", action="hang")
    tasks = start(relay, [*mails(5, "one.example"), *mails(5, "two.example"), *mails(5, "named.example")])
    await hits(stuck, 4)
    await asyncio.sleep(0.05)
    kinds = sorted(line.partition("@")[2].partition(">")[0] for _, line in server.commands if "RCPT" in line)
    release(stuck)
    await asyncio.gather(*tasks)

    assert kinds == ["named.example", "named.example", "one.example", "two.example"]


async def test_a_backlog_is_told_when_to_come_back(server: SmtpServer, relay: Relay) -> None:
    """Each comes shortly before its turn, as far apart as the rate lets mail through, and none is a try."""
    relay.limit({"slow.example": DomainLimit(None, 1, 20)})
    outcomes = await asyncio.gather(*start(relay, mails(12)))
    sent, away = outcomes[0], outcomes[1:]

    assert sent.status is Status.SENT
    assert {(outcome.status, outcome.reason, outcome.tried) for outcome in away} == {
        (Status.DEFERRED, "domain_limit", False)
    }
    early = [20 * number - outcome.later for number, outcome in enumerate(away, 1)]
    assert 0 <= min(early) <= max(early) <= 2 * EARLY_SECONDS
    assert len(server.kept) == 1


async def test_nobody_is_sent_away_for_longer_than_five_minutes(server: SmtpServer, relay: Relay) -> None:
    """A limit may be set anew meanwhile, and an urgent mail does not stand behind a newsletter's turns."""
    relay.limit({"slow.example": DomainLimit(None, 1, 3600)})
    outcomes = await asyncio.gather(*start(relay, mails(12)))
    urgent = await relay.send(mail("oncall@slow.example"), urgent=True)

    assert {outcome.later for outcome in outcomes[1:]} == {LATEST}
    assert urgent.later == LATEST


async def test_few_wait_for_their_turn_and_the_rest_comes_back(server: SmtpServer, relay: Relay) -> None:
    """What waits here is bounded, so that the lane's other mail is claimed meanwhile."""
    relay.limit({"slow.example": DomainLimit(at_once=1)})
    stuck = server.script("DATA", action="hang")
    tasks = start(relay, mails(PARKED + 30))
    await hits(stuck, 1)
    await asyncio.sleep(0.05)
    away = [task.result() for task in tasks if task.done()]
    release(stuck)
    await asyncio.gather(*tasks)

    assert (
        len(away) == PARKED + 30 - 1 - PARKED * 4 // 5
    )  # one is on its way, some places are another domain's
    assert all(outcome.later >= SOONEST for outcome in away)


async def test_urgent_mail_goes_before_others_of_its_domain(server: SmtpServer, relay: Relay) -> None:
    """The limit holds for it as well; it gets the next place."""
    relay.limit({"slow.example": DomainLimit(at_once=1)})
    stuck = server.script("DATA", action="hang", times=1)
    tasks = start(relay, mails(5))
    await stuck.reached.wait()
    tasks += start(relay, [mail("oncall@slow.example")], urgent=True)
    await asyncio.sleep(0)
    release(stuck)
    await asyncio.gather(*tasks)

    assert server.recipients[:2] == ["r0@slow.example", "oncall@slow.example"]


async def test_a_wait_has_an_end(server: SmtpServer, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A domain whose messages hang keeps no worker from stopping: who waits is told to come back."""
    monkeypatch.setattr(domains, "PARK_SECONDS", 0.1)
    relay.limit({"slow.example": DomainLimit(at_once=1)})
    stuck = server.script("DATA", action="hang", times=1)
    first, second = start(relay, mails(2))
    outcome = await second
    release(stuck)

    assert (outcome.reason, outcome.tried) == ("domain_limit", False)
    assert (await first).status is Status.SENT


async def test_one_that_is_cancelled_while_it_waits_costs_no_place(server: SmtpServer, relay: Relay) -> None:
    """Those behind it go on."""
    relay.limit({"slow.example": DomainLimit(at_once=1)})
    stuck = server.script("DATA", action="hang", times=1)
    tasks = start(relay, mails(6))
    await stuck.reached.wait()
    for task in tasks[1:4]:
        task.cancel()
    release(stuck)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes) == 3
    assert server.recipients == [f"r{number}@slow.example" for number in (0, 4, 5)]


async def test_limits_of_domains_that_are_no_more_in_use_are_forgotten(
    server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that runs for a year does not remember every domain it ever wrote to."""
    monkeypatch.setattr(domains, "_MOST_GATES", 3)
    clock = Monotonic()
    relay = Relay(server.address(), connections=4, reserved=0, timeouts=QUICK, clock=clock)
    relay.limit({"*": DomainLimit(1, 5, 60)})
    for number in range(10):
        await relay.send(mail(f"ann@d{number}.example"))
        clock.now += 61
    await relay.close()

    assert len(server.kept) == 10
    assert len(relay._domains._gates) <= 3
