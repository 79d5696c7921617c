"""Events as rows: checked before they are written, and made into records again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import case, exists, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.event import Event, EventStatus, NewEvent, Selection
from dispatcher.errors import EventConflict, EventInvalid, Problem
from dispatcher.ledger.columns import Moment, storable
from dispatcher.ledger.expansion_rows import moment
from dispatcher.ledger.schema import deliveries, events

#: What makes an event one of its own: its source, and the id that it has there.
Name = tuple[str, str]
#: In the order of `row_of`; a driver's own statement, for SQLAlchemy's takes as long again for each row.
_COLUMNS = (
    *("id", "accepted_at", "external_id", "source", "type", "effective_type", "lane", "selection", "thread"),
    *("fields", "fingerprint", "time", "status", "reason", "warnings", "channels", "roles"),
)
_INTO = f"INSERT INTO events ({', '.join(_COLUMNS)}, expansion) VALUES"
_KNOWN = "ON CONFLICT (external_id, source) DO NOTHING"
_SQLITE = f"{_INTO} ({', '.join('?' * len(_COLUMNS))}, 0) {_KNOWN}"
_POSTGRESQL = f"{_INTO} ({', '.join(f'${place}' for place in range(1, len(_COLUMNS) + 1))}, 0) {_KNOWN}"
PAIRS = 500  # pairs in one IN list; PostgreSQL's driver takes 32,767 parameters


def name_of(event: NewEvent) -> Name:
    """What makes it an event of its own."""
    return event.source, event.external_id


#: Why an event has not all the deliveries that it was to have.
CUT_SHORT = "it was cancelled before all of it was expanded; nobody else is mailed"


def withdrawal(now: datetime, early_reason: str) -> dict[str, Any]:
    """What becomes of the row of an event that is withdrawn; doing it again changes nothing.

    The row must be locked by a statement before: else deliveries that are made at this moment may be missed.

    Args:
        now: The moment.
        early_reason: Why it is recorded, if it had no delivery yet.
    """
    early = events.c.status.in_((EventStatus.ACCEPTED, EventStatus.FAILED))
    begun = early & exists().where(deliveries.c.event == events.c.id)
    status = case(
        (begun, EventStatus.EXPANDED.value), (early, EventStatus.RECORDED.value), else_=events.c.status
    )
    return {
        "cancelled_at": func.coalesce(events.c.cancelled_at, literal(now, Moment)),
        "status": status,
        "reason": case((begun, CUT_SHORT), (early, early_reason), else_=events.c.reason),
    }


def distinct(new: Sequence[NewEvent]) -> dict[Name, NewEvent]:
    """The events by source and external id, checked before anything is written.

    Raises:
        EventConflict: Two contents under one id.
        EventInvalid: Text that cannot be stored.
    """
    wanted: dict[Name, NewEvent] = {}
    for event in new:
        for key, text in (("source", event.source), ("id", event.external_id), ("thread", event.thread)):
            if text and not text.isprintable() and storable(text) != text:
                problem = "holds a NUL character or a broken Unicode character"
                raise EventInvalid(Problem(key, problem, "send plain Unicode text"))
        known = wanted.setdefault((event.source, event.external_id), event)
        if known.fingerprint != event.fingerprint:
            raise EventConflict(event.source, event.external_id)
    return wanted


async def kept(transaction: AsyncConnection, wanted: Mapping[Name, NewEvent]) -> dict[Name, str]:
    """The id under which each event is in the ledger, whoever brought it.

    Raises:
        EventConflict: One of them is there with other content.
    """
    keys, found = list(wanted), {}
    for start in range(0, len(keys), PAIRS):
        query = select(events.c.id, events.c.source, events.c.external_id, events.c.fingerprint).where(
            tuple_(events.c.external_id, events.c.source).in_(
                [(external_id, source) for source, external_id in keys[start : start + PAIRS]]
            )
        )
        for id_, source, external_id, fingerprint in (await transaction.execute(query)).all():
            if fingerprint != wanted[source, external_id].fingerprint:
                raise EventConflict(source, external_id)
            found[source, external_id] = id_
    return found


def row_of(event: NewEvent) -> tuple[Any, ...]:
    """What a new event's row says, but for its id and its moment, as a driver takes it.

    Raises:
        EventInvalid: A field cannot be stored.
    """
    try:
        fields = orjson.dumps(event.fields).decode()
    except TypeError as error:
        fix = "use numbers of at most 64 bits and plain Unicode text"
        raise EventInvalid(Problem("fields", f"cannot be stored: {error}", fix)) from None
    status = EventStatus.RECORDED if event.record_only else EventStatus.ACCEPTED
    return (
        event.external_id,
        event.source,
        event.type,
        event.effective_type,
        event.lane.value,
        orjson.dumps(event.selection).decode(),
        event.thread,
        fields,
        event.fingerprint,
        None if event.time is None else moment(event.time),
        status.value,
        event.record_only,
        orjson.dumps(event.warnings).decode() if event.warnings else "[]",
        None if event.channels is None else orjson.dumps(event.channels).decode(),
        None if event.roles is None else orjson.dumps(event.roles).decode(),
    )


async def add_rows(transaction: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
    """Keep the rows of new events; one of a source and external id that is there stays as it is.

    Args:
        transaction: The transaction.
        rows: Each with its id, the moment of its acceptance, and what `row_of` gave.

    Returns:
        How many were kept, if the driver tells; else a number below 0.
    """
    # In one order everywhere, so that two batches with common keys cannot wait for each other.
    ordered = sorted(rows, key=itemgetter(2, 3))
    statement = _SQLITE if transaction.dialect.name == "sqlite" else _POSTGRESQL
    return (await transaction.exec_driver_sql(statement, ordered)).rowcount if ordered else 0


def event_of(row: Any, counts: Mapping[Status, int]) -> Event:
    """An event from its row."""
    return Event(
        id=row.id,
        source=row.source,
        external_id=row.external_id,
        type=row.type,
        effective_type=row.effective_type,
        lane=Lane(row.lane),
        selection=Selection(row.selection["kind"], tuple(row.selection["values"])),
        thread=row.thread,
        fields=row.fields,
        time=row.time,
        accepted_at=row.accepted_at,
        status=EventStatus(row.status),
        reason=row.reason,
        warnings=tuple(row.warnings),
        counts=counts,
        cancelled_at=row.cancelled_at,
        channels=None if row.channels is None else tuple(row.channels),
        roles=None if row.roles is None else tuple(row.roles),
    )
