"""Notices: what the admin centre and the application show, by instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.notice import Notice
from dispatcher.ledger.columns import storable
from dispatcher.ledger.engine import Database, upsert
from dispatcher.ledger.plan_tables import notices
from dispatcher.ledger.schema import events


@dataclass(frozen=True, slots=True)
class Shown:
    """A notice as the ledger holds it.

    Attributes:
        number: Rises from notice to notice; what a page of a listing goes on from.
        fields: What its event says, plain JSON values by field.
        cancelled_at: When its event was withdrawn, or None.
    """

    number: int
    notice: Notice
    fields: dict[str, Any]
    cancelled_at: datetime | None


class Notices:
    """The notices in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, instance: str, *, limit: int, before: int | None = None) -> Sequence[Shown]:
        """The newest `limit` notices of an instance, newest first.

        Args:
            instance: Its id.
            limit: How many at most.
            before: Only those with a lower number.
        """
        query = (
            select(notices, events.c.fields, events.c.cancelled_at)
            .join(events, events.c.id == notices.c.event)
            .where(notices.c.instance == storable(instance))
            .order_by(notices.c.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(notices.c.id < before)
        async with self._database.read() as connection:
            return [_shown(row) for row in await connection.execute(query)]

    async def instances_in(self, subject: str) -> frozenset[str]:
        """The instances that there is a notice of, of that subject."""
        query = select(notices.c.instance).where(notices.c.subject == storable(subject)).distinct()
        async with self._database.read() as connection:
            return frozenset((await connection.execute(query)).scalars())


async def add_notices(transaction: AsyncConnection, new: Sequence[Notice]) -> None:
    """Keep notices, within a transaction; of one event and instance, the first counts."""
    if new:
        statement = upsert(transaction, notices).on_conflict_do_nothing(index_elements=["event", "instance"])
        await transaction.execute(statement, [_row(notice) for notice in new])


def _row(notice: Notice) -> dict[str, Any]:
    return {
        "event": notice.event,
        "instance": notice.instance,
        "type": notice.type,
        "subject": None if notice.subject is None else storable(notice.subject),
        "admin_centre": notice.admin_centre,
        "in_product": notice.in_product,
        "ends_alerts": notice.ends_alerts,
        "facts": dict(notice.facts),
        "shown_at": notice.shown_at,
        "until": notice.until,
    }


def _shown(row: Any) -> Shown:
    notice = Notice(
        event=row.event,
        instance=row.instance,
        type=row.type,
        subject=row.subject,
        admin_centre=row.admin_centre,
        in_product=row.in_product,
        ends_alerts=row.ends_alerts,
        shown_at=row.shown_at,
        until=row.until,
        facts=row.facts,
    )
    return Shown(row.id, notice, row.fields, row.cancelled_at)
