from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from clock import Clock
from ledger_records import LEASE, SENT, claim, expansion, new_delivery, new_event, people
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from dispatcher.domain.delivery import Lane, NewVariant, Reason, Status
from dispatcher.domain.event import EventStatus
from dispatcher.errors import NotFound
from dispatcher.ledger import Expansion, Filter, Ledger, Recorded
from dispatcher.ledger.expanding import Expanding
from dispatcher.ledger.schema import deliveries

#: Workers that are known to have gone away.
GONE = [f"gone-{number}" for number in range(8)]


def portions(made: Expansion, size: int) -> list[Expansion]:
    """An expansion in parts of so many deliveries; each has all variants."""
    starts = range(0, len(made.deliveries), size)
    return [
        replace(
            made,
            deliveries=made.deliveries[start : start + size],
            message_ids=made.message_ids[start : start + size],
            last=start == starts[-1],
        )
        for start in starts
    ]


async def half_stored(ledger: Ledger, event: str, parts: int = 2) -> Expanding:
    """The process dies when it has stored so many of four parts of an event's expansion."""
    expanding = ledger.expansions.expanding(event)
    for part in portions(expansion(people(35), mark=f"first.{event}"), 10)[:parts]:
        assert await expanding.store(part)
    return expanding


async def rows(ledger: Ledger) -> int:
    """How many deliveries there are."""
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


async def test_an_expansion_in_parts_is_whole(ledger: Ledger) -> None:
    """However many parts it is stored in, every delivery is there, due, with its own variant's content."""
    event = await added(ledger)
    contents = [NewVariant(f"v{n}", f"Subject {n}", f"content {n}".encode(), "t@1") for n in range(7)]
    many = expansion(people(35))
    who = [replace(one, variant=f"v{number % 7}") for number, one in enumerate(many.deliveries)]
    expanding = ledger.expansions.expanding(event)
    first, *rest = portions(Expansion(contents, who, many.message_ids), 10)
    kept = [await expanding.store(part) for part in (first, *(replace(one, variants=()) for one in rest))]
    claims = await claim(ledger)
    found = await ledger.claims.content([one.variant for one in claims])

    assert kept == [True] * 4
    assert expanding.deliveries == len(claims) == 35
    assert [one.address for one in claims] == people(35)
    assert [found[one.variant].content for one in claims] == [
        f"content {number % 7}".encode() for number in range(35)
    ]
    assert (await ledger.events.get(event)).status is EventStatus.EXPANDED


async def test_a_part_is_due_at_once(ledger: Ledger) -> None:
    """What is stored is shown and sent while the rest is still being made."""
    event = await added(ledger)
    await half_stored(ledger, event)
    kept = await ledger.events.get(event)

    assert (kept.status, kept.counts) == (EventStatus.ACCEPTED, {Status.QUEUED: 20})
    assert await ledger.backlog.due_lanes(ledger.database.now()) == [Lane.NORMAL]
    assert [one.address for one in await claim(ledger)] == people(20)


@pytest.mark.parametrize("parts", [0, 1, 2, 3])
async def test_a_crash_in_the_middle_is_made_good(ledger: Ledger, clock: Clock, parts: int) -> None:
    """Whoever goes through it again adds what is missing, and what was sent stays as it was."""
    event = await added(ledger)
    await half_stored(ledger, event, parts)
    sent = await claim(ledger, 7)
    await ledger.claims.record([Recorded(one, SENT) for one in sent])
    clock.advance(seconds=40)
    again = ledger.expansions.expanding(event)
    for part in portions(expansion(people(35), mark=f"first.{event}"), 8):
        assert await again.store(part)
    listed = await ledger.deliveries.list(Filter(event=event))
    left = await claim(ledger)

    assert sorted(one.address for one in listed) == people(35)
    assert again.deliveries == 35
    assert {one.id for one in listed if one.status is Status.SENT} == {one.id for one in sent}
    assert sorted(one.address for one in [*sent, *left]) == people(35)


async def test_content_that_is_there_stays(ledger: Ledger) -> None:
    """A variant that an earlier go has stored is not replaced: somebody may have got it."""
    event = await added(ledger)
    first = expansion(people(1))
    await ledger.expansions.expanding(event).store(replace(first, last=False))
    other = [replace(first.variants[0], content=b"another")]
    await ledger.expansions.store(event, replace(expansion(people(2)), variants=other))
    claims = await claim(ledger)
    found = await ledger.claims.content([one.variant for one in claims])

    assert [one.content for one in found.values()] == [first.variants[0].content]


async def test_a_delivery_without_its_content_is_refused(ledger: Ledger) -> None:
    """A part whose content is missing is a mistake; nothing of it is kept."""
    event = await added(ledger)
    with pytest.raises(IntegrityError):
        await ledger.expansions.store(event, replace(expansion(people(3)), variants=()))

    assert await rows(ledger) == 0


async def test_two_deliveries_with_one_message_id_are_a_mistake(ledger: Ledger) -> None:
    """It is not taken for a repetition: who would be left out is not left out silently."""
    event = await added(ledger)
    made = expansion(people(2))
    with pytest.raises(IntegrityError):
        await ledger.expansions.store(event, replace(made, message_ids=["<1@x>", "<1@x>"]))

    assert await rows(ledger) == 0


async def test_of_two_expansions_at_once_one_counts(ledger: Ledger) -> None:
    """If two workers expand an event, the one that started first gives up; nobody gets it twice."""
    event = await added(ledger)
    slow = await half_stored(ledger, event)
    made = expansion(people(35), mark=f"first.{event}")
    quick = await ledger.expansions.store(event, made)
    late = await slow.store(portions(made, 10)[2])

    assert (quick, late, slow.deliveries) == (35, False, 20)
    assert await rows(ledger) == 35


async def test_who_began_first_gives_up_in_the_middle(ledger: Ledger) -> None:
    """It is told so with its next part, even while the other is not done either."""
    event = await added(ledger)
    slow = await half_stored(ledger, event, 1)
    quick = await half_stored(ledger, event, 2)
    parts = portions(expansion(people(35), mark=f"first.{event}"), 10)

    assert [await slow.store(parts[1]), await quick.store(parts[2])] == [False, True]
    assert await rows(ledger) == 30


async def test_an_event_gets_in_between_the_parts(sqlite_ledger: Ledger) -> None:
    """On SQLite, an incident is accepted while a large expansion is still being stored."""
    event = await added(sqlite_ledger)
    order: list[str] = []

    @sqlalchemy_event.listens_for(sqlite_ledger.database.engine.sync_engine, "commit")
    def note(_: Any) -> None:
        order.append("commit")

    async def large() -> None:
        expanding = sqlite_ledger.expansions.expanding(event)
        for part in portions(expansion(people(500)), 10):
            await expanding.store(part)

    async def urgent() -> None:
        await sqlite_ledger.events.add([new_event("INC-1", lane=Lane.URGENT)])
        order.append("incident")

    await asyncio.gather(large(), urgent())

    assert len(order) == 50 + 1 + 1
    assert order.index("incident") < 10


async def test_an_event_is_withdrawn_in_the_middle(ledger: Ledger) -> None:
    """No further part is kept, and of what was made nothing is handed out any more."""
    event = await added(ledger)
    expanding = await half_stored(ledger, event)
    (one,) = await claim(ledger, 1)
    await ledger.claims.record([Recorded(one, SENT)])
    await ledger.events.cancel(event)
    taken = await claim(ledger)
    further = await expanding.store(portions(expansion(people(35), mark="late"), 10)[2])
    kept = await ledger.events.get(event)

    assert (taken, further) == ([], False)
    assert kept.status is EventStatus.EXPANDED
    assert kept.reason == "it was cancelled before all of it was expanded; nobody else is mailed"
    assert kept.counts == {Status.SENT: 1, Status.CANCELLED: 19}
    assert await ledger.events.unexpanded(5) == []


async def test_an_event_is_withdrawn_while_its_first_part_is_stored(ledger: Ledger) -> None:
    """Whichever comes first, an event with deliveries is expanded, and one without is recorded."""
    for number in range(5):
        event = await added(ledger, f"CHG-{number}")
        part = portions(expansion(people(400), mark=f"m{number}"), 300)[0]
        await asyncio.gather(ledger.expansions.expanding(event).store(part), ledger.events.cancel(event))
        kept = await ledger.events.get(event)

        assert (kept.status is EventStatus.EXPANDED) == bool(kept.counts)
        assert kept.status in {EventStatus.EXPANDED, EventStatus.RECORDED}


async def test_who_was_told_before_it_was_withdrawn_counts(ledger: Ledger) -> None:
    """An end that goes to those who were told of the beginning goes to those of the first parts as well."""
    (one,) = await ledger.events.add([new_event(thread="INC-1")])
    await half_stored(ledger, one.id, 1)
    sent = await claim(ledger, 3)
    await ledger.claims.record([Recorded(claimed, SENT) for claimed in sent])
    await ledger.events.cancel(one.id)
    await ledger.deliveries.cancel(one.id)
    told = await ledger.deliveries.told("INC-1", ["planned-maintenance"])

    assert {one.address for one in told} == {one.address for one in sent}


async def test_what_an_older_version_left_is_made_anew(ledger: Ledger) -> None:
    """Rows that nobody may claim, left by a worker of before, are replaced; withdrawing removes them."""
    event, other = await added(ledger), await added(ledger, "CHG-2")
    await half_stored(ledger, event)
    await half_stored(ledger, other)
    async with ledger.database.write() as transaction:
        await transaction.execute(update(deliveries).values(next_try_at=None))
    await ledger.events.cancel(other)
    stored = await ledger.expansions.store(event, expansion(people(30)[5:], mark="second"))

    assert stored == await rows(ledger) == 25
    assert [one.address for one in await claim(ledger)] == people(30)[5:]


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


async def test_an_event_that_ends_its_workers_fails(ledger: Ledger, clock: Clock) -> None:
    """After three beginnings without an end the event fails, with what to do; what was stored goes out."""
    event = await added(ledger)
    begun = []
    for number in range(4):
        begun.append(await ledger.expansions.begin(event, LEASE, f"gone-{number}", GONE))
        if begun[-1]:
            await half_stored(ledger, event)
        clock.advance(minutes=1)
    kept = await ledger.events.get(event)

    assert begun == [True, True, True, False]
    assert kept.status is EventStatus.FAILED
    assert "3 workers" in kept.reason
    assert "dispatcher replay --event" in kept.reason
    assert kept.counts == {Status.QUEUED: 20}
    assert await ledger.events.unexpanded(5) == []
    assert await ledger.events.retry(event)
    assert await lapses(ledger, clock, event, GONE[:4]) == [True, True, True, False]


async def lapses(ledger: Ledger, clock: Clock, event: str, names: Sequence[str]) -> list[bool]:
    """Those begin an event, one after the other, and none ends it; whether it was theirs."""
    begun = []
    for name in names:
        begun.append(await ledger.expansions.begin(event, LEASE, name, GONE))
        clock.advance(minutes=1)
    return begun


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b", "c", "d", "e", "f", "g", "h"],
        ["a", "b"] * 6,
        ["gone-0", "gone-1", "a", "gone-2", "gone-3", "b"],
        ["gone-0", "gone-1"] * 6,
    ],
)
async def test_an_outage_of_the_ledger_is_held_against_no_event(
    ledger: Ledger, clock: Clock, names: list[str]
) -> None:
    """Workers that live, and whose end of it the ledger did not take, may begin it as often as they like."""
    event = await added(ledger)

    assert all(await lapses(ledger, clock, event, names))


async def test_an_event_that_comes_on_does_not_fail(ledger: Ledger, clock: Clock) -> None:
    """Workers go away for many reasons: as long as each leaves more than it found, none counts."""
    event = await added(ledger)
    begun = []
    for number in range(3):
        begun.append(await ledger.expansions.begin(event, LEASE, GONE[number], GONE))
        await half_stored(ledger, event, parts=number + 1)
        clock.advance(minutes=1)
    after = await lapses(ledger, clock, event, GONE[3:6])

    assert begun == [True] * 3
    assert after == [True, True, False]  # counted from the last of the three on


async def test_who_is_missed_late_is_counted_late(ledger: Ledger, clock: Clock) -> None:
    """Those who went away are counted once that is known, however long it takes to be sure."""
    event = await added(ledger)
    names = ["a", "b", "c", "d"]
    begun = await lapses(ledger, clock, event, names)

    assert begun == [True] * 4
    assert not await ledger.expansions.begin(event, LEASE, "e", names)
    assert (await ledger.events.get(event)).status is EventStatus.FAILED


@pytest.mark.parametrize("end", ["postpone", "let_go", "fail"])
async def test_each_end_of_an_expansion_clears_the_event(ledger: Ledger, clock: Clock, end: str) -> None:
    """Only workers in a row count: after any end the event may be begun anew."""
    event = await added(ledger)
    first = await lapses(ledger, clock, event, GONE[:3])
    if end == "let_go":
        await ledger.expansions.let_go(event)
    else:
        await getattr(ledger.expansions, end)(event, "the template is broken")
    if end == "fail":
        await ledger.events.retry(event)
    second = await lapses(ledger, clock, event, GONE[3:7])

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


async def test_parts_of_many_events_are_stored_together(ledger: Ledger) -> None:
    """What comes at one time takes few transactions, and each event has its own, as if it came alone."""
    begun: list[str] = []

    def note(_: Any) -> None:
        begun.append("begin")

    names = [await added(ledger, f"CHG-{number}") for number in range(20)]
    calls = [
        ledger.expansions.store(name, expansion(people(number), mark=name))
        for number, name in enumerate(names)
    ]
    sqlalchemy_event.listen(ledger.database.engine.sync_engine, "commit", note)
    stored = await asyncio.gather(
        *calls, ledger.expansions.store("evt_none", expansion(people(1))), return_exceptions=True
    )
    sqlalchemy_event.remove(ledger.database.engine.sync_engine, "commit", note)
    kept = [await ledger.events.get(name) for name in names]

    assert stored[:-1] == list(range(20))
    assert isinstance(stored[-1], NotFound)
    assert len(begun) < 10
    assert [one.status for one in kept] == [EventStatus.RECORDED, *[EventStatus.EXPANDED] * 19]
    assert [sum(one.counts.values()) for one in kept] == list(range(20))
    assert len(await claim(ledger, 500)) == sum(range(20))


async def test_several_are_begun_at_once(ledger: Ledger, clock: Clock) -> None:
    """Whoever comes second has those that the first left; each that went away counts for each of them."""
    names = [await added(ledger, f"CHG-{number}") for number in range(4)]
    await ledger.expansions.begin(names[1], LEASE, "other")
    first = await ledger.expansions.begin_all(names[:3], LEASE, GONE[0])
    second = await ledger.expansions.begin_all([*names, "evt_none"], LEASE, "second")
    crashed = []
    for worker in GONE[1:]:
        clock.now += LEASE
        crashed.append(await ledger.expansions.begin_all(names, LEASE, worker, GONE))
    failed = [(await ledger.events.get(name)).status for name in names]

    assert first == {names[0], names[2]}
    assert second == {names[3]}
    assert crashed[0] == {*names}
    assert failed == [EventStatus.FAILED] * 4
    assert crashed[-1] == set()
