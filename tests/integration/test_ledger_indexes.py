from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clock import Clock
from ledger_records import LEASE, expanded, people
from plan_records import ANCHOR, Rules, key_of, said, told
from sqlalchemy import event

from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.event import StepKey
from dispatcher.domain.incident import account
from dispatcher.domain.plan import PlanState
from dispatcher.domain.window import Window
from dispatcher.errors import NotFound
from dispatcher.ledger import Filter, Lease, Ledger
from dispatcher.ledger.plans import PlanFilter

Call = Callable[[Ledger], Awaitable[Any]]
WINDOW = Window(datetime(2027, 3, 20, tzinfo=UTC), datetime(2027, 3, 21, tzinfo=UTC))


#: Two thousand plans with ten steps each, all to come.
MANY_STEPS = """
INSERT INTO plans SELECT 'pln_' || n, 'major-update', 'update-9', 'i' || n, 'scheduled', 1900000000000000,
    NULL, 1, 1, '{}', 'd1', '[]', 1, 1, 1 FROM generate_series(1, 2000) AS s(n);
INSERT INTO plan_steps SELECT id, 1, 'step-' || k, 'update-reminder', 1900000000000000 + k, 'pending', '',
    NULL, NULL FROM plans, generate_series(1, 10) AS s(k)
"""
#: Indexes that hold few rows, however many there are: they may be read from end to end.
FEW = (
    "ix_deliveries_due",
    "ix_deliveries_lease",
    "ix_deliveries_suspect",
    "ix_deliveries_trouble",
    "ix_events_accepted",
    "ix_events_cancelled",
    "ix_events_failed",
    "ix_events_thread",
    "ix_incident_instances_affected",
    "ix_incidents_open",
    "ix_obligations_owed",
    "ix_plans_warned",
    "ix_webhooks_due",
    "ix_webhooks_failed",
)
#: Indexes of which a query that has no lower end takes the first row, or the first few.
FROM_THE_START = ("ix_plan_steps_due", "ix_plans_open")
#: Tables that nothing may read from end to end.
TABLES = tuple(
    f"SCAN {name}"
    for name in (
        "deliveries",
        "events",
        "variants",
        "busy",
        "windows",
        "plans",
        "plan_steps",
        "plan_moves",
        "unplanned",
        "webhooks",
        "incidents",
        "incident_statements",
        "incident_instances",
        "obligations",
    )
)


def reads_all(step: str) -> bool:
    """Whether a step of a plan reads a whole table, or an index that holds all of its rows."""
    return step.startswith(TABLES) and not step.endswith((*FEW, *FROM_THE_START))


async def advanced(ledger: Ledger) -> None:
    """An event says when two windows are."""
    known = await ledger.events.find("CHG-1")
    await ledger.windows.advance(known.id, WINDOW, ["w1", "w2"])


async def moved(ledger: Ledger) -> None:
    """A plan is moved to another date."""
    later = said("rescheduled", at=ANCHOR + timedelta(days=1))
    await ledger.events.add([later], advancer=Rules())


async def first_told(ledger: Ledger) -> None:
    """A step of a plan is told."""
    plan = (await ledger.plans.find([key_of()]))[key_of()]
    await ledger.events.add([told(StepKey(plan.id, 1, "in-30-days"))])


async def second_page(ledger: Ledger) -> None:
    """The steps after the first one that is due."""
    (first,) = await ledger.plans.due(ledger.database.now(), 1)
    await ledger.plans.due(ledger.database.now(), 1, after=first)


async def plans(ledger: Ledger, call: Call) -> list[str]:
    """How SQLite goes about the SELECTs, UPDATEs and DELETEs of a call."""
    statements: list[str] = []

    def note(statement: str) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            statements.append(statement)

    def listen(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.run_async(lambda driver: driver.set_trace_callback(note))

    def leave(connection: Any, _record: Any) -> None:
        connection.run_async(lambda driver: driver.set_trace_callback(None))

    engine = ledger.database.engine.sync_engine
    event.listen(engine, "checkout", listen)
    event.listen(engine, "checkin", leave)
    with suppress(NotFound):
        await call(ledger)
    event.remove(engine, "checkout", listen)
    event.remove(engine, "checkin", leave)
    steps: list[str] = []
    async with ledger.database.read() as connection:
        for statement in statements:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
            steps += [row.detail for row in plan]
    return steps


@pytest.mark.parametrize(
    ("call", "index"),
    [
        (lambda ledger: ledger.holds.release(), "deliveries USING INDEX ix_deliveries_trouble"),
        (lambda ledger: ledger.holds.release(), "ix_incident_instances_affected"),
        (lambda ledger: ledger.incidents.extent(), "ix_incident_instances_affected"),
        (lambda ledger: ledger.incidents.open(), "ix_incidents_open"),
        (lambda ledger: ledger.incidents.withdrawn(lambda said: account(said, ())), "ix_events_cancelled"),
        (lambda ledger: ledger.obligations.owed(), "ix_obligations_owed"),
        (lambda ledger: ledger.obligations.overdue(), "ix_obligations_owed"),
        (
            lambda ledger: ledger.claims.claim(Lane.BULK, 5, worker="w", lease=timedelta(1)),
            "ix_deliveries_due",
        ),
        (
            lambda ledger: ledger.claims.claim(Lane.BULK, 5, worker="w", lease=timedelta(1)),
            "ix_deliveries_suspect",
        ),
        (
            lambda ledger: ledger.claims.claim(Lane.BULK, 5, worker="w", lease=timedelta(1)),
            "busy USING INDEX ix_deliveries_lease",
        ),
        (lambda ledger: ledger.suppressions.standing("a@b.c"), "ix_suppressions_standing (folded=?)"),
        (lambda ledger: ledger.backlog.due_lanes(ledger.database.now()), "ix_deliveries_due"),
        (lambda ledger: ledger.backlog.oldest_due(), "ix_deliveries_due"),
        (lambda ledger: ledger.backlog.due_at_once(LEASE), "ix_deliveries_due (lane=? AND next_try_at>?)"),
        (lambda ledger: ledger.backlog.look(), "ix_deliveries_due"),
        (lambda ledger: ledger.backlog.look(), "ix_deliveries_lease"),
        (lambda ledger: ledger.backlog.look(), "ix_deliveries_trouble"),
        (lambda ledger: ledger.backlog.look(), "ix_events_accepted"),
        (lambda ledger: ledger.leases.held("w"), "ix_deliveries_lease"),
        (
            lambda ledger: ledger.leases.recover(
                [Lease("w1", ledger.database.now()), Lease("w2", ledger.database.now())]
            ),
            "ix_deliveries_lease",
        ),
        (lambda ledger: ledger.events.unexpanded(5), "ix_events_accepted"),
        (lambda ledger: ledger.events.waiting(5), "ix_events_accepted"),
        (lambda ledger: ledger.events.failed(), "ix_events_failed"),
        (lambda ledger: ledger.events.cancel("evt_1"), "sqlite_autoindex_events_1"),
        (lambda ledger: ledger.deliveries.cancel("evt_1"), "ix_deliveries_event"),
        (
            lambda ledger: ledger.deliveries.requeue(Filter(status=Status.HELD), "released"),
            "ix_deliveries_trouble",
        ),
        (
            lambda ledger: ledger.deliveries.requeue(Filter(status=Status.FAILED, event="evt_1"), "replayed"),
            "ix_deliveries_event",
        ),
        (lambda ledger: ledger.events.reference("changes", "CHG-1"), "sqlite_autoindex_events_2"),
        (lambda ledger: ledger.events.find("CHG-1"), "sqlite_autoindex_events_2"),
        (lambda ledger: ledger.deliveries.counts("evt_1"), "ix_deliveries_event"),
        (lambda ledger: ledger.deliveries.list(Filter(event="evt_1")), "ix_deliveries_event"),
        (lambda ledger: ledger.deliveries.list(Filter(address="a@b.c")), "ix_deliveries_folded"),
        (lambda ledger: ledger.deliveries.list(Filter(status=Status.FAILED)), "ix_deliveries_trouble"),
        (lambda ledger: ledger.deliveries.list(Filter(message_id="<1@x>")), "sqlite_autoindex_deliveries_3"),
        (lambda ledger: ledger.deliveries.told("CHG", ["news"]), "ix_events_thread"),
        (lambda ledger: ledger.threads.roots("CHG", "evt_1"), "ix_events_thread"),
        (lambda ledger: ledger.threads.roots("CHG", "evt_1"), "ix_deliveries_event"),
        (lambda ledger: ledger.events.unexpanded_before("CHG", "evt_1"), "ix_events_"),
        (advanced, "sqlite_autoindex_windows_1"),
        (lambda ledger: ledger.plans.due(ledger.database.now(), 5), "ix_plan_steps_due (due_at<?)"),
        (second_page, "ix_plan_steps_due (due_at>? AND due_at<?)"),
        (lambda ledger: ledger.plans.next_due(), "ix_plan_steps_due"),
        (lambda ledger: ledger.plans.get("pln_1"), "sqlite_autoindex_plans_1"),
        (lambda ledger: ledger.plans.find([key_of()]), "sqlite_autoindex_plans_2"),
        (lambda ledger: ledger.plans.list(PlanFilter(subject="update-9")), "sqlite_autoindex_plans_2"),
        (lambda ledger: ledger.plans.list(PlanFilter(instance="contoso-prod")), "ix_plans_instance"),
        (lambda ledger: ledger.plans.warned(5), "ix_plans_warned"),
        (lambda ledger: ledger.plans.untold(ledger.database.now(), 5), "ix_plan_steps_due (due_at<?)"),
        (lambda ledger: ledger.plans.heard([key_of()]), "sqlite_autoindex_unplanned_1"),
        (
            lambda ledger: ledger.plans.list(
                PlanFilter(instance="contoso-prod", states=[PlanState.SCHEDULED])
            ),
            "ix_plans_instance",
        ),
        (lambda ledger: ledger.plans.moves("pln_1"), "ix_plan_moves_plan"),
        (lambda ledger: ledger.plans.of_event("evt_1"), "sqlite_autoindex_plan_moves_1"),
        (
            lambda ledger: ledger.plans.outdated({"major-update": "d2"}, 5),
            "ix_plans_open (cadence=? AND cadence_digest>?)",
        ),
        (
            lambda ledger: ledger.plans.outdated({"major-update": "d2"}, 5),
            "ix_plans_open (cadence=? AND cadence_digest=?)",
        ),
        (moved, "sqlite_autoindex_plan_steps_1 (plan=? AND revision=? AND key=?)"),
        (first_told, "sqlite_autoindex_plan_steps_1 (plan=? AND revision=? AND key=?)"),
        (lambda ledger: ledger.webhooks.claim(LEASE), "ix_webhooks_due"),
        (lambda ledger: ledger.webhooks.waiting(), "ix_webhooks_due"),
        (lambda ledger: ledger.webhooks.waiting(), "ix_webhooks_failed"),
    ],
)
async def test_a_query_uses_the_index_that_was_made_for_it(
    sqlite_ledger: Ledger, call: Call, index: str
) -> None:
    """No query reads a whole table, and each finds its index."""
    await expanded(sqlite_ledger, people(3))
    await sqlite_ledger.events.add([said("scheduled")], advancer=Rules())
    steps = await plans(sqlite_ledger, call)

    assert any(index in step for step in steps), steps
    assert not [step for step in steps if reads_all(step)]


async def test_due_deliveries_need_no_sorting(sqlite_ledger: Ledger) -> None:
    """The due index gives deliveries in the order in which they are claimed."""
    steps = await plans(
        sqlite_ledger,
        lambda ledger: ledger.claims.claim(Lane.BULK, 5, worker="w", lease=timedelta(1)),
    )

    assert not [step for step in steps if "TEMP B-TREE" in step]


async def test_due_steps_need_no_sorting(sqlite_ledger: Ledger) -> None:
    """The first steps that are due are found without a look at those that are due after them."""
    steps = await plans(sqlite_ledger, lambda ledger: ledger.plans.due(ledger.database.now(), 5))

    assert not [step for step in steps if step == "USE TEMP B-TREE FOR ORDER BY"]


async def test_postgresql_finds_due_steps_by_their_index(postgres_url: str, clock: Clock) -> None:
    """Among twenty thousand steps that wait, those that are due, and the next, are found in the index."""
    ledger = await Ledger.open(postgres_url, clock=clock)
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "plan_steps" in statement:
            statements.append((statement, parameters))

    async with ledger.database.write() as transaction:
        for statement in MANY_STEPS.split(";"):
            await transaction.exec_driver_sql(statement)
    async with ledger.database.read() as connection:
        await connection.exec_driver_sql("ANALYZE plan_steps")
    event.listen(ledger.database.engine.sync_engine, "before_cursor_execute", note)
    await ledger.plans.due(clock.now, 500)
    await ledger.plans.next_due()
    event.remove(ledger.database.engine.sync_engine, "before_cursor_execute", note)
    async with ledger.database.read() as connection:
        found = [
            "\n".join((await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)).scalars())
            for statement, parameters in statements
        ]
    await ledger.close()

    assert len(found) == 2
    assert all("ix_plan_steps_due" in plan and "Seq Scan" not in plan for plan in found), found
