from __future__ import annotations

import asyncio
import socket
import sqlite3
import traceback
from pathlib import Path
from typing import Any

import pytest
from clock import Clock
from ledger_records import SENT, claim, expanded, expansion, new_event, people
from postgres_server import PostgresServer
from slow import PATIENT
from sqlalchemy import event, text

from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger import Ledger, Recorded
from dispatcher.ledger import engine as engine_module

#: Drop every connection, and wait for its end: without the number, in milliseconds, it is only asked for.
DROP_ALL = (
    f"SELECT pg_terminate_backend(pid, {10_000 * PATIENT}) FROM pg_stat_activity "
    "WHERE application_name = 'dispatcher'"
)


def on_checkout(ledger: Ledger, pragma: str) -> None:
    """Execute a pragma on each connection before it is used."""

    @event.listens_for(ledger.database.engine.sync_engine, "checkout")
    def prepare(connection: Any, _record: Any, _proxy: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


async def test_a_full_disk_keeps_nothing_half(sqlite_ledger: Ledger, sqlite_url: str) -> None:
    """When the disk is full, the caller hears so, and what is there is what was there."""
    waiting = await expanded(sqlite_ledger, people(3))
    claims = await claim(sqlite_ledger)
    async with sqlite_ledger.database.read() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
    on_checkout(sqlite_ledger, f"max_page_count={pages + 4}")
    batch = [new_event(f"INC-{number}") for number in range(1000)]
    with pytest.raises(ServiceUnreachable, match=r"is full.*Free space") as refused:
        await sqlite_ledger.events.add(batch)

    assert refused.value.service == "database"
    assert sqlite_url.removeprefix("sqlite:///") in str(refused.value)
    assert [one.id for one in await sqlite_ledger.events.list()] == [waiting]
    on_checkout(sqlite_ledger, "max_page_count=1000000")
    assert len(await sqlite_ledger.events.add(batch)) == 1000
    assert await sqlite_ledger.claims.record([Recorded(one, SENT) for one in claims]) == 0


async def test_a_full_disk_leaves_an_expansion_to_be_done_again(sqlite_ledger: Ledger) -> None:
    """An expansion that did not fit is not shown and not sent, and can be done again."""
    (added,) = await sqlite_ledger.events.add([new_event()])
    on_checkout(sqlite_ledger, "max_page_count=500")
    with pytest.raises(ServiceUnreachable, match="is full"):
        await sqlite_ledger.expansions.store(added.id, expansion(people(5_000)))

    assert await sqlite_ledger.deliveries.list() == []
    assert await claim(sqlite_ledger) == []
    on_checkout(sqlite_ledger, "max_page_count=1000000")
    assert await sqlite_ledger.expansions.store(added.id, expansion(people(5_000), mark="b")) == 5_000


async def test_a_read_only_file_is_named(sqlite_ledger: Ledger) -> None:
    """A ledger that cannot be written says so, and what to do."""
    on_checkout(sqlite_ledger, "query_only=ON")
    with pytest.raises(ServiceUnreachable, match=r"ledger\.db cannot be written.*writable"):
        await sqlite_ledger.events.add([new_event()])


async def test_a_lock_that_another_process_keeps_is_named(sqlite_ledger: Ledger, sqlite_url: str) -> None:
    """A ledger that another program keeps locked says so, after it has waited."""
    on_checkout(sqlite_ledger, "busy_timeout=50")
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(ServiceUnreachable, match="kept locked by another process"):
            await sqlite_ledger.events.add([new_event()])
        assert await sqlite_ledger.events.list() == []
    finally:
        other.close()

    assert len(await sqlite_ledger.events.add([new_event()])) == 1


@pytest.mark.parametrize("what", ["missing/ledger.db", ".", "text.db"])
async def test_a_file_that_is_no_ledger_is_named(tmp_path: Path, clock: Clock, what: str) -> None:
    """A missing directory, a directory and some other file are each refused by name."""
    (tmp_path / "text.db").write_text("Dear Sir or Madam, " * 100)
    path = tmp_path / what
    with pytest.raises(ServiceUnreachable, match=f"{path}"):
        await Ledger.open(f"sqlite:///{path}", clock=clock)


async def test_a_server_that_is_not_there_is_named(clock: Clock) -> None:
    """A closed port is named with its host, without the password."""
    password = "hunter2"
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can get it meanwhile
        port = held.getsockname()[1]
        url = f"postgresql://me:{password}@127.0.0.1:{port}/ledger"
        with pytest.raises(ServiceUnreachable) as refused:
            await Ledger.open(url, clock=clock)
    told = "".join(traceback.format_exception(refused.value))

    assert f"127.0.0.1:{port}/ledger does not answer" in str(refused.value)
    assert "DISPATCHER_DATABASE_URL" in str(refused.value)
    assert password not in told


async def test_a_server_that_says_nothing_is_given_up(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that accepts and then stays silent is not waited for without end."""
    monkeypatch.setattr(engine_module, "CONNECT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(ServiceUnreachable, match="does not answer"):
            await asyncio.wait_for(
                Ledger.open(f"postgresql://me@127.0.0.1:{port}/ledger", clock=clock), 10 * PATIENT
            )


async def test_a_wrong_password_is_never_shown(postgres: PostgresServer, clock: Clock) -> None:
    """A refused log-in says so, and neither the message nor the traceback holds the password."""
    url = postgres.url("postgres", "locked", "hunter2")
    with pytest.raises(ServiceUnreachable, match="refused the log-in") as refused:
        await Ledger.open(url, clock=clock)

    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


async def test_a_database_that_is_not_there_is_named(postgres: PostgresServer, clock: Clock) -> None:
    """A missing database is told from a missing server."""
    with pytest.raises(ServiceUnreachable, match=r"has no such database.*Create it"):
        await Ledger.open(postgres.url("nowhere"), clock=clock)


async def test_a_lost_connection_costs_nothing_later(
    postgres: PostgresServer, postgres_url: str, clock: Clock
) -> None:
    """After the server has dropped every connection, the next call works."""
    ledger = await Ledger.open(postgres_url, clock=clock)
    await asyncio.gather(*(ledger.ping() for _ in range(5)))
    await postgres.run(DROP_ALL)
    await asyncio.gather(*(ledger.ping() for _ in range(5)))
    added = await ledger.events.add([new_event()])
    await ledger.close()

    assert len(added) == 1


async def test_a_connection_lost_in_a_transaction_is_named(
    postgres: PostgresServer, postgres_url: str, clock: Clock
) -> None:
    """A connection that breaks under a transaction is a database that cannot be had, not a defect."""
    ledger = await Ledger.open(postgres_url, clock=clock)

    async def broken() -> None:
        async with ledger.database.write() as transaction:
            await transaction.execute(text("SELECT 1"))
            await postgres.run(DROP_ALL)
            await transaction.execute(text("SELECT 1"))

    with pytest.raises(ServiceUnreachable):
        await broken()
    await ledger.ping()
    await ledger.close()


async def test_a_cancelled_call_leaves_nothing_behind(ledger: Ledger) -> None:
    """Calls that are cancelled at any moment keep no lock, no connection and no half batch."""
    for delay in range(30):
        batch = [new_event(f"CHG-{delay}-{number}") for number in range(20)]
        task = asyncio.create_task(ledger.events.add(batch))
        await asyncio.sleep(delay / 3000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    kept = await asyncio.wait_for(ledger.events.list(limit=1000), 10 * PATIENT)
    await asyncio.wait_for(ledger.events.add([new_event("last")]), 10 * PATIENT)

    assert len(kept) % 20 == 0


async def test_a_defect_looks_like_one(ledger: Ledger) -> None:
    """A wrong statement is not passed off as a database that cannot be had."""
    with pytest.raises(Exception, match="nonsense") as raised:
        async with ledger.database.read() as connection:
            await connection.execute(text("SELECT nonsense FROM events"))

    assert not isinstance(raised.value, ServiceUnreachable)
