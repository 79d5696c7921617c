from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from clock import Clock
from ledger_records import LEASE, claim, expanded, expansion, new_event, people

from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.event import EventStatus
from dispatcher.errors import EventConflict, EventInvalid, NotFound
from dispatcher.ledger import Added, Ledger
from dispatcher.ledger.events import CANCELLED_EARLY


async def test_an_event_comes_back_as_it_was_given(ledger: Ledger, clock: Clock) -> None:
    """Every field of an event survives, with its JSON types and its time."""
    moment = datetime(2026, 3, 29, 1, 30, 0, 7, tzinfo=UTC)
    new = replace(new_event(thread="CHG-1"), time=moment, effective_type="emergency-maintenance")
    (added,) = await ledger.events.add([new])
    event = await ledger.events.get(added.id)

    assert added == Added(event.id, duplicate=False)
    assert event.id.startswith("evt_")
    assert (event.source, event.external_id, event.thread) == ("changes", "CHG-1", "CHG-1")
    assert (event.type, event.effective_type) == ("planned-maintenance", "emergency-maintenance")
    assert (event.selection, event.fields, event.time) == (new.selection, new.fields, moment)
    assert (event.status, event.lane, event.accepted_at) == (EventStatus.ACCEPTED, Lane.NORMAL, clock.now)
    assert (event.reason, event.warnings, event.counts) == ("", (), {})


async def test_the_same_event_is_kept_once(ledger: Ledger) -> None:
    """A repeated event gets the id of the first, in a batch as well as later."""
    first, twin = await ledger.events.add([new_event(), new_event()])
    (again,) = await ledger.events.add([new_event()])

    assert (first.duplicate, twin, again) == (False, Added(first.id, True), Added(first.id, True))
    assert len(await ledger.events.list()) == 1


async def test_the_same_id_of_another_source_is_another_event(ledger: Ledger) -> None:
    """Ids are unique within their source only."""
    one, two = await ledger.events.add([new_event(), new_event(source="tickets")])

    assert one.id != two.id
    assert not two.duplicate


async def test_a_changed_event_is_refused_with_its_whole_batch(ledger: Ledger) -> None:
    """The same id with other content is a conflict, and nothing of that batch is kept."""
    await ledger.events.add([new_event()])
    with pytest.raises(EventConflict) as refused:
        await ledger.events.add([new_event("CHG-0"), new_event(fingerprint="f2"), new_event("CHG-2")])

    assert (refused.value.source, refused.value.id) == ("changes", "CHG-1")
    assert [event.external_id for event in await ledger.events.list()] == ["CHG-1"]


async def test_a_batch_that_contradicts_itself_is_refused(ledger: Ledger) -> None:
    """Two contents under one id in one batch are a conflict too."""
    with pytest.raises(EventConflict):
        await ledger.events.add([new_event(), new_event(fingerprint="f2")])

    assert await ledger.events.list() == []


async def test_fifty_callers_with_one_event_keep_one(ledger: Ledger) -> None:
    """Callers with the same event at the same time all get the same id, and one of them is the first."""
    results = await asyncio.gather(*(ledger.events.add([new_event()]) for _ in range(50)))
    added = [one for (one,) in results]

    assert len({one.id for one in added}) == 1
    assert [one.duplicate for one in added].count(False) == 1
    assert len(await ledger.events.list()) == 1


async def test_batches_that_cross_do_not_block_each_other(ledger: Ledger) -> None:
    """Batches with the same events in opposite orders both succeed."""
    batch = [new_event(f"CHG-{number}") for number in range(200)]
    results = await asyncio.gather(
        *(ledger.events.add(batch if turn % 2 else batch[::-1]) for turn in range(10))
    )

    assert sum(not one.duplicate for added in results for one in added) == 200


async def test_a_large_batch_keeps_its_order(ledger: Ledger) -> None:
    """Ids come back in the order of the batch, and listing by id is listing by arrival."""
    added = await ledger.events.add([new_event(f"CHG-{number}") for number in range(1200)])
    listed = await ledger.events.list(limit=2000)

    assert [event.id for event in listed] == [one.id for one in reversed(added)]


async def test_an_empty_batch_is_nothing(ledger: Ledger) -> None:
    """No events are no error."""
    assert await ledger.events.add([]) == []


@pytest.mark.parametrize(
    "bad",
    [
        new_event("a\x00b"),
        new_event(source="\ud800"),
        new_event(thread="\x00"),
        replace(new_event(), fields={"n": 1 << 70}),
        replace(new_event(), fields={"text": "\ud800"}),
    ],
)
async def test_what_cannot_be_stored_is_refused(ledger: Ledger, bad: object) -> None:
    """Text or numbers that one of the databases would refuse or change are refused by name."""
    with pytest.raises(EventInvalid):
        await ledger.events.add([new_event("good"), bad])  # type: ignore[list-item]

    assert await ledger.events.list() == []


async def test_an_event_that_mails_nobody_is_recorded_at_once(ledger: Ledger) -> None:
    """With a reason to mail nobody, an event is kept and never waits for its audience."""
    (added,) = await ledger.events.add([replace(new_event(), record_only="a test event")])
    event = await ledger.events.get(added.id)

    assert (event.status, event.reason) == (EventStatus.RECORDED, "a test event")
    assert [one.id for one in await ledger.events.unexpanded(10)] == []


async def test_an_event_is_found_by_either_id(ledger: Ledger) -> None:
    """An event is found by its own id or by its external id, as long as only one source used that."""
    one, two = await ledger.events.add([new_event(), new_event("CHG-2")])
    (other,) = await ledger.events.add([new_event(source="tickets")])

    assert (await ledger.events.find(two.id)).id == two.id
    assert (await ledger.events.find("CHG-2")).id == two.id
    with pytest.raises(NotFound, match=f"{one.id}.*{other.id}|{other.id}.*{one.id}"):
        await ledger.events.find("CHG-1")


@pytest.mark.parametrize("text", ["evt_none", "", "a\x00b", "\ud800", "x" * 100_000])
async def test_what_is_not_there_is_not_found(ledger: Ledger, text: str) -> None:
    """Any text may be asked for; an unknown one is not found."""
    with pytest.raises(NotFound):
        await ledger.events.get(text)
    with pytest.raises(NotFound):
        await ledger.events.find(text)
    assert await ledger.events.reference("changes", text) is None


async def test_a_reference_names_its_source(ledger: Ledger) -> None:
    """An event is found by its source and external id together."""
    await ledger.events.add([new_event(), new_event(source="tickets")])
    event = await ledger.events.reference("tickets", "CHG-1")

    assert event is not None
    assert event.source == "tickets"
    assert await ledger.events.reference("other", "CHG-1") is None


async def test_events_are_listed_page_by_page(ledger: Ledger, clock: Clock) -> None:
    """The newest come first, and the last of a page leads to the next."""
    for number in range(5):
        await ledger.events.add([new_event(f"CHG-{number}")])
        clock.advance(seconds=1)
    first = await ledger.events.list(limit=2)
    second = await ledger.events.list(limit=2, before=first[-1].id)

    assert [event.external_id for event in [*first, *second]] == ["CHG-4", "CHG-3", "CHG-2", "CHG-1"]


async def test_what_waits_for_its_audience_is_taken_by_urgency(ledger: Ledger, clock: Clock) -> None:
    """Urgent events come first, and within a lane the oldest."""
    ids = {}
    for number, lane in enumerate([Lane.BULK, Lane.NORMAL, Lane.URGENT, Lane.NORMAL]):
        (added,) = await ledger.events.add([new_event(f"CHG-{number}", lane=lane)])
        ids[number] = added.id
        clock.advance(seconds=1)
    await ledger.expansions.store(ids[1], expansion(["ada@example.com"]))

    assert [one.id for one in await ledger.events.unexpanded(10)] == [ids[2], ids[3], ids[0]]
    assert [one.id for one in await ledger.events.unexpanded(1)] == [ids[2]]


async def test_an_event_knows_how_far_it_is(ledger: Ledger) -> None:
    """Events come with the number of their deliveries in each status."""
    event = await expanded(ledger, people(3))
    other = await expanded(ledger, people(2), new_event("CHG-2"))
    counts = {one.id: one.counts for one in await ledger.events.list()}

    assert counts == {event: {Status.QUEUED: 3}, other: {Status.QUEUED: 2}}


async def test_an_event_can_be_withdrawn_before_it_is_expanded(ledger: Ledger, clock: Clock) -> None:
    """It is recorded with the reason, is expanded by nobody, and keeps the moment of the first time."""
    (added,) = await ledger.events.add([new_event()])
    first = clock.advance(seconds=5)
    await ledger.events.cancel(added.id)
    clock.advance(seconds=5)
    await ledger.events.cancel(added.id)
    stored = await ledger.expansions.store(added.id, expansion(people(3)))
    event = await ledger.events.get(added.id)

    assert (event.status, event.reason) == (EventStatus.RECORDED, CANCELLED_EARLY)
    assert event.cancelled_at == first
    assert stored == 0
    assert not await ledger.expansions.begin(added.id, LEASE)
    assert await ledger.events.unexpanded(5) == []
    assert await ledger.deliveries.list() == []


async def test_an_expanded_event_stays_expanded_when_it_is_withdrawn(ledger: Ledger, clock: Clock) -> None:
    """Its deliveries are what changes; another event's are handed out as before."""
    event = await expanded(ledger, people(2))
    other = await expanded(ledger, people(2), new_event("CHG-2"))
    await ledger.events.cancel(event)
    taken = await claim(ledger)
    kept = await ledger.events.get(event)

    assert (kept.status, kept.reason, kept.cancelled_at) == (EventStatus.EXPANDED, "", clock.now)
    assert kept.counts == {Status.CANCELLED: 2}
    assert {one.event for one in taken} == {other}
    assert (await ledger.events.get(other)).cancelled_at is None


async def test_an_event_that_failed_can_be_withdrawn(ledger: Ledger) -> None:
    """It was not expanded and never will be: nobody finds it among those to be tried again."""
    (added,) = await ledger.events.add([new_event()])
    await ledger.expansions.fail(added.id, "no template")
    await ledger.events.cancel(added.id)
    event = await ledger.events.get(added.id)

    assert (event.status, event.reason) == (EventStatus.RECORDED, CANCELLED_EARLY)
    assert not await ledger.events.retry(added.id)
    assert await ledger.events.failed() == []


@pytest.mark.parametrize("text", ["evt_none", "", "a\x00b", "\ud800"])
async def test_what_is_not_there_cannot_be_withdrawn(ledger: Ledger, text: str) -> None:
    """An unknown event is named, and one that never was is not tried again."""
    await expanded(ledger, people(1))
    with pytest.raises(NotFound):
        await ledger.events.cancel(text)

    assert not await ledger.events.retry(text)
    assert len(await claim(ledger)) == 1


async def test_an_event_that_failed_can_be_tried_again(ledger: Ledger) -> None:
    """It waits for its audience like a new one; an event that did not fail stays as it is."""
    (added,) = await ledger.events.add([new_event()])
    before = await ledger.events.retry(added.id)
    await ledger.expansions.begin(added.id, LEASE)
    await ledger.expansions.fail(added.id, "no template")
    again = await ledger.events.retry(added.id)
    event = await ledger.events.get(added.id)

    assert (before, again) == (False, True)
    assert (event.status, event.reason) == (EventStatus.ACCEPTED, "")
    assert [one.id for one in await ledger.events.unexpanded(5)] == [added.id]
    assert await ledger.expansions.begin(added.id, LEASE)
    assert await ledger.expansions.store(added.id, expansion(people(2))) == 2
    assert not await ledger.events.retry(added.id)


async def test_events_that_failed_are_listed(ledger: Ledger, clock: Clock) -> None:
    """Oldest first, all or those that came in since a moment."""
    ids = []
    for number in range(4):
        (added,) = await ledger.events.add([new_event(f"CHG-{number}")])
        ids.append(added.id)
        clock.advance(hours=1)
    for id_ in ids[:3]:
        await ledger.expansions.fail(id_, "no template")
    since = clock.now - timedelta(hours=3)

    assert [event.id for event in await ledger.events.failed()] == ids[:3]
    assert [event.id for event in await ledger.events.failed(since)] == ids[1:3]
    assert await ledger.events.failed(clock.now) == []
