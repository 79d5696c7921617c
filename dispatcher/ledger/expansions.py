"""What an event was made into: content once per variant, one delivery per instance and address.

In PostgreSQL that is one transaction. SQLite has one writer at a time, and an incident must not wait for
a hundred thousand newsletters: there a large expansion is committed in parts. Until the last part is in,
its rows are *staged*: ``queued`` without ``next_try_at``, so that no worker can claim them and no listing
shows them. The last part sets that time on all of them and marks the event, in one transaction. If the
process dies before, the event is still ``accepted``: whoever expands it next clears the staged rows and
starts again. Two at once are told apart by ``events.expansion``, a fence: the one that started first finds
it changed and gives up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.delivery import NewDelivery, NewVariant, OnUncertain, Status
from dispatcher.domain.event import EventStatus
from dispatcher.domain.notice import Notice
from dispatcher.errors import NotFound
from dispatcher.ledger.deliveries import staged
from dispatcher.ledger.engine import Database
from dispatcher.ledger.expansion_rows import Part, distinct, packed, parts, row_of
from dispatcher.ledger.ids import new_ids
from dispatcher.ledger.notices import add_notices
from dispatcher.ledger.outcomes import POISON
from dispatcher.ledger.schema import deliveries, events, variants, workers
from dispatcher.ledger.workers import ALIVE_WITHIN

_POISON = (
    f"{POISON} workers in a row went away while they expanded it; "
    "once that is mended, `dispatcher replay --event` tries again"
)


@dataclass(frozen=True, slots=True)
class Expansion:
    """An event's variants and deliveries.

    Attributes:
        message_ids: One for each delivery, in the same order.
        on_uncertain: What becomes of a delivery when nobody can know whether it arrived.
        reason: Why nobody is mailed; kept with an event without deliveries.
        warnings: What the sender of the event should know; kept with it.
        notices: What the admin centre and the application show of it.
    """

    variants: Sequence[NewVariant] = ()
    deliveries: Sequence[NewDelivery] = ()
    message_ids: Sequence[str] = ()
    on_uncertain: OnUncertain = OnUncertain.RESEND
    reason: str = ""
    warnings: Sequence[str] = ()
    notices: Sequence[Notice] = ()


class Expansions:
    """How events become deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, event: str, lease: timedelta, worker: str = "") -> bool:
        """Take an event to expand it, so that others do not do so as well.

        This saves work and no more: that nothing is stored twice is `store`'s own affair. An event that
        several workers in a row began, and that went away before they ended it, is taken for what ended
        them, and fails.

        Args:
            event: The event's id.
            lease: For how long it is ours; `extend` makes it longer.
            worker: Our id among `Workers`; without it our end would not be counted.

        Returns:
            Whether it is ours to expand: False if it is done with, or begun by another.
        """
        now = self._database.now()
        free = events.c.expanding_until.is_(None) | (events.c.expanding_until <= now)
        statement = (
            update(events)
            .where(events.c.id == event, events.c.status == EventStatus.ACCEPTED, free)
            .values(
                expanding_until=now + lease,
                expander=worker or None,
                crashes=case((_gone(now, worker), events.c.crashes + 1), else_=0),
            )
            .returning(events.c.crashes)
        )
        async with self._database.write() as transaction:
            crashes = (await transaction.execute(statement)).scalar_one_or_none()
            if crashes is not None and crashes >= POISON:
                await _take(transaction, event, None)  # clears what they left
                await _end(transaction, event, status=EventStatus.FAILED, reason=_POISON)
                return False
        return crashes is not None

    async def extend(self, event: str, lease: timedelta) -> None:
        """Keep an event that was begun for another `lease` from now."""
        async with self._database.write() as transaction:
            await _mark(transaction, event, expanding_until=self._database.now() + lease)

    async def postpone(self, event: str, reason: str, lease: timedelta | None = None) -> None:
        """Say why an event cannot be expanded for now.

        It is tried again when its lease has run out, or after another `lease` from now.
        """
        later = {} if lease is None else {"expanding_until": self._database.now() + lease}
        async with self._database.write() as transaction:
            row = await _take(transaction, event, None)
            if row is not None:
                await _end(transaction, event, reason=reason, **later)

    async def let_go(self, event: str) -> None:
        """Let whoever comes next expand the event."""
        async with self._database.write() as transaction:
            await _end(transaction, event, expanding_until=None)

    async def store(self, event: str, expansion: Expansion) -> int:
        """Keep what the event was made into, and let workers have it; once, however often it is called.

        The event becomes `EventStatus.EXPANDED`, or `EventStatus.RECORDED` without deliveries. Of two
        deliveries to one address about one instance, the first counts.

        Returns:
            How many deliveries there are now; 0 if the event was done with before, or if another call
            for it started later and took over.

        Raises:
            NotFound: There is no such event.
            ServiceUnreachable: The database cannot be had; nothing of it can be claimed.
        """
        contents = await asyncio.to_thread(packed, event, expansion.variants)
        wanted = distinct(expansion.deliveries, expansion.message_ids)
        portions = list(parts(contents, wanted))
        groups = [portions] if self._database.many_writers else [[part] for part in portions]
        due = self._database.now() if len(groups) == 1 else None
        ids = new_ids("dlv_", self._database.now(), self._database.token)
        turn: int | None = None
        for group in groups:
            async with self._database.write() as transaction:
                row = await _take(transaction, event, turn)
                if row is None:
                    return 0
                turn = row.expansion
                shared = self._shared(row, expansion, due)
                for part in group:
                    await _insert(transaction, part, shared, ids)
                if group is groups[-1]:
                    await self._finish(transaction, row, expansion)
        return len(wanted)

    async def fail(self, event: str, reason: str) -> None:
        """Say that an event cannot be expanded, and why; one that is done with stays as it is."""
        async with self._database.write() as transaction:
            row = await _take(transaction, event, None)
            if row is not None:
                await _end(transaction, event, status=EventStatus.FAILED, reason=reason)

    def _shared(self, row: Any, expansion: Expansion, due: datetime | None) -> dict[str, Any]:
        """What is the same in all rows of one part."""
        now = self._database.now()
        return {
            "event": row.id,
            "type": row.effective_type,
            "lane": row.lane,
            "on_uncertain": expansion.on_uncertain.value,
            "status": Status.QUEUED.value,
            "reason": "",
            "tries": 0,
            "fence": 0,
            "next_try_at": due,
            "uncertain": False,
            "created_at": now,
            "updated_at": now,
        }

    async def _finish(self, transaction: AsyncConnection, row: Any, expansion: Expansion) -> None:
        status = EventStatus.EXPANDED if expansion.deliveries else EventStatus.RECORDED
        release = update(deliveries).where(staged(row.id)).values(next_try_at=self._database.now())
        await transaction.execute(release)
        await add_notices(transaction, expansion.notices)
        await _end(
            transaction,
            row.id,
            status=status,
            reason="" if expansion.deliveries else expansion.reason,
            # What its sender was told when it was accepted is still true.
            warnings=list(dict.fromkeys((*row.warnings, *expansion.warnings))),
        )


async def _take(transaction: AsyncConnection, event: str, turn: int | None) -> Any:
    """The event's row, locked, if it is ours to expand; without a `turn` it becomes ours.

    Raises:
        NotFound: There is no such event.
    """
    of_event = events.c
    query = select(
        of_event.id,
        of_event.effective_type,
        of_event.lane,
        of_event.status,
        of_event.expansion,
        of_event.warnings,
    ).where(of_event.id == event)
    row = (await transaction.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise NotFound(f"There is no event {event!r} to expand.")
    if row.status != EventStatus.ACCEPTED or (turn is not None and row.expansion != turn):
        return None
    if turn is None:
        await transaction.execute(delete(deliveries).where(staged(event)))
        await transaction.execute(delete(variants).where(variants.c.event == event))
        await _mark(transaction, event, expansion=row.expansion + 1)
        row = (await transaction.execute(query)).one()
    return row


async def _insert(
    transaction: AsyncConnection, part: Part, shared: dict[str, Any], ids: Iterator[str]
) -> None:
    contents, people = part
    if contents:
        await transaction.execute(insert(variants), contents)
    if people:
        keys = await _keys(transaction, shared["event"])
        rows = [row_of(delivery, shared, next(ids), message_id, keys) for delivery, message_id in people]
        # RETURNING is asked for because SQLAlchemy then sends many rows in one statement; without it,
        # PostgreSQL's driver takes twice as long.
        await transaction.execute(insert(deliveries).returning(deliveries.c.id), rows)


def _gone(now: datetime, worker: str) -> ColumnElement[bool]:
    """Whether it was begun, and not ended, by a worker that is not there any more."""
    alive = exists().where(workers.c.id == events.c.expander, workers.c.seen_at >= now - ALIVE_WITHIN)
    return events.c.expander.is_not(None) & (events.c.expander != worker) & ~alive


async def _end(transaction: AsyncConnection, event: str, **values: Any) -> None:
    await _mark(transaction, event, expander=None, **values)


async def _mark(transaction: AsyncConnection, event: str, **values: Any) -> None:
    await transaction.execute(update(events).where(events.c.id == event).values(**values))


async def _keys(transaction: AsyncConnection, event: str) -> dict[str, int]:
    """The ids of the event's variants, by their keys."""
    query = select(variants.c.key, variants.c.id).where(variants.c.event == event)
    return {key: id_ for key, id_ in (await transaction.execute(query)).all()}  # noqa: C416 - rows
