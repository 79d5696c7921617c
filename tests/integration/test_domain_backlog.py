"""A domain at its limit holds nobody up: its deliveries go back, and come again when their turn comes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from clock import Clock
from ledger_records import new_delivery, new_event
from program import PROJECT
from smtp_server import SmtpServer
from test_drain import CONTENT

from dispatcher.domain.delivery import Lane, NewVariant, Status
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow.attempt import Terms
from dispatcher.flow.deliver import Deliver
from dispatcher.ledger import Expansion, Filter, Ledger
from dispatcher.settings import DomainLimit
from dispatcher.smtp.domains import PARKED
from dispatcher.smtp.relay import Relay

BACKLOG, OTHERS = 700, 90


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as running:
        yield running


async def fill(ledger: Ledger, domain: str, count: int) -> None:
    """Put an event with so many readers of one domain into the ledger."""
    [added] = await ledger.events.add([new_event(domain)])
    variants = [NewVariant("v1", "Hello", CONTENT, "test@0")]
    people = [new_delivery(f"p{number:03d}@{domain}") for number in range(count)]
    ids = [f"<{number}@{domain}>" for number in range(count)]
    await ledger.expansions.store(added.id, Expansion(variants, people, ids))


async def deliver(ledger: Ledger, server: SmtpServer, clock: Clock, limit: DomainLimit) -> int:
    """One run over the lane with that limit on slow.example; how many outcomes were recorded."""
    relay = Relay(server.address(), connections=4, reserved=0)
    relay.limit({"slow.example": limit})
    terms = Terms("one", timedelta(seconds=30), 4 + PARKED, clock, random.Random(1))
    catalogue = load_catalogue(PROJECT / "catalogue.yaml")
    try:
        return await Deliver(catalogue, ledger, relay, terms)(Lane.NORMAL)
    finally:
        await relay.close()


async def test_a_backlog_of_one_domain_lets_the_others_through(
    ledger: Ledger, server: SmtpServer, clock: Clock
) -> None:
    """It was there first and is longer than a worker holds; each of it is claimed once, and none is tried."""
    await fill(ledger, "slow.example", BACKLOG)
    await fill(ledger, "other.example", OTHERS)
    recorded = await deliver(ledger, server, clock, DomainLimit(None, 1, 3600))
    rows = await ledger.deliveries.list(Filter(), with_attempts=True, limit=BACKLOG + OTHERS)
    waiting = [row for row in rows if row.status is Status.QUEUED]

    assert recorded == OTHERS + 1
    assert len(waiting) == BACKLOG - 1
    assert {(row.reason, row.tries, len(row.attempts)) for row in waiting} == {("domain_limit", 0, 0)}
    assert {row.next_try_at for row in waiting} == {clock() + timedelta(minutes=5)}


async def test_a_limit_of_messages_at_once_is_used_to_the_full(
    ledger: Ledger, server: SmtpServer, clock: Clock
) -> None:
    """Those that wait in the worker follow each other; what came back is sent when its time has come."""
    await fill(ledger, "slow.example", 300)
    sent = 0
    for _ in range(100):
        sent += await deliver(ledger, server, clock, DomainLimit(at_once=2))
        if sent == 300:
            break
        clock.advance(seconds=2)

    assert sent == 300
    assert server.most_open <= 2
