"""An event that is expanded in parts: whatever happens in between, each person gets one mail."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from clock import Clock
from sqlalchemy import func, select
from sqlalchemy.event import listen
from way import Way

from dispatcher.domain.delivery import Claim, Lane, Status
from dispatcher.domain.event import Event, EventStatus
from dispatcher.errors import ServiceUnreachable
from dispatcher.files.recipient_shelf import Shelf
from dispatcher.flow import making, parts
from dispatcher.flow.expand import LEASE, Expand
from dispatcher.flow.repair import cancel
from dispatcher.ledger import Filter
from dispatcher.ledger.expanding import Expanding, Expansion
from dispatcher.ledger.schema import variants
from dispatcher.queue.lanes import EVERY


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first part has four readers, others eight."""
    monkeypatch.setattr(parts, "FIRST", 4)
    monkeypatch.setattr(parts, "MOST", 8)
    monkeypatch.setattr(parts, "PER_VARIANT", 2)
    monkeypatch.setattr(making, "NOTICES", 3)


def people(number: int, tag: str = "big") -> list[str]:
    return sorted(f"p{place:05}@{tag}.example" for place in range(number))


def lay(way: Way, instance: str, addresses: Sequence[str], **said: str) -> None:
    """A recipient file that lists these, the first of them as admin."""
    head = "".join(f"{key}: {value}\n" for key, value in said.items())
    listed = "".join(f"- {address}\n" for address in addresses[1:])
    text = f"instance: {instance}\n{head}admins: [{addresses[0]}]\n"
    text += f"recipients:\n{listed}" if listed else ""
    (way.root / "recipients" / f"{instance}.yaml").write_text(text, encoding="utf-8")


async def accept(way: Way, *instances: str, key: str = "planned-maintenance", **choices: Any) -> str:
    way.recipients.refresh()
    return await way.accept(key, instances=instances, **choices)


async def addresses(way: Way, event: str) -> list[str]:
    return [row.address for row in await way.rows(event)]


def failing_after(monkeypatch: pytest.MonkeyPatch, number: int, then: Any) -> list[Expansion]:
    """Once so many parts were stored, `then` happens before the next; all parts that were to be stored."""
    real, asked = Expanding.store, list[Expansion]()

    async def store(self: Expanding, part: Expansion) -> bool:
        asked.append(part)
        if len(asked) == number + 1:
            await then()
        return await real(self, part)

    monkeypatch.setattr(Expanding, "store", store)
    return asked


async def away() -> None:
    raise ServiceUnreachable("database", "The database is away.")


def parts_of(asked: Sequence[Expansion]) -> list[int]:
    return [len(part.deliveries) for part in asked]


async def test_one_instance_is_cut(way: Way, small_parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts grow, everybody is mailed once, and what many read alike is rendered once for all parts."""
    lay(way, "big", people(30))
    asked = failing_after(monkeypatch, 99, away)
    event = await accept(way, "big")
    await way.expand(event)
    await way.deliver(Lane.NORMAL)
    async with way.ledger.database.read() as connection:
        contents = await connection.scalar(select(func.count()).select_from(variants))

    assert parts_of(asked) == [4, 8, 8, 8, 2]
    assert [part.last for part in asked] == [False] * 4 + [True]
    assert await addresses(way, event) == people(30)
    assert sorted(kept.recipient for kept in way.server.kept) == people(30)
    assert contents == 2  # an admin's footer names another role
    assert (await way.ledger.events.get(event)).status is EventStatus.EXPANDED


async def test_many_instances_go_in_parts(
    way: Way, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part has readers of several instances, ends early where many variants are new, and notices follow."""
    names = [f"inst-{number:02}" for number in range(10)]
    for name in names:
        lay(way, name, people(3, name))
    asked = failing_after(monkeypatch, 99, away)
    event = await accept(way, *names)
    await way.expand(event)
    rows = await way.rows(event)

    assert sorted((row.instance, row.address) for row in rows) == [
        (name, address) for name in names for address in people(3, name)
    ]
    assert max(len(part.variants) for part in asked) == 5
    assert [len(part.notices) for part in asked if part.notices] == [3, 3, 3, 1]
    assert [len(await way.ledger.notices.of(name, limit=5)) for name in names] == [1] * 10
    assert [part.last for part in asked].count(True) == 1


async def test_sending_begins_with_the_first_part(
    way: Way, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is sent while the rest is made; the event says how far it is."""
    lay(way, "big", people(30))
    seen: list[Any] = []

    async def look() -> None:
        await way.deliver(Lane.NORMAL)
        seen.append(await way.ledger.events.get(event))

    failing_after(monkeypatch, 2, look)
    event = await accept(way, "big")
    await way.expand(event)

    assert [(one.status, one.counts) for one in seen] == [(EventStatus.ACCEPTED, {Status.SENT: 12})]
    assert (await way.ledger.events.get(event)).counts == {Status.SENT: 12, Status.QUEUED: 18}


@pytest.mark.parametrize("stored", [0, 1, 3, 4])
async def test_everybody_gets_one_after_an_end_in_the_middle(
    way: Way, small_parts: None, monkeypatch: pytest.MonkeyPatch, stored: int
) -> None:
    """A process that goes away after any part leaves nobody out, and nobody is mailed twice."""
    lay(way, "big", people(30))
    event = await accept(way, "big")
    with monkeypatch.context() as patch:
        failing_after(patch, stored, away)
        with pytest.raises(ServiceUnreachable):
            await way.expand(event)
    await way.deliver(Lane.NORMAL)
    sent = len(way.server.kept)
    ids = {row.address: row.message_id for row in await way.rows(event)}
    way.clock.advance(seconds=LEASE.total_seconds() + 1)
    tools = way.expand._tools
    another = Expand(way.catalogue, way.recipients, way.ledger, tools.renderer, tools.bell, way.clock)
    await another(event)
    await way.deliver(Lane.NORMAL)
    rows = await way.rows(event)

    assert sent == min(stored, 1) * 4 + max(stored - 1, 0) * 8
    assert [row.address for row in rows] == sorted(kept.recipient for kept in way.server.kept) == people(30)
    assert {row.status for row in rows} == {Status.SENT}
    assert ids.items() <= {row.address: row.message_id for row in rows}.items()
    assert (await way.ledger.events.get(event)).status is EventStatus.EXPANDED


async def test_who_has_left_the_lists_meanwhile_keeps_the_mail(
    way: Way, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second go mails those who came, and an event of which somebody got a mail is expanded."""
    lay(way, "big", people(6))
    event = await accept(way, "big")
    with monkeypatch.context() as patch:
        failing_after(patch, 1, away)
        with pytest.raises(ServiceUnreachable):
            await way.expand(event)
    lay(way, "big", ["new@big.example"])
    way.clock.advance(seconds=LEASE.total_seconds() + 1)
    await way.expand(event)

    assert await addresses(way, event) == ["new@big.example", *people(4)]


async def test_cancelled_in_the_middle(way: Way, small_parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is stored, what waits is not sent, and the event says that it was cut short."""
    lay(way, "big", people(30))
    event = await accept(way, "big")

    async def withdraw() -> None:
        await way.deliver(Lane.NORMAL)
        done = await cancel(way.ledger, await way.ledger.events.get(event))
        assert done.as_json() == {"event": event, "cancelled": 0, "sent": 12, "sending": 0}

    asked = failing_after(monkeypatch, 2, withdraw)
    await way.expand(event)
    await way.deliver(Lane.NORMAL)
    kept = await way.ledger.events.get(event)

    assert len(asked) == 3
    assert (kept.status, kept.counts) == (EventStatus.EXPANDED, {Status.SENT: 12})
    assert "before all of it was expanded" in kept.reason
    assert len(way.server.kept) == 12


async def test_told_to_stop_between_two_parts(
    way: Way, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is free at once for another worker, who adds what is missing."""
    lay(way, "big", people(30))
    event = await accept(way, "big")

    async def stop() -> None:
        way.expand.stop()

    with monkeypatch.context() as patch:
        asked = failing_after(patch, 1, stop)
        await way.expand(event)
    some = await way.ledger.events.get(event)
    waiting = await way.ledger.events.unexpanded(5)
    way.expand._stopping.clear()
    await way.expand(event)

    assert (len(asked), some.status, some.counts) == (2, EventStatus.ACCEPTED, {Status.QUEUED: 12})
    assert [one.id for one in waiting] == [event]
    assert await addresses(way, event) == people(30)


async def test_two_workers_at_once_mail_everybody_once(way: Way, small_parts: None) -> None:
    """One whose lease was taken for run out and who goes on does no harm."""
    lay(way, "big", people(60))
    event = await accept(way, "big")
    found = await way.ledger.events.get(event)
    tools = way.expand._tools
    goes = [making.Making(tools, found, {}, links=False)(way.expand._stopping) for _ in range(3)]
    await asyncio.gather(*goes)

    assert await addresses(way, event) == people(60)
    assert (await way.ledger.events.get(event)).status is EventStatus.EXPANDED


async def test_a_mail_that_cannot_be_rendered_for_some_holds_up_nobody_else(
    way: Way, small_parts: None
) -> None:
    """Where a later part is well, the faulty ones before it are released, too, without content."""
    break_for(way, "sick")
    lay(way, "sick", people(9, "sick"))
    lay(way, "well", people(9, "well"))
    event = await accept(way, "sick", "well")
    await way.expand(event)
    await way.deliver(Lane.NORMAL)
    rows = {row.address: row.status for row in await way.rows(event)}

    assert {rows[address] for address in people(9, "well")} == {Status.SENT}
    assert Status.SENT not in {rows[address] for address in people(9, "sick")}
    assert len(rows) == 18


async def test_a_large_instance_that_cannot_be_rendered_holds_up_nobody_else(
    way: Way, small_parts: None
) -> None:
    """However many faulty parts come first, those who can be mailed are, and the others are on record."""
    break_for(way, "sick")
    lay(way, "sick", people(60, "sick"))
    lay(way, "well", people(9, "well"))
    event = await accept(way, "sick", "well")
    await way.expand(event)
    await way.deliver(Lane.NORMAL)
    rows = {row.address: row.status for row in await way.rows(event)}

    assert {rows[address] for address in people(9, "well")} == {Status.SENT}
    assert Status.SENT not in {rows[address] for address in people(60, "sick")}
    assert len(rows) == 69


async def test_of_what_cannot_be_rendered_nothing_is_released(way: Way, small_parts: None) -> None:
    """If the first parts are all faulty the event waits, with the reason, and has not one delivery."""
    break_for(way, "sick")
    lay(way, "sick", people(60, "sick"))
    event = await accept(way, "sick")
    await way.expand(event)
    kept = await way.ledger.events.get(event)

    assert (kept.status, kept.counts) == (EventStatus.ACCEPTED, {})
    assert "the mail cannot be rendered for sick" in kept.reason


def break_for(way: Way, name: str) -> None:
    """A template that fails for one instance."""
    file = way.root / "templates" / "maintenance.txt.j2"
    broken = f"{{% if instances[0].id == '{name}' %}}{{{{ nonsense.there }}}}{{% endif %}}"
    file.write_text(broken + file.read_text("utf-8"), "utf-8")


async def test_one_mail_a_person_in_parts(
    way: Way, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A type that goes to each person once is stored in parts, too; each mail names all their instances."""
    names = [f"inst-{number}" for number in range(4)]
    for name in names:
        lay(way, name, ["boss@all.example", *people(5, name)])
    way.recipients.refresh()
    event = await accept(way, *names)
    found = await way.ledger.events.get(event)
    spec = way.catalogue.types["planned-maintenance"].model_copy(update={"group_by": "person"})
    types = way.catalogue.types | {"planned-maintenance": spec}
    tools = replace(way.expand._tools, catalogue=way.catalogue.model_copy(update={"types": types}))
    asked = failing_after(monkeypatch, 99, away)
    await making.Making(tools, found, {}, links=False)(way.expand._stopping)
    rows = await way.rows(event)

    assert len(asked) > 1
    everybody = ["boss@all.example", *(one for name in names for one in people(5, name))]
    assert [row.address for row in rows] == sorted(everybody)
    assert {row.instances for row in rows if row.address == "boss@all.example"} == {tuple(names)}


async def test_a_thread_goes_on_in_parts(way: Way, small_parts: None, clock: Clock) -> None:
    """Each mail refers to the first one that its reader got, whichever part that was in; the end as well."""
    for name in ("one", "two"):
        lay(way, name, people(9, name))
    incident = {"key": "major-service-incident", "thread": "INC-1"}
    first = await accept(way, "one", "two", id_="1", **incident)
    await way.expand(first)
    clock.advance(seconds=1)
    second = await accept(way, "one", "two", id_="2", **incident)
    await way.expand(second)
    clock.advance(seconds=1)
    end = await accept(way, key="service-restored", thread="INC-1", id_="3")
    await way.expand(end)
    began = {row.address: row.message_id for row in await way.rows(first)}
    claims: list[Claim] = []
    while some := await way.ledger.claims.claim(Lane.URGENT, 100, worker="w", lease=LEASE):
        claims += some

    assert await addresses(way, end) == await addresses(way, second) == sorted(began)
    assert {one.address: one.thread_root for one in claims if one.event == second} == began
    assert {one.address: one.thread_root for one in claims if one.event == end} == began


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def test_memory_does_not_grow_with_the_readers(
    way: Way, traced: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times as many readers need hardly more memory: no more than a part is held."""
    monkeypatch.setattr(parts, "FIRST", 100)
    monkeypatch.setattr(parts, "MOST", 100)
    monkeypatch.setattr(way.recipients, "_shelf", Shelf(200))  # what the lists keep is another matter

    async def peak(number: int) -> int:
        for place in range(number // 100):
            lay(way, f"{number}-{place:02}", people(100, f"n{number}-{place}"))
        way.recipients.refresh()
        names = [f"{number}-{place:02}" for place in range(number // 100)]
        event = await accept(way, *names, id_=str(number))
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        await way.expand(event)
        grew = tracemalloc.get_traced_memory()[1] - before
        found = await way.ledger.deliveries.list(Filter(event=event), limit=1)
        assert found
        assert sum((await way.ledger.events.get(event)).counts.values()) == number
        return grew

    await peak(200)  # what is compiled and kept once
    small, large = await peak(1000), await peak(4000)

    assert large < 1.5 * small


async def test_those_who_read_the_same_come_together(
    way: Way, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where languages alternate in a file, the first part is of one: the others are not waited for."""
    listed = "".join(
        f"- {{address: {address}, language: {'de' if place % 2 else 'it'}}}\n"
        for place, address in enumerate(people(8))
    )
    text = f"instance: big\nadmins:\n{listed}"
    (way.root / "recipients" / "big.yaml").write_text(text, encoding="utf-8")
    event = await accept(way, "big")
    stored = failing_after(monkeypatch, 99, None)
    await way.expand(event)

    assert [[made.language for made in part.deliveries] for part in stored[:2]] == [["de"] * 4, ["it"] * 4]
    assert [row.address for row in await way.rows(event)] == people(8)


async def test_many_small_events_are_expanded_side_by_side(way: Way) -> None:
    """Their transactions are shared, and each reader gets what is theirs."""
    begun: list[int] = []
    names = [f"town-{number}" for number in range(40)]
    for name in names:
        lay(way, name, people(2, name))
    made = [await accept(way, name, id_=name) for name in names]
    listen(way.ledger.database.engine.sync_engine, "commit", lambda _: begun.append(1))
    await way.expand(EVERY)

    assert len(begun) < len(names)
    for name, event in zip(names, made, strict=True):
        assert [(row.instance, row.address) for row in await way.rows(event)] == [
            (name, address) for address in people(2, name)
        ]


async def test_what_is_said_of_one_instance_is_told_in_its_order(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events about one instance, or in a thread, are never expanded beside another."""
    beside: list[set[str]] = []
    under_way: set[str] = set()
    made = Expand._make

    async def noted(self: Expand, event: Event) -> bool:
        under_way.add(event.id)
        beside.append(set(under_way))
        done = await made(self, event)
        under_way.discard(event.id)
        return done

    monkeypatch.setattr(Expand, "_make", noted)
    lay(way, "town", people(2, "town"))
    said: list[str] = []
    for about in (["contoso-prod"], ["northwind-prod"], ["contoso-prod"], ["contoso-prod", "northwind-prod"]):
        said.append(await accept(way, *about, id_=str(len(said))))
        way.clock.advance(seconds=1)
    threaded = await accept(way, "town", id_="4", thread="CHG-4")
    await way.expand(EVERY)

    assert beside == [{said[0]}, {said[0], said[1]}, {said[2]}, {said[3]}, {threaded}]
