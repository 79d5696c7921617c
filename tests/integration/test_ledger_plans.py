from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from clock import Clock
from ledger_records import expansion, new_event
from plan_records import ANCHOR, STEPS, Books, Rules, key_of, said, steps_of, told
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.event import EventStatus, StepKey
from dispatcher.domain.plan import Decision, Plan, PlanState, StepStatus
from dispatcher.errors import EventConflict, EventInvalid, NotFound
from dispatcher.ledger import Added, Ledger
from dispatcher.ledger.intake import PIECE, Intake
from dispatcher.ledger.plan_steps import DueStep
from dispatcher.ledger.plans import PlanFilter


async def planned(ledger: Ledger, *instances: str) -> list[Plan]:
    """New plans at these instances."""
    await ledger.events.add([said("scheduled", *instances)], advancer=Rules())
    return list(reversed(await ledger.plans.list(limit=1000)))


async def the_plan(ledger: Ledger) -> Plan:
    (plan,) = await ledger.plans.list()
    return plan


def standing(plan: Plan) -> list[tuple[int, str, StepStatus]]:
    return [(step.revision, step.key, step.status) for step in plan.steps]


async def test_a_plan_comes_back_as_it_was_made(ledger: Ledger, clock: Clock) -> None:
    """Every field of a plan and of its steps survives, and it is found by id and by what it is about."""
    (plan,) = await planned(ledger, "contoso-prod")

    assert plan.id.startswith("pln_")
    assert (plan.key, plan.state, plan.anchor) == (key_of(), PlanState.SCHEDULED, ANCHOR)
    assert (plan.revision, plan.version, plan.cadence_digest) == (1, 1, "d1")
    assert (plan.facts, plan.warnings) == ({"version": "9.1", "parts": ["a", None, True]}, ("take care ■",))
    assert (plan.said_at, plan.made_at, plan.updated_at) == (clock.now,) * 3
    assert plan.steps == steps_of(ANCHOR, 1)
    assert await ledger.plans.get(plan.id) == plan
    assert await ledger.plans.find([key_of(), key_of("nowhere")]) == {key_of(): plan}
    with pytest.raises(NotFound, match="pln_none"):
        await ledger.plans.get("pln_none")


async def test_an_event_moves_its_plan_once(ledger: Ledger) -> None:
    """A repeat of an event, in the same batch or later, asks nobody and moves nothing."""
    rules = Rules()
    event = said("scheduled")
    first, twin = await ledger.events.add([event, event], advancer=rules)
    (again,) = await ledger.events.add([event], advancer=rules)

    assert (first.duplicate, twin, again) == (False, Added(first.id, True), Added(first.id, True))
    assert rules.asked == ["scheduled"]
    assert (await the_plan(ledger)).version == 1


async def test_an_event_about_many_plans_is_judged_in_a_thread(ledger: Ledger) -> None:
    """What takes long holds up nobody; what comes of it is the same, to the last of hundreds of plans."""
    names = [f"i{number:03}" for number in range(2 * PIECE + 5)]
    for many in (True, False):
        rules = Rules(many=many)
        await ledger.events.add([said("scheduled" if many else "cancelled", *names)], advancer=rules)

        assert (rules.threads == {threading.get_ident()}) is not many
    plans = await ledger.plans.list(limit=1000)

    assert {plan.key.instance for plan in plans} == set(names)
    assert {(plan.state, plan.version) for plan in plans} == {(PlanState.CANCELLED, 2)}
    assert len({plan.id for plan in plans}) == len(names)


async def test_a_refusal_in_a_thread_keeps_nothing(ledger: Ledger) -> None:
    """Whoever sent it is told at once, though others were served meanwhile."""
    rules = Rules(many=True)
    with pytest.raises(EventInvalid, match="does not allow it"):
        await ledger.events.add([said("rescheduled")], advancer=rules)

    assert list(await ledger.events.list()) == []


async def test_events_of_a_batch_move_a_plan_in_their_order(ledger: Ledger) -> None:
    """The second event of a batch finds the plan as the first one left it, whatever their names."""
    later = ANCHOR + timedelta(days=40)
    batch = [said("scheduled", id_="z"), said("rescheduled", id_="m", at=later), said("cancelled", id_="a")]
    await ledger.events.add(batch, advancer=(rules := Rules()))
    plan = await the_plan(ledger)
    moves = await ledger.plans.moves(plan.id)

    assert rules.asked == ["z", "m", "a"]
    assert (plan.state, plan.revision, plan.version) == (PlanState.CANCELLED, 2, 1)
    assert {step.status for step in plan.steps} == {StepStatus.SUPERSEDED}
    assert [(move.turn, move.before, move.after, move.revision) for move in moves] == [
        ("scheduled", None, ANCHOR, 1),
        ("rescheduled", ANCHOR, later, 2),
        ("cancelled", later, ANCHOR, 2),
    ]


async def test_a_moved_plan_keeps_what_was_planned_before(ledger: Ledger, clock: Clock) -> None:
    """Steps of the old date stay with their reason beside those of the new one."""
    (before,) = await planned(ledger, "contoso-prod")
    clock.advance(hours=1)
    decided = replace(
        said("rescheduled", at=ANCHOR + timedelta(days=5)), decision=Decision("ada@example.com", "dlv_1")
    )
    (added,) = await ledger.events.add([decided], advancer=Rules())
    plan = await the_plan(ledger)
    moves = await ledger.plans.moves(plan.id)

    assert (plan.id, plan.version, plan.made_at) == (before.id, 2, before.made_at)
    assert standing(plan) == [
        *((1, key, StepStatus.SUPERSEDED) for key in STEPS),
        *((2, key, StepStatus.PENDING) for key in STEPS),
    ]
    assert plan.steps[0].reason == f"moved by {added.id}"
    assert [(move.event, move.decision) for move in moves][1:] == [
        (added.id, Decision("ada@example.com", "dlv_1"))
    ]


async def test_a_refused_event_undoes_its_whole_batch(ledger: Ledger) -> None:
    """Neither events nor plans of a batch are kept when one event is refused, and the refusal names it."""
    batch = [said("scheduled"), new_event("CHG-7"), said("rescheduled", "fabrikam")]
    with pytest.raises(EventInvalid) as refused:
        await ledger.events.add(batch, advancer=Rules(), observers=[books := Books()])
    with pytest.raises(EventInvalid) as alone:
        await ledger.events.add(batch[2:], advancer=Rules())

    assert [one.where for one in refused.value.problems] == ["events[2].scheduled_at"]
    assert [one.where for one in alone.value.problems] == ["scheduled_at"]
    assert (await ledger.events.list(), await ledger.plans.list(), books.seen) == ([], [], [])


async def test_what_a_plan_says_of_an_event_is_kept_with_it(ledger: Ledger) -> None:
    """Warnings of the plan follow those of the event, also after it is expanded, or it is only recorded."""
    warned = replace(said("scheduled"), warnings=("short notice",))
    rules = Rules(advice={"warnings": ("out of order",)})
    (one,) = await ledger.events.add([warned], advancer=rules)
    made = replace(expansion(["ada@example.com"]), warnings=["no such user", "short notice"])
    await ledger.expansions.store(one.id, made)
    rules = Rules(advice={"record_only": "overtaken by evt_9"})
    (two,) = await ledger.events.add([said("cancelled")], advancer=rules, observers=[books := Books()])
    first, second = await ledger.events.get(one.id), await ledger.events.get(two.id)

    assert (first.status, first.warnings) == (
        EventStatus.EXPANDED,
        ("short notice", "out of order", "no such user"),
    )
    assert (second.status, second.reason) == (EventStatus.RECORDED, "overtaken by evt_9")
    assert [seen.event.record_only for seen in books.seen] == ["overtaken by evt_9"]
    assert [event.id for event in await ledger.events.unexpanded(10)] == []


async def test_an_event_without_a_plan_asks_for_none(ledger: Ledger) -> None:
    """Events about no plan pass beside those that have one."""
    batch = [new_event("CHG-1"), said("scheduled"), new_event("CHG-2")]
    await ledger.events.add(batch, advancer=(rules := Rules()), observers=[books := Books()])

    assert rules.asked == ["scheduled"]
    assert [one.event.external_id for one in books.seen] == ["CHG-1", "scheduled", "CHG-2"]
    assert [len(one.advance.moves) for one in books.seen] == [0, 1, 0]
    assert [plan.id for one in books.seen for plan in one.advance.plans] == [(await the_plan(ledger)).id]


async def test_facts_of_an_event_are_found_by_instance(ledger: Ledger) -> None:
    """What plans add to an event's own fields is there for each of its instances."""
    batch = [said("scheduled", "contoso-prod", "fabrikam"), new_event()]
    moving, other = await ledger.events.add(batch, advancer=Rules())

    assert await ledger.plans.of_event(moving.id) == {
        name: {"version": "9.1", "instance": name} for name in ("contoso-prod", "fabrikam")
    }
    assert await ledger.plans.of_event(other.id) == {}


async def test_plans_are_listed_by_what_they_are_about(ledger: Ledger) -> None:
    """Each condition narrows the list; the newest come first, page by page."""
    names = ["a", "b", "c", "d"]
    await planned(ledger, *names)
    await ledger.events.add([said("cancelled", "b")], advancer=Rules())

    async def listed(wanted: PlanFilter | None = None, **page: object) -> list[str]:
        return [plan.key.instance for plan in await ledger.plans.list(wanted, **page)]  # type: ignore[arg-type]

    first = await ledger.plans.list(limit=3)
    assert await listed() == names[::-1]
    assert await listed(limit=3, before=first[-1].id) == ["a"]
    assert await listed(PlanFilter(instance="c")) == ["c"]
    assert await listed(PlanFilter(subject="update-9", cadence="major-update")) == names[::-1]
    assert await listed(PlanFilter(subject="update-8")) == []
    assert await listed(PlanFilter(states=[PlanState.CANCELLED])) == ["b"]
    assert await listed(PlanFilter(states=[PlanState.SCHEDULED, PlanState.APPROVED])) == ["d", "c", "a"]


async def test_due_steps_come_in_order_and_page_by_page(ledger: Ledger, clock: Clock) -> None:
    """A step is due from its moment on; those of one moment are told apart by plan."""
    plans = await planned(ledger, "a", "b", "c")
    earlier = await ledger.plans.due(ANCHOR - STEPS["in-30-days"] - timedelta(microseconds=1), 10)
    clock.now = ANCHOR - STEPS["in-7-days"]
    pages, last = [], None
    while page := await ledger.plans.due(clock.now, 2, after=last):
        pages.append([(one.plan.key.instance, one.step.key) for one in page])
        last = page[-1]

    assert earlier == []
    assert await ledger.plans.next_due() == ANCHOR - STEPS["in-30-days"]
    assert [one for page in pages for one in page] == [
        (name, key) for key in ("in-30-days", "in-7-days") for name in "abc"
    ]
    assert [len(page) for page in pages] == [2, 2, 2]
    assert [one.plan for one in await ledger.plans.due(clock.now, 3)] == plans


async def test_telling_a_step_settles_it(ledger: Ledger, clock: Clock) -> None:
    """The step is sent in the transaction of its event, is due no more, and its plan counts as changed."""
    await planned(ledger, "contoso-prod")
    (due,) = await ledger.plans.due(clock.now, 10)
    (added,) = await ledger.events.add([told(due.key)])
    plan = await the_plan(ledger)

    assert not added.duplicate
    assert (plan.steps[0].status, plan.steps[0].event) == (StepStatus.SENT, added.id)
    assert (plan.steps[0].settled_at, plan.version) == (clock.now, 2)
    assert await ledger.plans.due(clock.now, 10) == []


@pytest.mark.parametrize("fingerprint", ["f1", "f2"])
async def test_a_step_is_told_once(ledger: Ledger, clock: Clock, fingerprint: str) -> None:
    """Telling it again, even in other words, gives the event that told it and adds none."""
    await planned(ledger, "contoso-prod")
    (due,) = await ledger.plans.due(clock.now, 10)
    (first,) = await ledger.events.add([told(due.key)])
    (again,) = await ledger.events.add([told(due.key, fingerprint=fingerprint)], observers=[books := Books()])

    assert again == Added(first.id, duplicate=True)
    assert (len(await ledger.events.list()), books.seen) == (2, [])


async def test_a_step_that_is_not_due_any_more_is_not_told(ledger: Ledger, clock: Clock) -> None:
    """Once superseded, still to come, or unknown, a step makes no event; others of its batch are kept."""
    await planned(ledger, "contoso-prod")
    (due,) = await ledger.plans.due(clock.now, 10)
    await ledger.events.add([said("rescheduled", at=ANCHOR + timedelta(days=5))], advancer=Rules())
    early = StepKey(due.plan.id, 2, "in-7-days")
    batch = [told(due.key), told(early), told(StepKey("pln_none", 1, "x")), new_event("CHG-1")]
    added = await ledger.events.add(batch)

    assert added[:3] == [Added("", duplicate=True)] * 3
    assert {event.external_id for event in await ledger.events.list()} == {
        "CHG-1",
        "rescheduled",
        "scheduled",
    }


async def test_a_step_and_a_turn_of_one_batch_agree(ledger: Ledger, clock: Clock) -> None:
    """A plan that is moved in the batch that tells one of its steps keeps that step as sent."""
    await planned(ledger, "contoso-prod")
    (due,) = await ledger.plans.due(clock.now, 10)
    moved = said("rescheduled", at=ANCHOR + timedelta(days=5))
    reminder, _ = await ledger.events.add([told(due.key), moved], advancer=Rules())
    plan = await the_plan(ledger)

    assert standing(plan)[:2] == [
        (1, "in-30-days", StepStatus.SENT),
        (1, "in-7-days", StepStatus.SUPERSEDED),
    ]
    assert (plan.steps[0].event, plan.version) == (reminder.id, 3)


async def test_a_changed_cadence_replaces_what_nobody_touched(ledger: Ledger, clock: Clock) -> None:
    """Plans are found by the form of their cadence; one that changed since it was read is left alone."""
    await planned(ledger, "a", "b", "c", "d")
    await ledger.events.add([said("cancelled", "d")], advancer=Rules())
    found = await ledger.plans.outdated({"major-update": "d2"}, 10)
    clock.advance(hours=1)
    due = await ledger.plans.due(clock.now, 1)
    await ledger.events.add([told(due[0].key)])
    anew = [
        replace(
            plan,
            cadence_digest="d2",
            steps=tuple(replace(step, due_at=step.due_at + timedelta(hours=1)) for step in plan.steps),
        )
        for plan in found
    ]
    written = await ledger.plans.replace(anew)
    after = {plan.key.instance: plan for plan in await ledger.plans.list()}

    assert [plan.key.instance for plan in found] == ["a", "b", "c"]
    assert written == [plan.id for plan in found[1:]]
    assert [plan.key.instance for plan in await ledger.plans.outdated({"major-update": "d2"}, 10)] == ["a"]
    assert (after["a"].steps[0].status, after["a"].steps[1].due_at) == (
        StepStatus.SENT,
        ANCHOR - STEPS["in-7-days"],
    )
    assert after["b"] == replace(anew[1], version=2)


async def test_plans_of_a_cadence_that_is_gone_are_outdated(ledger: Ledger) -> None:
    """Plans whose cadence is in the catalogue no more are found too, at most as many as asked for."""
    await planned(ledger, "a", "b", "c")

    assert await ledger.plans.outdated({"major-update": "d1"}, 10) == []
    assert len(await ledger.plans.outdated({"launch-readiness": "d1"}, 2)) == 2


async def test_every_form_of_every_cadence_is_looked_at(ledger: Ledger) -> None:
    """In each cadence the plans that were made from another form are found, and those alone."""
    for cadence in ("a-series", "b-series", "c-series"):
        made = said("scheduled", "one", "two", id_=cadence)
        await ledger.events.add([made], advancer=Rules(cadence=cadence))
    anew = [plan for plan in await ledger.plans.list() if plan.key.instance == "two"]
    await ledger.plans.replace([replace(plan, cadence_digest="d2") for plan in anew])
    digests = {"a-series": "d1", "b-series": "d2", "d-series": "d1"}
    found = await ledger.plans.outdated(digests, 10)

    assert {(plan.key.cadence, plan.key.instance) for plan in found} == {
        ("a-series", "two"),
        ("b-series", "one"),
        ("c-series", "one"),
        ("c-series", "two"),
    }


async def test_an_observer_that_fails_undoes_all(ledger: Ledger) -> None:
    """What keeps books in the transaction of an event can refuse it."""

    async def refuse(_transaction: AsyncConnection, _batch: Sequence[Intake]) -> None:
        raise EventConflict("changes", "x")

    with pytest.raises(EventConflict):
        await ledger.events.add([said("scheduled")], advancer=Rules(), observers=[refuse])

    assert (await ledger.events.list(), await ledger.plans.list()) == ([], [])


async def test_where_and_whom_an_event_is_told_is_kept(ledger: Ledger) -> None:
    """Channels and roles of a step survive; without them the type's are meant."""
    new = replace(new_event(), channels=("mail", "in-product"), roles=("admins",))
    one, two = await ledger.events.add([new, new_event("CHG-2")])
    first, second = await ledger.events.get(one.id), await ledger.events.get(two.id)

    assert (first.channels, first.roles) == (("mail", "in-product"), ("admins",))
    assert (second.channels, second.roles) == (None, None)


async def test_many_plans_of_one_event_are_kept(ledger: Ledger) -> None:
    """An event about two thousand instances makes as many plans, and moves all of them."""
    names = [f"i{number:04}" for number in range(2000)]
    await ledger.events.add([said("scheduled", *names)], advancer=Rules())
    await ledger.events.add([said("rescheduled", *names, at=ANCHOR + timedelta(1))], advancer=Rules())
    plans = await ledger.plans.list(limit=3000)

    assert [plan.key.instance for plan in plans] == names[::-1]
    assert {(plan.revision, len(plan.steps)) for plan in plans} == {(2, 6)}


async def test_plans_outlive_the_process(database_url: str, clock: Clock) -> None:
    """After a restart plans, steps that are due and moves are as they were."""
    first = await Ledger.open(database_url, clock=clock)
    (plan,) = await planned(first, "contoso-prod")
    moves = await first.plans.moves(plan.id)
    await first.close()
    second = await Ledger.open(database_url, clock=clock)
    try:
        found, due = await the_plan(second), await second.plans.due(clock.now, 10)
        again = await second.plans.moves(plan.id)
    finally:
        await second.close()

    assert (found, due, again) == (plan, [DueStep(plan, plan.steps[0])], moves)


async def test_a_copy_of_the_file_goes_on_from_where_it_was_made(
    sqlite_ledger: Ledger, sqlite_url: str, tmp_path: Path, clock: Clock
) -> None:
    """A ledger that is restored from a backup tells again what was told since, under the same name."""
    await planned(sqlite_ledger, "contoso-prod")
    (due,) = await sqlite_ledger.plans.due(clock.now, 10)
    source = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    copy = sqlite3.connect(tmp_path / "copy.db")
    source.backup(copy)
    source.close()
    copy.close()
    await sqlite_ledger.events.add([told(due.key)])
    restored = await Ledger.open(f"sqlite:///{tmp_path}/copy.db", clock=clock)
    try:
        (added,) = await restored.events.add([told(due.key)])
        plan = await the_plan(restored)
    finally:
        await restored.close()
    original = await the_plan(sqlite_ledger)

    assert not added.duplicate
    assert plan == replace(original, steps=(replace(original.steps[0], event=added.id), *original.steps[1:]))
