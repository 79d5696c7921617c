"""The statements that every message goes through, as text.

SQLAlchemy binds and reads value by value, which would be most of their cost. Here a batch crosses whole: to
SQLite and back as one JSON text, so that a statement is one step, and the interpreter's lock changes hands
once instead of once a row; to PostgreSQL as arrays, and back as the driver's own rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.delivery import Status
from dispatcher.ledger.schema import SUSPECT, one_of

#: Reasons of deliveries whose worker was taken for gone; if it reports after all, its word counts.
LAPSED = ("lease_expired", "poison")

#: Where a delivery stands that was due and must not be sent, and the reason it gives.
BARRED = {
    Status.CANCELLED: "cancelled",
    Status.EXPIRED: "expired",
    Status.SUPPRESSED: "opted_out",
    Status.HELD: "incident",
}

#: The columns that make a claim, in the order of `dispatcher.ledger.claim_rows.Picked`.
_CLAIM: Final = (
    *("id", "event", "type", "instance", "address", "name", "language", "sender", "lane", "message_id"),
    *("variant", "fence", "tries", "created_at", "retry_from", "on_uncertain", "expires_at", "thread_root"),
)
#: What came of a delivery, with PostgreSQL's types, in the order of `dispatcher.ledger.outcomes.Settled`.
_SETTLED: Final = {
    "id": "text",
    "status": "text",
    "reason": "text",
    "due": "bigint",
    "doubt": "boolean",
    "since": "bigint",
    "came": "text",
    "code": "integer",
    "enhanced_code": "text",
    "reply": "text",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, as each database wants it; a SELECT has one text as its answer in SQLite."""

    sqlite: str
    postgresql: str

    async def run(self, transaction: AsyncConnection, *parameters: Any) -> None:
        """Carry it out."""
        if _is_sqlite(transaction):
            await _at_once(transaction, self.sqlite, parameters)
        else:
            await transaction.exec_driver_sql(self.postgresql, parameters)

    async def rows(self, transaction: AsyncConnection, *parameters: Any) -> Sequence[Any]:
        """What it selects."""
        if _is_sqlite(transaction):
            [[whole]] = await _at_once(transaction, self.sqlite, parameters)
            listed: list[Any] = orjson.loads(whole)
            return listed
        return (await transaction.exec_driver_sql(self.postgresql, parameters)).all()

    def run_in(self, database: sqlite3.Connection, *parameters: Any) -> Any:
        """Carry it out, in SQLite's thread; what it gives."""
        return database.execute(self.sqlite, parameters).fetchall()

    def rows_in(self, database: sqlite3.Connection, *parameters: Any) -> list[Any]:
        """What it selects, likewise."""
        [[whole]] = self.run_in(database, *parameters)
        listed: list[Any] = orjson.loads(whole)
        return listed


def _is_sqlite(transaction: AsyncConnection) -> bool:
    return transaction.dialect.name == "sqlite"


async def _at_once(transaction: AsyncConnection, statement: str, parameters: tuple[Any, ...]) -> Any:
    """One call of the driver's thread, where a cursor's life is four; the transaction is SQLAlchemy's."""
    connection: Any = (await transaction.get_raw_connection()).driver_connection
    return await connection.execute_fetchall(statement, parameters)


def ids(transaction: AsyncConnection, keys: list[str]) -> Any:
    """Ids as the first parameter."""
    return text(keys) if _is_sqlite(transaction) else keys


def table(transaction: AsyncConnection, batch: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """Rows as the first parameters."""
    if _is_sqlite(transaction):
        return (text(batch),)
    return tuple(map(list, zip(*batch, strict=True)))


def text(batch: Sequence[Any]) -> str:
    """Ids, or rows, as SQLite takes them."""
    return orjson.dumps(batch, default=tuple).decode()


def _by_id(statement: str) -> Statement:
    """A statement on the deliveries whose ids are ``$1``."""
    return Statement(
        statement.format(ids="IN (SELECT value FROM json_each($1))", lock="").replace("$", "?"),
        statement.format(ids="= ANY($1::text[])", lock="FOR UPDATE"),
    )


def _selected(columns: Sequence[str], statement: Statement) -> Statement:
    """A SELECT that gives SQLite's rows in one text: each further row would be a step of its own."""
    whole = f"SELECT json_group_array(json_array({', '.join(columns)})) FROM ({statement.sqlite})"
    return Statement(whole, statement.postgresql)


def _by_row(statement: str) -> Statement:
    """A statement on a table ``j`` of what came of deliveries, and on the time, ``{now}``."""
    taken = (f"json_extract(value, '$[{n}]') AS {name}" for n, name in enumerate(_SETTLED))
    arrays = (f"${n}::{kind}[]" for n, kind in enumerate(_SETTLED.values(), 1))
    unnested = f"unnest({', '.join(arrays)}) AS j({', '.join(_SETTLED)})"
    return Statement(
        statement.format(j=f"(SELECT {', '.join(taken)} FROM json_each(?1)) AS j", now="?2"),
        statement.format(j=unnested, now=f"${len(_SETTLED) + 1}"),
    )


def _picking(lock: str) -> str:
    """What is due; of suspects one, if this worker has none: the next end says which it was.

    ``$1`` is the lane, ``$2`` the time, ``$3`` how many, ``$4`` the worker.
    """
    due = f"SELECT {', '.join(_CLAIM)} FROM deliveries WHERE lane = $1 AND next_try_at <= $2"
    # The literals are for the partial indexes on suspects and leases.
    at_one = (
        "SELECT 1 FROM deliveries AS busy WHERE busy.status = 'sending'"
        f" AND busy.crashes >= {SUSPECT} AND busy.worker = $4 AND busy.lane = $1"
    )
    suspect = f"{due} AND crashes >= {SUSPECT} AND NOT EXISTS ({at_one}) ORDER BY next_try_at LIMIT 1 {lock}"
    usual = f"{due} AND crashes < {SUSPECT} ORDER BY next_try_at, id LIMIT $3 {lock}"
    flags = (
        "EXISTS (SELECT 1 FROM events WHERE events.id = d.event AND cancelled_at IS NOT NULL) AS cancelled, "
        # Mostly there are none at all, and then nothing is looked up for any row.
        "(SELECT EXISTS (SELECT 1 FROM suppressions WHERE lifted_at IS NULL)) AS stopped, "
        "(SELECT EXISTS (SELECT 1 FROM incident_instances WHERE restored_at IS NULL)) AS troubled"
    )
    both = f"SELECT * FROM ({suspect}) AS s UNION ALL SELECT * FROM ({usual}) AS u"
    return f"SELECT d.*, {flags} FROM ({both}) AS d LIMIT $3"


#: What is due, and what may be in its way; locked until the transaction ends, others pass it by.
PICK = _selected(
    (*_CLAIM, "cancelled", "stopped", "troubled"),
    Statement(_picking("").replace("$", "?"), _picking("FOR UPDATE SKIP LOCKED")),
)
#: Takes over what was picked; ``$2`` the end of the lease, ``$3`` the worker, ``$4`` the time.
TAKE = _by_id(
    "UPDATE deliveries SET status = 'sending', reason = '', fence = fence + 1, tries = tries + 1,"
    " next_try_at = NULL, lease_until = $2, worker = $3, updated_at = $4 WHERE id {ids}"
)
#: The fences of those that are being sent. One order everywhere, so that no two wait for each other.
HELD = _selected(
    ("id", "fence"),
    _by_id("SELECT id, fence FROM deliveries WHERE id {ids} AND status = 'sending' ORDER BY id {lock}"),
)
_LATE = f"(status = 'sending' OR {one_of('reason', LAPSED)} OR {one_of('status', BARRED)} AND crashes > 0)"
#: And of those whose lease ran out, and whom nobody followed.
HELD_OR_LATE = _selected(
    ("id", "fence"),
    _by_id(f"SELECT id, fence FROM deliveries WHERE id {{ids}} AND {_LATE} ORDER BY id {{lock}}"),
)
RENEW = _by_id("UPDATE deliveries SET lease_until = $2 WHERE id {ids}")
#: As if it had not been claimed; ``$2`` why, ``$3`` when it is due, ``$4`` the time.
GIVE_BACK = _by_id(
    "UPDATE deliveries SET status = CASE WHEN tries > 1 THEN 'deferred' ELSE 'queued' END, reason = $2,"
    " tries = tries - 1, next_try_at = $3, lease_until = NULL, worker = NULL, updated_at = $4 WHERE id {ids}"
)
#: Ends claims with what came of them.
SETTLE_ALL = _by_row(
    "UPDATE deliveries AS d SET status = j.status, reason = j.reason, next_try_at = j.due,"
    " uncertain = d.uncertain OR j.doubt, crashes = 0, retry_from = j.since, lease_until = NULL,"
    " worker = NULL, updated_at = {now} FROM {j} WHERE d.id = j.id"
)
ATTEMPTS = _by_row(
    "INSERT INTO attempts (delivery, at, status, reason, code, enhanced_code, reply)"
    " SELECT j.id, {now}, j.came, j.reason, j.code, j.enhanced_code, j.reply FROM {j}"
)
