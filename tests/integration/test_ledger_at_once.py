"""Transactions of SQLite that are one call of its thread."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledger_records import claim, expanded, people

from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger import Ledger
from dispatcher.ledger.turns import Turns


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger with one event of three deliveries."""
    opened = await Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=lambda: datetime.now(UTC))
    await expanded(opened, people(3))
    yield opened
    await opened.close()


def cancel_all(database: sqlite3.Connection) -> int:
    """A change that can be seen."""
    return database.execute("UPDATE deliveries SET status = 'cancelled', next_try_at = NULL").rowcount


async def statuses(ledger: Ledger) -> set[str]:
    """Where deliveries stand."""
    query = "SELECT DISTINCT status FROM deliveries"
    return {row[0] for row in await ledger.database.at_once(lambda found: found.execute(query).fetchall())}


async def test_it_is_committed_when_it_returns(ledger: Ledger) -> None:
    """What was written stands, and what the work gave is had."""
    assert await ledger.database.at_once(cancel_all) == 3
    assert await statuses(ledger) == {"cancelled"}


async def test_it_is_undone_if_it_raises(ledger: Ledger) -> None:
    """Nothing is kept by halves, and the next transaction has a connection in order."""

    def work(database: sqlite3.Connection) -> None:
        cancel_all(database)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await ledger.database.at_once(work)
    assert await statuses(ledger) == {"queued"}


async def test_it_is_undone_if_nobody_waits_for_it(ledger: Ledger) -> None:
    """A call that is cancelled before its commit leaves nothing behind."""
    begun, go_on = threading.Event(), threading.Event()

    def work(database: sqlite3.Connection) -> None:
        cancel_all(database)
        begun.set()
        go_on.wait(10)

    call = asyncio.create_task(ledger.database.at_once(work))
    await asyncio.to_thread(begun.wait, 10)
    call.cancel()
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await statuses(ledger) == {"queued"}


async def test_what_ails_the_database_is_told(ledger: Ledger, tmp_path: Path) -> None:
    """SQLite's own errors become the ledger's, with what to do; claims are made good later."""
    await ledger.database.at_once(lambda found: found.execute("PRAGMA query_only=ON").fetchall())
    with pytest.raises(ServiceUnreachable, match="cannot be written"):
        await ledger.database.at_once(cancel_all)


async def test_it_takes_its_turn(ledger: Ledger) -> None:
    """While another process has the turn it waits; a turn that does not come costs time and no more."""
    other = Turns(Path(f"{ledger.database.path}-turn"), 1.0)
    async with other.taken():
        call = asyncio.create_task(ledger.database.at_once(cancel_all))
        await asyncio.sleep(0.1)
        assert not call.done()
    assert await call == 3
    async with other.taken():
        assert await ledger.database.at_once(cancel_all) == 3
    other.close()


async def test_what_must_not_be_sent_is_settled_all_the_same(ledger: Ledger) -> None:
    """A cancelled event's deliveries are never claimed, though claims are one call."""
    [first] = await claim(ledger, 1)
    await ledger.events.cancel(first.event)
    assert not await claim(ledger, 3)
    assert await statuses(ledger) == {"sending", "cancelled"}
