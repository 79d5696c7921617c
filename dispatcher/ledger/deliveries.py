"""Deliveries: who is to get what, and how far that is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.address import folded
from dispatcher.domain.delivery import Attempt, Delivery, Lane, Reason, Status
from dispatcher.ledger.columns import storable
from dispatcher.ledger.engine import Database
from dispatcher.ledger.holds import waits
from dispatcher.ledger.schema import IN_TROUBLE, TROUBLE, attempts, deliveries, events, variants

_PAGE = 1000  # rows held at a time when many are listed
_IDS = 5000  # ids in one IN list
#: What somebody was told, or is about to be told.
_TOLD = (Status.SENT, Status.QUEUED, Status.SENDING, Status.DEFERRED, Status.UNCERTAIN)
#: Nothing is tried again unless a person says so.
_SET_ASIDE = (Status.HELD, Status.FAILED)
_SELECT = select(deliveries, variants.c.subject, variants.c.template).join(
    variants, variants.c.id == deliveries.c.variant
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which deliveries are wanted; None stands for any.

    Attributes:
        event: The event's id in the ledger.
        address: Compared without regard to case.
        message_id: As it stands in the message, with its angle brackets if it was stored so.
        after: The id of a delivery; those that a list, newest first, has after it.
        id: The id of a delivery.
        since: Those that changed at that moment or later.
        free: Not those that are held until an incident is over.
    """

    event: str | None = None
    address: str | None = None
    status: Status | None = None
    message_id: str | None = None
    after: str | None = None
    id: str | None = None
    since: datetime | None = None
    free: bool = False

    def apply(self, query: Select[Any]) -> Select[Any]:
        """`query`, narrowed to them."""
        if self.event is not None:
            query = query.where(deliveries.c.event == storable(self.event))
        if self.address is not None:
            query = query.where(deliveries.c.folded == folded(storable(self.address)))
        if self.message_id is not None:
            query = query.where(deliveries.c.message_id == storable(self.message_id))
        if self.after is not None:
            query = query.where(deliveries.c.id < storable(self.after))
        if self.id is not None:
            query = query.where(deliveries.c.id == storable(self.id))
        if self.since is not None:
            query = query.where(deliveries.c.updated_at >= self.since)
        if self.free:
            query = query.where(~waits())
        if self.status is not None:
            query = query.where(deliveries.c.status == self.status)
            if self.status in TROUBLE and self.event is None:
                # Says nothing new, but word for word what the partial index was made for.
                query = query.where(text(f"deliveries.{IN_TROUBLE}"))
        return query


class Deliveries:
    """The deliveries in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self,
        wanted: Filter = Filter(),
        *,
        limit: int | None = None,
        with_attempts: bool = False,
    ) -> Sequence[Delivery]:
        """The deliveries that `wanted` names, newest first, at most `limit` of them."""
        page = wanted.apply(_SELECT).order_by(deliveries.c.id.desc()).limit(limit)
        async with self._database.read() as connection:
            return await _load(connection, page, with_attempts=with_attempts)

    async def stream(
        self,
        wanted: Filter = Filter(),
        *,
        with_attempts: bool = False,
    ) -> AsyncIterator[Delivery]:
        """The same one by one, without ever holding more than a page of them.

        No transaction stays open meanwhile, so that a slow reader holds nobody up; a delivery that is
        made while it reads is not among them.
        """
        query = wanted.apply(_SELECT).order_by(deliveries.c.id.desc()).limit(_PAGE)
        page: Sequence[Delivery] = ()
        while True:
            rest = query.where(deliveries.c.id < page[-1].id) if page else query
            async with self._database.read() as connection:
                page = await _load(connection, rest, with_attempts=with_attempts)
            for delivery in page:
                yield delivery
            if len(page) < _PAGE:
                return

    async def counts(self, event: str) -> Mapping[Status, int]:
        """How many of the event's deliveries stand where, as far as it is expanded."""
        async with self._database.read() as connection:
            return (await count(connection, [storable(event)])).get(event, {})

    async def told(self, thread: str, types: Sequence[str]) -> Sequence[Delivery]:
        """Whom the thread's events of those effective types reached or will reach.

        One per instance and address, the newest; ordered by instance and address.
        """
        newest = func.row_number().over(
            partition_by=(deliveries.c.instance, deliveries.c.folded),
            order_by=deliveries.c.id.desc(),
        )
        ranked = (
            select(deliveries.c.id, newest.label("place"))
            .join(events, events.c.id == deliveries.c.event)
            .where(
                events.c.thread == storable(thread),
                events.c.effective_type.in_(types),
                deliveries.c.status.in_(_TOLD),
            )
            .subquery()
        )
        query = (
            _SELECT.join(ranked, ranked.c.id == deliveries.c.id)
            .where(ranked.c.place == 1)
            .order_by(deliveries.c.instance, deliveries.c.folded)
        )
        async with self._database.read() as connection:
            return await _load(connection, query, with_attempts=False)

    async def cancel(self, event: str) -> int:
        """Take an event's deliveries that wait out of the queue; how many there were.

        Those being sent stay as they are; `Claims.claim` hands none of them out again once the event is
        cancelled.
        """
        waiting = (deliveries.c.event == event) & deliveries.c.next_try_at.is_not(None)
        cancelled = {"status": Status.CANCELLED, "reason": "cancelled", "next_try_at": None}
        return await self._move(select(deliveries.c.id).where(waiting), cancelled)

    async def requeue(self, wanted: Filter, reason: Literal["released", "replayed"]) -> int:
        """Put deliveries back into the queue, due now, with all their tries before them; how many.

        Args:
            wanted: Which; its status says from where, `Status.HELD` or `FAILED`.
            reason: Why.
        """
        if wanted.status not in _SET_ASIDE:
            raise ValueError("only held and failed deliveries go back into the queue")
        now = self._database.now()
        fresh = {"status": Status.QUEUED, "reason": reason, "next_try_at": now, "retry_from": now}
        return await self._move(wanted.apply(select(deliveries.c.id)), fresh | {"tries": 0, "crashes": 0})

    async def _move(self, wanted: Select[Any], values: Mapping[str, Any]) -> int:
        """Change all that are `wanted`, in parts; each part is wanted no more once it is changed."""
        moved = 0
        chosen = wanted.order_by(deliveries.c.id).limit(_IDS).with_for_update().cte("chosen")
        statement = (
            update(deliveries)
            .where(deliveries.c.id.in_(select(chosen.c.id)))
            .values(updated_at=self._database.now(), **values)
            .returning(deliveries.c.id)  # sqlite3 counts no rows of a statement that begins with WITH
        )
        while True:
            async with self._database.write() as transaction:
                part = len((await transaction.execute(statement)).all())
            moved += part
            if part < _IDS:
                return moved


async def count(connection: AsyncConnection, ids: Sequence[str]) -> Mapping[str, Mapping[Status, int]]:
    """For each of those events that has deliveries yet, how many of them stand where."""
    found: dict[str, dict[Status, int]] = {}
    if ids:
        query = (
            select(deliveries.c.event, deliveries.c.status, func.count())
            .where(deliveries.c.event.in_(ids))
            .group_by(deliveries.c.event, deliveries.c.status)
        )
        for event, status, number in (await connection.execute(query)).all():
            found.setdefault(event, {})[Status(status)] = number
    return found


async def _load(
    connection: AsyncConnection, query: Select[Any], *, with_attempts: bool
) -> Sequence[Delivery]:
    found = [_delivery(row) for row in (await connection.execute(query)).all()]
    if not with_attempts:
        return found
    tried: dict[str, list[Attempt]] = {}
    for start in range(0, len(found), _IDS):
        ids = [delivery.id for delivery in found[start : start + _IDS]]
        rows = await connection.execute(
            select(attempts).where(attempts.c.delivery.in_(ids)).order_by(attempts.c.id)
        )
        for row in rows:
            tried.setdefault(row.delivery, []).append(_attempt(row))
    return [replace(delivery, attempts=tuple(tried.get(delivery.id, ()))) for delivery in found]


def _attempt(row: Any) -> Attempt:
    return Attempt(
        at=row.at,
        status=Status(row.status),
        reason=row.reason,
        code=row.code,
        enhanced_code=row.enhanced_code,
        reply=row.reply,
    )


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row.id,
        event=row.event,
        type=row.type,
        instance=row.instance,
        instances=tuple(row.instances),
        address=row.address,
        name=row.name,
        language=row.language,
        time_zone=row.time_zone,
        reasons=tuple(Reason(**reason) for reason in row.reasons),
        sender=row.sender,
        lane=Lane(row.lane),
        status=Status(row.status),
        reason=row.reason,
        message_id=row.message_id,
        subject=row.subject,
        template=row.template,
        tries=row.tries,
        next_try_at=row.next_try_at,
        uncertain=row.uncertain,
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_at=row.expires_at,
    )
