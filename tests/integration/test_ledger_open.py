from __future__ import annotations

import asyncio
import re
import secrets
import sqlite3
import stat
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from clock import Clock
from ledger_records import LEASE, SENT, claim, expansion
from plan_records import Rules, key_of, said, told
from sqlalchemy import Connection, create_engine, text

from dispatcher.domain.delivery import Status
from dispatcher.domain.window import Window
from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger import Filter, Ledger, Recorded, Recovered
from dispatcher.ledger.engine import Database
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


#: What an older Dispatcher had in its ledger: one row of each kind and state that matters.
OLD = """
INSERT INTO events VALUES ('evt_1', 'changes', 'CHG-1', 'news', 'news', 'normal',
    '{"kind":"instances","values":["contoso-prod"]}', NULL, '{}', 'f1', NULL, 1700000000000000, 'expanded',
    '', '[]', 1, NULL);
INSERT INTO events VALUES ('evt_2', 'changes', 'CHG-2', 'news', 'news', 'normal',
    '{"kind":"instances","values":["contoso-prod"]}', NULL, '{}', 'f2', NULL, 1700000000000000, 'accepted',
    '', '[]', 0, NULL);
INSERT INTO events VALUES ('evt_3', 'changes', 'CHG-3', 'news', 'news', 'normal',
    '{"kind":"instances","values":["contoso-prod"]}', NULL, '{}', 'f3', NULL, 1700000000000000, 'failed',
    'no template', '[]', 0, NULL);
INSERT INTO variants VALUES (901, 'evt_1', 'v1', 'Subject', 'news@1', x'789c030000000001');
INSERT INTO deliveries VALUES ('dlv_1', 'evt_1', 'news', 'normal', 'contoso-prod', '["contoso-prod"]',
    'one@example.com', 'one@example.com', NULL, 'en', 'UTC', '[{"role":"admins","at":"x.yaml:1"}]',
    'operations', 901, '<1@x>', 'resend', 'queued', '', 0, 0, 1700000000000000, NULL, NULL, FALSE,
    1700000000000000, 1700000000000000);
INSERT INTO deliveries VALUES ('dlv_2', 'evt_1', 'news', 'normal', 'contoso-prod', '["contoso-prod"]',
    'two@example.com', 'two@example.com', NULL, 'en', 'UTC', '[{"role":"admins","at":"x.yaml:1"}]',
    'operations', 901, '<2@x>', 'resend', 'sending', '', 1, 1, NULL, 1700000030000000, 'old', FALSE,
    1700000000000000, 1700000000000000);
INSERT INTO deliveries VALUES ('dlv_3', 'evt_1', 'news', 'normal', 'contoso-prod', '["contoso-prod"]',
    'three@example.com', 'three@example.com', NULL, 'en', 'UTC', '[{"role":"admins","at":"x.yaml:1"}]',
    'operations', 901, '<3@x>', 'resend', 'failed', 'refused_permanently', 1, 1, NULL, NULL, NULL, FALSE,
    1700000000000000, 1700000000000000);
INSERT INTO attempts VALUES (901, 'dlv_3', 1700000000000000, 'failed', 'refused_permanently', 550, '5.1.1',
    'No');
INSERT INTO tokens VALUES (901, 'ci', 'ab', '["send"]', 1700000000000000, NULL, NULL);
INSERT INTO workers VALUES ('old', 'mx1', 4711, '0.1.0', 1700000000000000, 1700000000000000)
"""


#: What the version that first had these tables left in them.
MAIL = """
INSERT INTO suppressions VALUES (901, 'Two@example.com', 'two@example.com', 'news', 'page',
    1700000000000000, NULL);
INSERT INTO link_keys VALUES ('k1', '00ff', 1700000000000000);
INSERT INTO windows VALUES ('w1', 0, 'evt_1', 1700000000000000, 1700003600000000, FALSE)
"""


def literal_bytes(statement: str, database: Database) -> str:
    """The statement with its bytes written as that database wants them."""
    return statement if database.path else re.sub("x'([0-9a-f]+)'", r"'\\x\1'", statement)


async def upgraded_to(database: Database, revision: str, rows: str) -> None:
    """Bring an empty database to a revision, and put those rows into it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def upgrade(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    async with database.write() as transaction:
        await transaction.run_sync(upgrade)
        for statement in rows.split(";\n"):
            await transaction.exec_driver_sql(literal_bytes(statement, database))


def with_columns(rows: str) -> str:
    """The same rows for tables that have further columns since."""
    names = {
        "events": "id, source, external_id, type, effective_type, lane, selection, thread, fields,"
        " fingerprint, time, accepted_at, status, reason, warnings, expansion, expanding_until",
        "variants": "id, event, key, subject, template, content",
        "deliveries": "id, event, type, lane, instance, instances, address, folded, name, language,"
        " time_zone, reasons, sender, variant, message_id, on_uncertain, status, reason, tries, fence,"
        " next_try_at, lease_until, worker, uncertain, created_at, updated_at",
        "workers": "id, host, pid, version, started_at, seen_at",
    }
    for table, columns in names.items():
        rows = rows.replace(f"INTO {table} VALUES", f"INTO {table} ({columns}) VALUES")
    return rows


def parts(sql: str) -> list[str]:
    """What a CREATE statement says; of a table, its columns and constraints, whose order means nothing.

    SQLite keeps the text of the statement and appends a new column to its last line.
    """
    if not sql.startswith("CREATE TABLE"):
        return [" ".join(sql.split())]
    depth, split = 0, [""]
    for character in " ".join(sql.split()):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 1 and character in {",", "("}:
            split.append("")
        elif character != ")" or depth:
            split[-1] += character
    return sorted(part.strip() for part in split)


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
        return {name: parts(sql) for name, sql in rows}

    assert objects(sqlite_url.removeprefix("sqlite:///")) == objects(f"{tmp_path}/fresh.db")


async def test_an_older_ledger_is_brought_up_to_date_with_its_rows(database_url: str, clock: Clock) -> None:
    """What was in it stays, and can be claimed, taken over, tried again and cancelled."""
    database = Database(database_url, clock=clock, token=secrets.token_hex)
    if database.path:
        Path(database.path).touch()
    await upgraded_to(database, "0001", OLD)
    await database.close()
    ledger = await Ledger.open(database_url, clock=clock)
    try:
        (old,) = await ledger.leases.held("w")
        before = await claim(ledger)
        recovered = await ledger.leases.recover([old])
        after = await claim(ledger)
        requeued = await ledger.deliveries.requeue(Filter(status=Status.FAILED), "replayed")
        (again,) = await claim(ledger)
        refused = await ledger.claims.record([Recorded(one, SENT) for one in [*before, *after, again]])
        events = {event.external_id: event for event in await ledger.events.list()}
        await ledger.events.cancel("evt_2")
        retried = await ledger.events.retry("evt_3")
        begun = await ledger.expansions.begin("evt_3", LEASE)
        (worker,) = await ledger.workers.alive(timedelta(days=10_000))
        (token,) = await ledger.tokens.list()
    finally:
        await ledger.close()

    assert (old.worker, recovered, requeued, refused) == ("old", Recovered(1), 1, 0)
    assert [(one.id, one.fence, one.tries) for one in before] == [("dlv_1", 1, 0)]
    assert [(one.id, one.fence, one.tries) for one in after] == [("dlv_2", 2, 1)]
    assert (again.id, again.fence, again.tries, again.retry_from) == ("dlv_3", 2, 0, clock.now)
    assert {(one.retry_from, one.expires_at) for one in before} == {(one.created_at, None) for one in before}
    assert events["CHG-1"].counts == {Status.SENT: 3}
    assert {event.cancelled_at for event in events.values()} == {None}
    assert (retried, begun) == (True, True)
    assert (worker.id, worker.relay, worker.stale, token.name) == ("old", None, 0, "ci")


async def test_a_ledger_of_the_version_before_gets_plans(database_url: str, clock: Clock) -> None:
    """Its rows stay, its open event can be expanded, and a plan can be made and moved on."""
    database = Database(database_url, clock=clock, token=secrets.token_hex)
    if database.path:
        Path(database.path).touch()
    await upgraded_to(database, "0003", f"{with_columns(OLD)};\n{MAIL}")
    await database.close()
    ledger = await Ledger.open(database_url, clock=clock)
    try:
        opted_out = await ledger.suppressions.standing("two@example.com")
        old = await ledger.events.get("evt_2")
        begun = await ledger.expansions.begin("evt_2", LEASE)
        stored = await ledger.expansions.store("evt_2", expansion(["ada@example.com"]))
        (added,) = await ledger.events.add([said("scheduled")], advancer=Rules())
        (due,) = await ledger.plans.due(clock.now, 10)
        (reminder,) = await ledger.events.add([told(due.key)])
        window = Window(clock.now, clock.now + timedelta(hours=1))
        changes = await ledger.windows.advance("evt_3", window, ["w1"])
    finally:
        await ledger.close()

    assert [(one.address, one.type) for one in opted_out.values()] == [("Two@example.com", "news")]
    assert (old.channels, old.roles, begun, stored) == (None, None, True, 1)
    assert (added.duplicate, reminder.duplicate) == (False, False)
    assert due.plan.key == key_of()
    assert changes["w1"].number == 1


async def test_a_worker_of_the_version_before_can_go_on_meanwhile(database_url: str, clock: Clock) -> None:
    """What an older Dispatcher does not know of has a default, so that its statements still work."""
    ledger = await Ledger.open(database_url, clock=clock)
    rows = with_columns(OLD)
    try:
        async with ledger.database.write() as transaction:
            for statement in rows.split(";\n"):
                await transaction.exec_driver_sql(literal_bytes(statement, ledger.database))
        taken = await claim(ledger)
    finally:
        await ledger.close()

    assert [one.id for one in taken] == ["dlv_1"]


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
