"""The rows of one part of an expansion, and the statements that write many of them at once.

The id of a variant is looked up by its key where a delivery is written, and what is the same in all rows of a
part goes with the statement: so all else can be made ready in a thread, before the transaction.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.address import folded
from dispatcher.domain.delivery import NewDelivery, NewVariant, Status
from dispatcher.ledger.schema import deliveries

_LEVEL = 1  # zlib: a third of the time of the default for a tenth more bytes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: What each delivery has of its own, with the type of its column; its variant is named by its key.
_OWN = {
    "id": "text",
    "instance": "text",
    "instances": "text",
    "address": "text",
    "folded": "text",
    "name": "text",
    "language": "text",
    "time_zone": "text",
    "reasons": "text",
    "sender": "text",
    "message_id": "text",
    "expires_at": "bigint",
    "thread_root": "text",
    "variant": "text",
}
_PLAIN = tuple(_OWN)[:-1]
#: And what all of an event's have in common.
_ALL = _OWN | {"event": "text", "type": "text", "lane": "text", "policy": "text", "now": "bigint"}
#: Where those that are wanted more than once stand in a row.
_EVENT, _NOW = (f"?{1 + list(_ALL).index(name)}" for name in ("event", "now"))
_COLUMNS = (
    *_PLAIN,
    *("variant", "event", "type", "lane", "status", "reason", "tries", "fence", "uncertain"),
    *("on_uncertain", "next_try_at", "created_at", "updated_at"),
)
_INTO = f"INSERT INTO deliveries ({', '.join(_COLUMNS)})"
_BEGUN = f"'{Status.QUEUED}', '', 0, 0"
_VARIANT = ("event", "key", "subject", "template", "content")
_THERE = "ON CONFLICT (event, instance, folded) DO NOTHING"
_KNOWN = "ON CONFLICT (event, key) DO NOTHING"

#: A driver's own statements: SQLAlchemy's take several times as long for as many rows. One row, many times;
#: a row that is itself selected from somewhere takes SQLite twice as long.
_SQLITE_DELIVERY = (
    f"{_INTO} VALUES ({', '.join('?' * len(_PLAIN))}, "
    f"(SELECT id FROM variants WHERE key = ? AND event = {_EVENT}), {_EVENT}, ?, ?,"
    f" {_BEGUN}, 0, ?, {_NOW}, {_NOW}, {_NOW}) {_THERE}"
)
_SQLITE_VARIANT = f"INSERT INTO variants ({', '.join(_VARIANT)}) VALUES (?, ?, ?, ?, ?) {_KNOWN}"
#: The same as one statement, a column at a time.
_POSTGRESQL_DELIVERY = text(
    f"{_INTO} SELECT {', '.join(f'u.{name}' for name in _PLAIN)},"
    " (SELECT v.id FROM variants AS v WHERE v.key = u.variant AND v.event = u.event),"
    f" u.event, u.type, u.lane, {_BEGUN}, false, u.policy, u.now, u.now, u.now"
    f" FROM unnest({', '.join(f'CAST(:{name} AS {kind}[])' for name, kind in _ALL.items())})"
    f" AS u({', '.join(_ALL)}) ORDER BY u.id {_THERE}"
)
_POSTGRESQL_VARIANT = text(
    f"INSERT INTO variants ({', '.join(_VARIANT)})"
    " SELECT u.event, u.key, u.subject, u.template, u.content"
    " FROM unnest(CAST(:event AS text[]), CAST(:key AS text[]), CAST(:subject AS text[]),"
    " CAST(:template AS text[]), CAST(:content AS bytea[])) AS u(event, key, subject, template, content)"
    f" {_KNOWN}"
)


@dataclass(frozen=True, slots=True)
class Rows:
    """A part of an event's rows, as a driver takes them.

    Attributes:
        policy: What becomes of a delivery when nobody can know whether it arrived.
        now: When they are made and due, as `moment` gives it.
        variants: Key, subject, template and packed content of each.
        deliveries: In the order of `_OWN`.
    """

    policy: str
    now: int
    variants: Sequence[tuple[Any, ...]]
    deliveries: Sequence[tuple[Any, ...]]


def packed(contents: Sequence[NewVariant]) -> list[tuple[Any, ...]]:
    """The rows of variants, but for their event."""
    return [(one.key, one.subject, one.template, zlib.compress(one.content, _LEVEL)) for one in contents]


def rows_of(
    made: Sequence[NewDelivery], message_ids: Sequence[str], ids: Iterator[str]
) -> list[tuple[Any, ...]]:
    """The rows of deliveries; of two to one address about one instance, the first counts.

    Args:
        made: The deliveries.
        message_ids: One for each, in the same order.
        ids: Where their ids come from.
    """
    rows: list[tuple[Any, ...]] = []
    seen: set[tuple[str, str]] = set()
    about: tuple[tuple[str, ...], str] = ((), "[]")  # the same for thousands in a row
    for one, message_id in zip(made, message_ids, strict=True):
        to = folded(one.address)
        if (one.instance, to) in seen:
            continue
        seen.add((one.instance, to))
        if one.instances != about[0]:
            about = one.instances, _json(one.instances)
        rows.append(
            (
                next(ids),
                one.instance,
                about[1],
                one.address,
                to,
                one.name,
                one.language,
                one.time_zone,
                _json(one.reasons),
                one.sender,
                message_id,
                None if one.expires_at is None else moment(one.expires_at),
                one.thread_root,
                one.variant,
            )
        )
    return rows


def moment(value: datetime) -> int:
    """A moment as `dispatcher.ledger.columns.Moment` keeps it."""
    return (value - _EPOCH) // _MICROSECOND


async def write(transaction: AsyncConnection, parts: Sequence[tuple[Any, Rows]]) -> int:
    """Keep the rows of parts; those that are there already stay as they are.

    Args:
        transaction: The transaction.
        parts: The rows of each with its event's own row: its id, effective type and lane.

    Returns:
        How many deliveries were not there.
    """
    contents = [(event.id, *row) for event, rows in parts for row in rows.variants]
    own = [
        (*row, event.id, event.effective_type, event.lane, rows.policy, rows.now)
        for event, rows in parts
        for row in rows.deliveries
    ]
    sqlite = transaction.dialect.name == "sqlite"
    if contents and sqlite:
        await transaction.exec_driver_sql(_SQLITE_VARIANT, contents)
    elif contents:
        await transaction.execute(_POSTGRESQL_VARIANT, _columns(_VARIANT, contents))
    if own and sqlite:
        return (await transaction.exec_driver_sql(_SQLITE_DELIVERY, own)).rowcount
    if own:
        return (await transaction.execute(_POSTGRESQL_DELIVERY, _columns(tuple(_ALL), own))).rowcount
    return 0


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


async def clear_staged(transaction: AsyncConnection, ids: Collection[str]) -> None:
    """Take away what a worker of an older version has left: rows that nobody can claim before its end."""
    staged = (deliveries.c.status == Status.QUEUED) & deliveries.c.next_try_at.is_(None)
    await transaction.execute(delete(deliveries).where(deliveries.c.event.in_(ids), staged))


def _json(value: tuple[Any, ...]) -> str:
    return orjson.dumps(value).decode()
