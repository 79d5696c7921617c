from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from clock import Clock
from ledger_records import expansion, new_event
from sqlalchemy import update

from dispatcher.domain.delivery import Lane, Status
from dispatcher.ledger import Expansion, Ledger
from dispatcher.ledger.schema import deliveries
from dispatcher.ledger.threads import Root


async def told(
    ledger: Ledger,
    clock: Clock,
    number: int,
    addresses: list[str],
    *,
    thread: str | None = "INC-1",
    type_: str = "major-service-incident",
    root: str | None = None,
) -> str:
    """An expanded event of a thread; its first Message-ID is ``<e1.contoso-prod.0@example.com>``."""
    clock.advance(seconds=1)
    [one] = await ledger.events.add([new_event(f"CHG-{number}", thread=thread, type_=type_)])
    made = expansion(addresses, mark=f"e{number}")
    rooted = [replace(delivery, thread_root=root) for delivery in made.deliveries]
    await ledger.expansions.store(one.id, replace(made, deliveries=rooted))
    return one.id


async def becomes(ledger: Ledger, event: str, status: Status) -> None:
    """All deliveries of the event end so."""
    async with ledger.database.write() as transaction:
        await transaction.execute(
            update(deliveries)
            .where(deliveries.c.event == event)
            .values(status=status, next_try_at=None, lease_until=None)
        )


async def test_a_thread_begins_with_the_first_mail_to_each_reader(ledger: Ledger, clock: Clock) -> None:
    """Each instance and address has the first mail of the thread, with its type, language and subject."""
    await told(ledger, clock, 1, ["Ada@Example.com"])
    await told(ledger, clock, 2, ["ada@example.com", "bob@example.com"])
    await told(ledger, clock, 3, ["cyn@example.com"], thread="INC-2")
    await told(ledger, clock, 4, ["cyn@example.com"], thread=None)

    assert await ledger.threads.roots("INC-1", "evt_x") == {
        ("contoso-prod", "ada@example.com"): Root(
            "<e1.contoso-prod.0@example.com>", "major-service-incident", "de", "Wartung ■"
        ),
        ("contoso-prod", "bob@example.com"): Root(
            "<e2.contoso-prod.1@example.com>", "major-service-incident", "de", "Wartung ■"
        ),
    }


async def test_an_event_is_not_its_own_past(ledger: Ledger, clock: Clock) -> None:
    """What an event has made itself is left out when it asks."""
    event = await told(ledger, clock, 1, ["ada@example.com"])

    assert await ledger.threads.roots("INC-1", event) == {}


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.SUPPRESSED])
async def test_a_mail_that_never_came_begins_no_thread(ledger: Ledger, clock: Clock, status: Status) -> None:
    """A thread begins with what its reader gets, not with what was withdrawn or refused."""
    await becomes(ledger, await told(ledger, clock, 1, ["ada@example.com"]), status)
    await told(ledger, clock, 2, ["ada@example.com"])
    roots = await ledger.threads.roots("INC-1", "evt_x")

    assert [root.message_id for root in roots.values()] == ["<e2.contoso-prod.0@example.com>"]


async def test_a_thread_stays_one_when_its_first_mail_is_withdrawn(ledger: Ledger, clock: Clock) -> None:
    """The third mail refers to what the second refers to, even if that never came."""
    first = await told(ledger, clock, 1, ["ada@example.com"])
    await told(ledger, clock, 2, ["ada@example.com"], root="<e1.contoso-prod.0@example.com>")
    await becomes(ledger, first, Status.CANCELLED)
    roots = await ledger.threads.roots("INC-1", "evt_x")

    assert [root.message_id for root in roots.values()] == ["<e1.contoso-prod.0@example.com>"]


async def test_a_claim_carries_the_root(ledger: Ledger, clock: Clock) -> None:
    """What sends a mail knows what it refers to."""
    await told(ledger, clock, 1, ["ada@example.com"], root="<root@example.com>")
    [claim] = await ledger.claims.claim(Lane.NORMAL, 5, worker="w", lease=timedelta(seconds=30))

    assert claim.thread_root == "<root@example.com>"


async def test_what_came_before_and_waits_is_found(ledger: Ledger, clock: Clock) -> None:
    """Only what was accepted earlier in the thread, is not expanded and not begun by anybody."""
    ids = []
    for number in range(4):
        clock.advance(seconds=1)
        [one] = await ledger.events.add([new_event(f"CHG-{number}", thread="INC-1")])
        ids.append(one.id)
    await ledger.events.add([new_event("CHG-9")])
    await ledger.expansions.begin(ids[1], timedelta(seconds=30))
    found = await ledger.events.unexpanded_before("INC-1", ids[3])
    await ledger.expansions.store(ids[0], Expansion())

    assert [event.id for event in found] == [ids[0], ids[2]]
    assert [event.id for event in await ledger.events.unexpanded_before("INC-1", ids[2])] == []
