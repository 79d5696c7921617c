from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from ledger_records import expanded, people
from sqlalchemy import event

from dispatcher.domain.delivery import Lane, Status
from dispatcher.ledger import Filter, Ledger

Call = Callable[[Ledger], Awaitable[Any]]


async def plans(ledger: Ledger, call: Call) -> list[str]:
    """How SQLite goes about the SELECTs and UPDATEs of a call."""
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE", "WITH")):
            statements.append((statement, parameters))

    engine = ledger.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
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
        (lambda ledger: ledger.claims.due_lanes(ledger.database.now()), "ix_deliveries_due"),
        (lambda ledger: ledger.claims.next_due(), "ix_deliveries_due"),
        (lambda ledger: ledger.claims.recover(ledger.database.now()), "ix_deliveries_lease"),
        (lambda ledger: ledger.events.unexpanded(5), "ix_events_accepted"),
        (lambda ledger: ledger.events.reference("changes", "CHG-1"), "sqlite_autoindex_events_2"),
        (lambda ledger: ledger.events.find("CHG-1"), "sqlite_autoindex_events_2"),
        (lambda ledger: ledger.deliveries.counts("evt_1"), "ix_deliveries_event"),
        (lambda ledger: ledger.deliveries.list(Filter(event="evt_1")), "ix_deliveries_event"),
        (lambda ledger: ledger.deliveries.list(Filter(address="a@b.c")), "ix_deliveries_folded"),
        (lambda ledger: ledger.deliveries.list(Filter(status=Status.FAILED)), "ix_deliveries_trouble"),
        (lambda ledger: ledger.deliveries.list(Filter(message_id="<1@x>")), "sqlite_autoindex_deliveries_3"),
        (lambda ledger: ledger.deliveries.told("CHG", ["news"]), "ix_events_thread"),
    ],
)
async def test_a_query_uses_the_index_that_was_made_for_it(
    sqlite_ledger: Ledger, call: Call, index: str
) -> None:
    """No query reads a whole table, and each finds its index."""
    await expanded(sqlite_ledger, people(3))
    steps = await plans(sqlite_ledger, call)

    assert any(index in step for step in steps), steps
    assert not [step for step in steps if step in {"SCAN deliveries", "SCAN events", "SCAN variants"}]


async def test_due_deliveries_need_no_sorting(sqlite_ledger: Ledger) -> None:
    """The due index gives deliveries in the order in which they are claimed."""
    steps = await plans(
        sqlite_ledger,
        lambda ledger: ledger.claims.claim(Lane.BULK, 5, worker="w", lease=timedelta(1)),
    )

    assert not [step for step in steps if "TEMP B-TREE" in step]
