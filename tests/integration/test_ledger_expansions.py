from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from clock import Clock
from ledger_records import LEASE, claim, expansion, new_delivery, new_event, people
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import func, select

from dispatcher.domain.delivery import Lane, NewVariant, Reason, Status
from dispatcher.domain.event import EventStatus
from dispatcher.errors import NotFound
from dispatcher.ledger import Expansion, Filter, Heartbeat, Ledger, expansion_rows, expansions
from dispatcher.ledger.schema import deliveries


class PowerCutError(Exception):
    """The process ends here."""


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large expansion is one of more than ten deliveries or two variants."""
    monkeypatch.setattr(expansion_rows, "DELIVERIES", 10)
    monkeypatch.setattr(expansion_rows, "VARIANTS", 2)


async def half_stored(ledger: Ledger, event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies while it stores the third of four parts of an event's expansion."""
    real, calls = expansions._insert, iter(range(100))

    async def until_the_power_is_cut(*args: Any) -> None:
        if next(calls) == 2:
            raise PowerCutError
        await real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(expansions, "_insert", until_the_power_is_cut)
        with pytest.raises(PowerCutError):
            await ledger.expansions.store(event, expansion(people(35), mark=f"first.{event}"))


async def rows(ledger: Ledger) -> int:
    """How many deliveries there are, staged ones among them."""
    async with ledger.database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(deliveries))).scalar_one()


async def added(ledger: Ledger, external_id: str = "CHG-1") -> str:
    (one,) = await ledger.events.add([new_event(external_id)])
    return one.id


async def test_an_expanded_event_has_its_deliveries(ledger: Ledger, clock: Clock) -> None:
    """The event is expanded, and each delivery is due with all that was said about it."""
    event = await added(ledger)
    stored = await ledger.expansions.store(event, expansion(["Ada@Example.com"]))
    (delivery,) = await ledger.deliveries.list()
    kept = await ledger.events.get(event)

    assert stored == 1
    assert (kept.status, kept.reason, kept.counts) == (EventStatus.EXPANDED, "", {Status.QUEUED: 1})
    assert (delivery.event, delivery.type) == (event, "planned-maintenance")
    assert (delivery.lane, delivery.status, delivery.reason) == (Lane.NORMAL, Status.QUEUED, "")
    assert (delivery.instance, delivery.instances) == ("contoso-prod", ("contoso-prod",))
    assert (delivery.address, delivery.name) == ("Ada@Example.com", "Ada")
    assert (delivery.language, delivery.time_zone) == ("de", "Europe/Berlin")
    assert delivery.reasons == (Reason("admins", "recipients/contoso-prod.yaml:3"),)
    assert (delivery.sender, delivery.message_id) == ("operations", "<m.contoso-prod.0@example.com>")
    assert (delivery.subject, delivery.template) == ("Wartung ■", "maintenance@3f2a9c1e")
    assert (delivery.tries, delivery.uncertain, delivery.attempts) == (0, False, ())
    assert delivery.next_try_at == delivery.created_at == delivery.updated_at == clock.now


async def test_an_event_without_deliveries_is_recorded(ledger: Ledger) -> None:
    """Where nobody is to be mailed, the event says why, with its warnings."""
    event = await added(ledger)
    stored = await ledger.expansions.store(event, Expansion(reason="nobody", warnings=("no admins",)))
    kept = await ledger.events.get(event)

    assert stored == 0
    assert (kept.status, kept.reason, kept.warnings) == (EventStatus.RECORDED, "nobody", ("no admins",))


async def test_an_event_is_expanded_once(ledger: Ledger) -> None:
    """Expanding again changes nothing, even with other people."""
    event = await added(ledger)
    await ledger.expansions.store(event, expansion(people(3)))
    again = await ledger.expansions.store(event, expansion(["other@example.com"], mark="again"))
    await ledger.expansions.fail(event, "too late")

    assert again == 0
    assert len(await ledger.deliveries.list()) == 3
    assert (await ledger.events.get(event)).status is EventStatus.EXPANDED


async def test_nobody_gets_it_twice(ledger: Ledger) -> None:
    """Of two spellings of one address the first counts; another instance is another delivery."""
    event = await added(ledger)
    deliveries_ = [
        new_delivery("Ada@example.com"),
        new_delivery("ada@example.com"),
        new_delivery("ada@example.com", instance="fabrikam"),
    ]
    new = Expansion([NewVariant("v1", "s", b"c", "t@1")], deliveries_, ["<1@x>", "<2@x>", "<3@x>"])
    stored = await ledger.expansions.store(event, new)
    listed = await ledger.deliveries.list()

    assert stored == 2
    assert [(one.instance, one.message_id) for one in listed] == [
        ("fabrikam", "<3@x>"),
        ("contoso-prod", "<1@x>"),
    ]


async def test_an_unknown_event_cannot_be_expanded(ledger: Ledger) -> None:
    """Deliveries without an event are refused."""
    with pytest.raises(NotFound, match="evt_none"):
        await ledger.expansions.store("evt_none", expansion(["ada@example.com"]))
    with pytest.raises(NotFound, match="evt_none"):
        await ledger.expansions.fail("evt_none", "no template")


async def test_each_delivery_needs_its_message_id(ledger: Ledger) -> None:
    """A list of Message-IDs of another length is a mistake that nothing comes of."""
    event = await added(ledger)
    with pytest.raises(ValueError, match="shorter"):
        await ledger.expansions.store(event, Expansion(deliveries=[new_delivery()]))

    assert [one.id for one in await ledger.events.unexpanded(1)] == [event]


async def test_a_failed_event_says_why(ledger: Ledger) -> None:
    """An event that cannot be rendered is failed and is not expanded any more."""
    event = await added(ledger)
    await ledger.expansions.fail(event, "templates/maintenance.html.j2:3: no such field")
    stored = await ledger.expansions.store(event, expansion(people(1)))
    kept = await ledger.events.get(event)

    assert stored == 0
    assert (kept.status, kept.reason) == (
        EventStatus.FAILED,
        "templates/maintenance.html.j2:3: no such field",
    )


async def test_a_large_expansion_is_whole(ledger: Ledger, small_parts: None) -> None:
    """In however many parts it is stored, every delivery is there, due, with its own variant's content."""
    event = await added(ledger)
    contents = [NewVariant(f"v{n}", f"Subject {n}", f"content {n}".encode(), "t@1") for n in range(7)]
    many = expansion(people(35))
    who = [replace(one, variant=f"v{number % 7}") for number, one in enumerate(many.deliveries)]
    stored = await ledger.expansions.store(event, Expansion(contents, who, many.message_ids))
    claims = await claim(ledger)
    found = await ledger.claims.content([one.variant for one in claims])

    assert stored == len(claims) == 35
    assert [one.address for one in claims] == people(35)
    assert [found[one.variant].content for one in claims] == [
        f"content {number % 7}".encode() for number in range(35)
    ]


async def test_a_crash_in_the_middle_is_made_good(
    ledger: Ledger, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is whole, nothing of an expansion is shown or sent; doing it again replaces it."""
    event = await added(ledger)
    await half_stored(ledger, event, monkeypatch)

    assert await rows(ledger) == (0 if ledger.database.many_writers else 20)
    assert await claim(ledger) == []
    assert await ledger.backlog.due_lanes(ledger.database.now()) == []
    assert await ledger.backlog.oldest_due() is None
    assert await ledger.deliveries.cancel(event) == 0
    assert await ledger.deliveries.list() == []
    assert await ledger.deliveries.counts(event) == {}
    assert [one.id for one in await ledger.events.unexpanded(1)] == [event]

    assert await ledger.expansions.store(event, expansion(people(30)[5:], mark="second")) == 25
    assert [one.address for one in await claim(ledger)] == people(30)[5:]
    assert {one.message_id.split(".")[0] for one in await ledger.deliveries.list()} == {"<second"}


async def test_a_failure_clears_what_was_left(
    ledger: Ledger, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that fails after a crash in the middle leaves no delivery behind."""
    event = await added(ledger)
    await half_stored(ledger, event, monkeypatch)
    await ledger.expansions.fail(event, "no template")

    assert await rows(ledger) == 0


async def test_of_two_expansions_at_once_one_counts(
    ledger: Ledger, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If two workers expand an event, the one that started first gives up, and nothing is mixed."""
    event = await added(ledger)
    write, gate, waiting = ledger.database.write, asyncio.Event(), asyncio.Event()
    turns: Iterator[int] = iter(range(100))
    stop_at = 0 if ledger.database.many_writers else 2

    @asynccontextmanager
    async def gated() -> AsyncIterator[Any]:
        if next(turns) == stop_at:
            waiting.set()
            await gate.wait()
        async with write() as transaction:
            yield transaction

    monkeypatch.setattr(ledger.database, "write", gated)
    slow = asyncio.create_task(ledger.expansions.store(event, expansion(people(35), mark="slow")))
    await waiting.wait()
    quick = await ledger.expansions.store(event, expansion(people(12), mark="quick"))
    gate.set()

    assert (quick, await slow) == (12, 0)
    assert len(await ledger.deliveries.list(Filter(event=event))) == 12
    assert {one.message_id.split(".")[0] for one in await ledger.deliveries.list()} == {"<quick"}


async def test_an_event_gets_in_between_the_parts(sqlite_ledger: Ledger, small_parts: None) -> None:
    """On SQLite, an incident is accepted while a large expansion is still being stored."""
    event = await added(sqlite_ledger)
    order: list[str] = []

    @sqlalchemy_event.listens_for(sqlite_ledger.database.engine.sync_engine, "commit")
    def note(_: Any) -> None:
        order.append("commit")

    async def urgent() -> None:
        await sqlite_ledger.events.add([new_event("INC-1", lane=Lane.URGENT)])
        order.append("incident")

    await asyncio.gather(sqlite_ledger.expansions.store(event, expansion(people(500))), urgent())

    assert len(order) == 50 + 1 + 1
    assert order.index("incident") < 10


async def test_an_event_is_withdrawn_in_the_middle(
    ledger: Ledger, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Withdrawing an event clears what an expansion has left, which then finds that it has to give up."""
    event = await added(ledger)
    write, turns = ledger.database.write, iter(range(100))

    @asynccontextmanager
    async def withdrawn() -> AsyncIterator[Any]:
        if next(turns) == (0 if ledger.database.many_writers else 2):
            await ledger.events.cancel(event)
        async with write() as transaction:
            yield transaction

    monkeypatch.setattr(ledger.database, "write", withdrawn)
    stored = await ledger.expansions.store(event, expansion(people(35)))
    kept = await ledger.events.get(event)

    assert stored == 0
    assert kept.status is EventStatus.RECORDED
    assert await rows(ledger) == 0


async def test_withdrawing_clears_what_a_crash_has_left(
    ledger: Ledger, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash in the middle of its expansion, a withdrawn event has no delivery."""
    event = await added(ledger)
    other = await added(ledger, "CHG-2")
    await half_stored(ledger, event, monkeypatch)
    await half_stored(ledger, other, monkeypatch)
    await ledger.events.cancel(event)
    staged = await rows(ledger)

    assert staged == (0 if ledger.database.many_writers else 20)
    assert await ledger.expansions.store(other, expansion(people(35), mark="again")) == 35
    assert await rows(ledger) == 35


async def test_an_event_is_begun_by_one(ledger: Ledger, clock: Clock) -> None:
    """Until its lease has run out nobody else begins it, and keeping it makes the lease longer."""
    event = await added(ledger)
    begun = await asyncio.gather(*(ledger.expansions.begin(event, LEASE) for _ in range(5)))
    clock.advance(seconds=20)
    await ledger.expansions.extend(event, LEASE)
    clock.advance(seconds=29)
    held = await ledger.expansions.begin(event, LEASE)
    hidden = await ledger.events.unexpanded(5)
    clock.advance(seconds=1)

    assert begun.count(True) == 1
    assert (held, hidden) == (False, [])
    assert [one.id for one in await ledger.events.unexpanded(5)] == [event]
    assert await ledger.expansions.begin(event, LEASE)


async def test_an_event_that_ends_its_workers_fails(
    ledger: Ledger, clock: Clock, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three beginnings without an end the event fails, with what to do, and leaves nothing behind."""
    event = await added(ledger)
    begun = []
    for number in range(4):
        begun.append(await ledger.expansions.begin(event, LEASE, f"gone-{number}"))
        if begun[-1]:
            await half_stored(ledger, event, monkeypatch)
        clock.advance(minutes=1)
    kept = await ledger.events.get(event)

    assert begun == [True, True, True, False]
    assert kept.status is EventStatus.FAILED
    assert "3 workers" in kept.reason
    assert "dispatcher replay --event" in kept.reason
    assert await rows(ledger) == 0
    assert await ledger.events.unexpanded(5) == []
    assert await ledger.events.retry(event)
    assert [await begin_and_lapse(ledger, clock, event) for _ in range(4)] == [True, True, True, False]


async def begin_and_lapse(ledger: Ledger, clock: Clock, event: str) -> bool:
    begun = await ledger.expansions.begin(event, LEASE, f"gone-{clock.now}")
    clock.advance(minutes=1)
    return begun


async def test_an_outage_of_the_ledger_is_held_against_no_event(ledger: Ledger, clock: Clock) -> None:
    """Workers that live, and whose end of it the ledger did not take, may begin it as often as they like."""
    event = await added(ledger)
    begun = []
    for number in range(12):
        for name in ("a", "b"):
            await ledger.workers.heartbeat(Heartbeat(name, "host", 1, "1", clock.now, clock.now))
        begun.append(await ledger.expansions.begin(event, LEASE, "ab"[number % 2]))
        clock.advance(minutes=1)

    assert begun == [True] * 12


@pytest.mark.parametrize("end", ["postpone", "let_go", "fail"])
async def test_each_end_of_an_expansion_clears_the_event(ledger: Ledger, clock: Clock, end: str) -> None:
    """Only workers in a row count: after any end the event may be begun anew."""
    event = await added(ledger)
    first = [await begin_and_lapse(ledger, clock, event) for _ in range(3)]
    if end == "let_go":
        await ledger.expansions.let_go(event)
    else:
        await getattr(ledger.expansions, end)(event, "the template is broken")
    if end == "fail":
        await ledger.events.retry(event)
    second = [await begin_and_lapse(ledger, clock, event) for _ in range(4)]

    assert first == [True, True, True]
    assert second == [True, True, True, False]


async def test_an_event_that_is_put_off_waits_with_its_reason(ledger: Ledger, clock: Clock) -> None:
    """It says what is in the way, is nobody's until its lease has run out, and then expands as usual."""
    event = await added(ledger)
    await ledger.expansions.begin(event, LEASE)
    await ledger.expansions.postpone(event, "the template is broken")
    waiting = await ledger.events.get(event)
    held = await ledger.expansions.begin(event, LEASE)
    clock.advance(seconds=30)
    again = await ledger.expansions.begin(event, LEASE)
    await ledger.expansions.store(event, expansion(people(1)))
    kept = await ledger.events.get(event)

    assert (waiting.status, waiting.reason) == (EventStatus.ACCEPTED, "the template is broken")
    assert (held, again) == (False, True)
    assert (kept.status, kept.reason) == (EventStatus.EXPANDED, "")


async def test_what_is_done_with_is_not_begun(ledger: Ledger) -> None:
    """An event that is expanded, or that nobody knows, cannot be begun."""
    event = await added(ledger)
    await ledger.expansions.store(event, expansion(people(1)))
    await ledger.expansions.postpone(event, "too late")

    assert not await ledger.expansions.begin(event, LEASE)
    assert not await ledger.expansions.begin("evt_none", LEASE)
    assert (await ledger.events.get(event)).reason == ""


async def test_what_a_delivery_announces_may_end(ledger: Ledger, clock: Clock) -> None:
    """The moment up to which a delivery may be sent is kept with it, to the microsecond."""
    event = await added(ledger)
    over = clock.now + timedelta(days=1, microseconds=1)
    await ledger.expansions.store(event, expansion(people(1), expires_at=over))
    (delivery,) = await ledger.deliveries.list()

    assert delivery.expires_at == over
