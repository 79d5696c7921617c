from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ledger_records import LEASE, expanded, people
from sqlalchemy import event

from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.window import Window
from dispatcher.errors import NotFound
from dispatcher.ledger import Filter, Lease, Ledger

Call = Callable[[Ledger], Awaitable[Any]]
WINDOW = Window(datetime(2027, 3, 20, tzinfo=UTC), datetime(2027, 3, 21, tzinfo=UTC))


#: Indexes that hold few rows, however many there are: they may be read from end to end.
FEW = (
    "ix_deliveries_due",
    "ix_deliveries_lease",
    "ix_deliveries_suspect",
    "ix_deliveries_trouble",
    "ix_events_accepted",
    "ix_events_failed",
    "ix_events_thread",
)


def reads_all(step: str) -> bool:
    """Whether a step of a plan reads a whole table, or an index that holds all of its rows."""
    table = step.startswith(("SCAN deliveries", "SCAN events", "SCAN variants", "SCAN busy", "SCAN windows"))
    return table and not step.endswith(FEW)


async def advanced(ledger: Ledger) -> None:
    """An event says when two windows are."""
    known = await ledger.events.find("CHG-1")
    await ledger.windows.advance(known.id, WINDOW, ["w1", "w2"])


async def plans(ledger: Ledger, call: Call) -> list[str]:
    """How SQLite goes about the SELECTs, UPDATEs and DELETEs of a call."""
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            statements.append((statement, parameters))

    engine = ledger.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    with suppress(NotFound):
        await call(ledger)
    event.remove(engine, "before_cursor_execute", note)
    steps: list[str] = []
    async with ledger.database.read() as connection:
        for statement, parameters in statements:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps += [row.detail for row in plan]
    return steps


@pytest.mark.parametrize(
    ("call", "index"),
    [
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
    ],
)
async def test_a_query_uses_the_index_that_was_made_for_it(
    sqlite_ledger: Ledger, call: Call, index: str
) -> None:
    """No query reads a whole table, and each finds its index."""
    await expanded(sqlite_ledger, people(3))
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
