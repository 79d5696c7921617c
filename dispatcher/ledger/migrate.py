"""Bring the schema up to date, once, however many processes start at the same time."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger.engine import BUSY_SECONDS, Database
from dispatcher.ledger.faults import sqlite_code, sqlstate, translated
from dispatcher.ledger.schema import REVISION

MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK = 0x6469737061746368  # "dispatch": PostgreSQL's number for the lock on migrating
_UNDEFINED_TABLE = "42P01"


async def bring_up_to_date(database: Database) -> None:
    """Create or migrate the tables if they are not at `REVISION` yet: one query when they are.

    Raises:
        ServiceUnreachable: The database cannot be had, or belongs to a newer Dispatcher.
    """
    with translated(database.place):
        if database.path:
            await asyncio.to_thread(_prepare_file, database.path)
        async with database.read() as connection:
            if await _revision(connection) == REVISION:
                return
    async with database.write() as transaction:
        if database.dialect == "postgresql":
            # Held until the commit. SQLite needs none: BEGIN IMMEDIATE lets one process in.
            await transaction.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        if await transaction.run_sync(_revision_in_transaction) != REVISION:
            await transaction.run_sync(_upgrade, database.place)


def _prepare_file(path: str) -> None:
    """Make sure that the file is there, is a database, and has its write-ahead log.

    Done with the plain driver first, because the asynchronous one leaves a thread behind that complains
    when a file cannot be opened. Switching to WAL is for one process at a time, and SQLite does not let
    the others wait for that: so they come back.

    Raises:
        sqlite3.Error: The file cannot be used.
    """
    with suppress(OSError):  # it holds names and addresses: for its owner's eyes only
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                return
        except sqlite3.OperationalError as error:
            if not sqlite_code(error).startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


async def _revision(connection: AsyncConnection) -> str | None:
    """What ``alembic_version`` says; None when there is no such table."""
    try:
        result = await connection.execute(text("SELECT version_num FROM alembic_version"))
    except DBAPIError as error:
        if sqlstate(error) == _UNDEFINED_TABLE or sqlite_code(error) == "SQLITE_ERROR":
            return None
        raise
    return result.scalar_one_or_none()


def _revision_in_transaction(connection: Connection) -> str | None:
    """The same without a failing statement, which would end a transaction of PostgreSQL."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection, place: str) -> None:
    # Alembic is imported here, because most starts of the program have nothing to migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise ServiceUnreachable(
            "database",
            f"The database {place} cannot be brought to revision {REVISION} ({error}). It was "
            "probably written by a newer Dispatcher: update this one, or use another database.",
        ) from error
