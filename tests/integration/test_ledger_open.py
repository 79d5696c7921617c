from __future__ import annotations

import asyncio
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from clock import Clock
from sqlalchemy import Connection, create_engine, text

from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger import Ledger
from dispatcher.ledger.migrate import MIGRATIONS
from dispatcher.ledger.schema import REVISION, metadata

OPEN = """
import asyncio, sys
from datetime import UTC, datetime
from dispatcher.ledger import Ledger

async def main():
    sys.stdin.readline()
    ledger = await Ledger.open(sys.argv[1], clock=lambda: datetime.now(UTC))
    await ledger.ping()
    await ledger.close()

asyncio.run(main())
"""


async def test_processes_that_start_at_once_share_one_migration(database_url: str, clock: Clock) -> None:
    """Four processes that open an empty database together all get a ledger."""
    root = str(Path(__file__).parents[2])
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", OPEN, database_url),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=root,
        )
        for _ in range(4)
    ]
    ends = await asyncio.wait_for(asyncio.gather(*(one.communicate(b"\n") for one in processes)), 60)
    opened = await Ledger.open(database_url, clock=clock)
    await opened.close()

    assert [one.returncode for one in processes] == [0] * 4, [errors.decode() for _, errors in ends]


async def test_opening_a_current_ledger_is_quick(ledger: Ledger, database_url: str, clock: Clock) -> None:
    """A ledger whose tables are up to date opens without Alembic, whose import takes longer than all else."""
    loaded = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("alembic")}
    try:
        again = await Ledger.open(database_url, clock=clock)
        await again.close()
        imported = [name for name in sys.modules if name.startswith("alembic")]
    finally:
        sys.modules.update(loaded)

    assert imported == []


async def test_migrations_lead_to_the_schema(ledger: Ledger) -> None:
    """Alembic finds no difference between what the migrations made and what the code expects."""

    def compare(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with ledger.database.read() as connection:
        differences = await connection.run_sync(compare)

    assert differences == []


async def test_migrations_lead_to_the_schema_to_the_letter(
    sqlite_ledger: Ledger, sqlite_url: str, tmp_path: Path
) -> None:
    """Checks and partial indexes, which Alembic does not compare, are those of the schema too."""
    fresh = create_engine(f"sqlite:///{tmp_path}/fresh.db")
    metadata.create_all(fresh)
    fresh.dispose()

    def objects(path: str) -> dict[str, list[str]]:
        connection = sqlite3.connect(path)
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'"
        ).fetchall()
        connection.close()
        # The order of constraints within a table means nothing.
        return {name: sorted(line.strip(" ,\t") for line in sql.splitlines()) for name, sql in rows}

    assert objects(sqlite_url.removeprefix("sqlite:///")) == objects(f"{tmp_path}/fresh.db")


def test_the_schema_names_the_last_migration() -> None:
    """The revision that opening looks for is the head of the migrations."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


async def test_a_newer_ledger_is_left_alone(ledger: Ledger, database_url: str, clock: Clock) -> None:
    """A database of a newer Dispatcher is refused with what to do, and stays as it is."""
    async with ledger.database.write() as transaction:
        await transaction.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ServiceUnreachable, match="newer Dispatcher: update this one"):
        await Ledger.open(database_url, clock=clock)
    async with ledger.database.read() as connection:
        revision = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()

    assert revision == "9999"


async def test_sqlite_is_set_up_to_lose_nothing(sqlite_ledger: Ledger) -> None:
    """Every connection has the write-ahead log, full synchronisation and foreign keys."""
    async with sqlite_ledger.database.read() as one, sqlite_ledger.database.read() as two:
        values = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for connection in (one, two)
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]

    assert values == ["wal", 2, 1, 10_000] * 2


def test_the_file_is_for_its_owner_only(sqlite_ledger: Ledger, sqlite_url: str) -> None:
    """The file and its log hold names and addresses: nobody else may read them."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    modes = {stat.S_IMODE(Path(f"{path}{end}").stat().st_mode) for end in ("", "-wal", "-shm")}

    assert modes == {0o600}
