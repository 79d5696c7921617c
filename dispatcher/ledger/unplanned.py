"""Turns of plans that there were not: kept, and found again when a plan begins."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.event import Heard, Selection
from dispatcher.domain.plan import PlanKey
from dispatcher.ledger.columns import storable
from dispatcher.ledger.plan_rows import portions
from dispatcher.ledger.plan_tables import unplanned
from dispatcher.ledger.schema import events

_OF_KEY = tuple_(unplanned.c.subject, unplanned.c.instance, unplanned.c.cadence)


async def add_unplanned(transaction: AsyncConnection, heard: Iterable[tuple[PlanKey, str]]) -> None:
    """Keep which event was a turn of which plan that there was not."""
    rows = [
        {
            "subject": storable(key.subject),
            "instance": storable(key.instance),
            "cadence": storable(key.cadence),
            "event": event,
        }
        for key, event in dict.fromkeys(heard)
    ]
    if rows:
        await transaction.execute(insert(unplanned).returning(unplanned.c.event), rows)


async def heard_of(connection: AsyncConnection, keys: Collection[PlanKey]) -> dict[PlanKey, list[Heard]]:
    """What was heard of each of these plans while there was none; not what was withdrawn since."""
    found: dict[PlanKey, list[Heard]] = {}
    wanted = [
        (storable(key.subject), storable(key.instance), storable(key.cadence)) for key in dict.fromkeys(keys)
    ]
    said = (events.c.id, events.c.effective_type, events.c.selection, events.c.fields)
    for some in portions(wanted):
        query = (
            select(unplanned, *said, events.c.time, events.c.accepted_at)
            .join(events, events.c.id == unplanned.c.event)
            .where(_OF_KEY.in_(some), events.c.cancelled_at.is_(None))
            .order_by(unplanned.c.event)
        )
        for row in await connection.execute(query):
            selection = Selection(row.selection["kind"], tuple(row.selection["values"]))
            one = Heard(row.id, row.effective_type, selection, row.fields, row.time, row.accepted_at)
            found.setdefault(PlanKey(row.cadence, row.subject, row.instance), []).append(one)
    return found
