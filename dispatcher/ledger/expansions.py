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
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.address import folded
from dispatcher.domain.delivery import NewDelivery, NewVariant, OnUncertain, Status
from dispatcher.domain.event import EventStatus
from dispatcher.errors import NotFound
from dispatcher.ledger.deliveries import staged
from dispatcher.ledger.engine import Database
from dispatcher.ledger.ids import new_ids
from dispatcher.ledger.outcomes import POISON
from dispatcher.ledger.schema import deliveries, events, variants

DELIVERIES = 5000  # rows in one transaction: about a tenth of a second
VARIANTS = 500  # the same, with content of 15 kB each
_POISON = (
    f"{POISON} workers in a row went away while they expanded it; "
    "once that is mended, `dispatcher replay --event` tries again"
)
_LEVEL = 1  # zlib: a third of the time of the default for a tenth more bytes

#: What goes into the database together: rows of variants, and deliveries with their Message-IDs.
_Part = tuple[Sequence[dict[str, Any]], Sequence[tuple[NewDelivery, str]]]


@dataclass(frozen=True, slots=True)
class Expansion:
    """An event's variants and deliveries.

    Attributes:
        message_ids: One for each delivery, in the same order.
        on_uncertain: What becomes of a delivery when nobody can know whether it arrived.
        reason: Why nobody is mailed; kept with an event without deliveries.
        warnings: What the sender of the event should know; kept with it.
    """

    variants: Sequence[NewVariant] = ()
    deliveries: Sequence[NewDelivery] = ()
    message_ids: Sequence[str] = ()
    on_uncertain: OnUncertain = OnUncertain.RESEND
    reason: str = ""
    warnings: Sequence[str] = ()


class Expansions:
    """How events become deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, event: str, lease: timedelta) -> bool:
        """Take an event to expand it, so that others do not do so as well.

        This saves work and no more: that nothing is stored twice is `store`'s own affair. Each beginning
        is counted until `store`, `postpone`, `let_go` or `fail` ends it; an event that several workers
        began and none ended is taken for what ended them, and fails.

        Args:
            event: The event's id.
            lease: For how long it is ours; `extend` makes it longer.

        Returns:
            Whether it is ours to expand: False if it is done with, or begun by another.
        """
        now = self._database.now()
        free = events.c.expanding_until.is_(None) | (events.c.expanding_until <= now)
        statement = (
            update(events)
            .where(events.c.id == event, events.c.status == EventStatus.ACCEPTED, free)
            .values(expanding_until=now + lease, begun=events.c.begun + 1)
            .returning(events.c.begun)
        )
        async with self._database.write() as transaction:
            begun = (await transaction.execute(statement)).scalar_one_or_none()
            if begun is not None and begun > POISON:
                await _take(transaction, event, None)  # clears what they left
                await _mark(transaction, event, status=EventStatus.FAILED, reason=_POISON, begun=0)
                return False
        return begun is not None

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
                await _mark(transaction, event, reason=reason, begun=0, **later)

    async def let_go(self, event: str) -> None:
        """Let whoever comes next expand the event."""
        async with self._database.write() as transaction:
            await _mark(transaction, event, expanding_until=None, begun=0)

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
        packed = await asyncio.to_thread(_packed, event, expansion.variants)
        wanted = _distinct(expansion)
        parts = list(_parts(packed, wanted))
        groups = [parts] if self._database.many_writers else [[part] for part in parts]
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
                    await self._finish(transaction, event, expansion)
        return len(wanted)

    async def fail(self, event: str, reason: str) -> None:
        """Say that an event cannot be expanded, and why; one that is done with stays as it is."""
        async with self._database.write() as transaction:
            row = await _take(transaction, event, None)
            if row is not None:
                await _mark(transaction, event, status=EventStatus.FAILED, reason=reason, begun=0)

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

    async def _finish(self, transaction: AsyncConnection, event: str, expansion: Expansion) -> None:
        status = EventStatus.EXPANDED if expansion.deliveries else EventStatus.RECORDED
        release = update(deliveries).where(staged(event)).values(next_try_at=self._database.now())
        await transaction.execute(release)
        await _mark(
            transaction,
            event,
            status=status,
            reason="" if expansion.deliveries else expansion.reason,
            warnings=list(expansion.warnings),
            begun=0,
        )


async def _take(transaction: AsyncConnection, event: str, turn: int | None) -> Any:
    """The event's row, locked, if it is ours to expand; without a `turn` it becomes ours.

    Raises:
        NotFound: There is no such event.
    """
    query = select(events.c.id, events.c.effective_type, events.c.lane, events.c.status, events.c.expansion)
    query = query.where(events.c.id == event)
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
    transaction: AsyncConnection, part: _Part, shared: dict[str, Any], ids: Iterator[str]
) -> None:
    contents, people = part
    if contents:
        await transaction.execute(insert(variants), contents)
    if people:
        keys = await _keys(transaction, shared["event"])
        rows = [_row(delivery, shared, next(ids), message_id, keys) for delivery, message_id in people]
        # RETURNING is asked for because SQLAlchemy then sends many rows in one statement; without it,
        # PostgreSQL's driver takes twice as long.
        await transaction.execute(insert(deliveries).returning(deliveries.c.id), rows)


async def _mark(transaction: AsyncConnection, event: str, **values: Any) -> None:
    await transaction.execute(update(events).where(events.c.id == event).values(**values))


async def _keys(transaction: AsyncConnection, event: str) -> dict[str, int]:
    """The ids of the event's variants, by their keys."""
    query = select(variants.c.key, variants.c.id).where(variants.c.event == event)
    return {key: id_ for key, id_ in (await transaction.execute(query)).all()}  # noqa: C416 - rows


def _packed(event: str, contents: Sequence[NewVariant]) -> list[dict[str, Any]]:
    return [
        {
            "event": event,
            "key": variant.key,
            "subject": variant.subject,
            "template": variant.template,
            "content": zlib.compress(variant.content, _LEVEL),
        }
        for variant in contents
    ]


def _distinct(expansion: Expansion) -> list[tuple[NewDelivery, str]]:
    """Each delivery with its Message-ID, the first of those to one address about one instance."""
    wanted: dict[tuple[str, str], tuple[NewDelivery, str]] = {}
    for delivery, message_id in zip(expansion.deliveries, expansion.message_ids, strict=True):
        wanted.setdefault((delivery.instance, folded(delivery.address)), (delivery, message_id))
    return list(wanted.values())


def _parts(contents: Sequence[dict[str, Any]], people: Sequence[tuple[NewDelivery, str]]) -> Iterator[_Part]:
    """What goes into each transaction: all content comes before, or with, the first deliveries."""
    rest = iter(contents)
    part = list(islice(rest, VARIANTS))
    while following := list(islice(rest, VARIANTS)):
        yield part, ()
        part = following
    yield part, people[:DELIVERIES]
    for start in range(DELIVERIES, len(people), DELIVERIES):
        yield (), people[start : start + DELIVERIES]


def _row(
    delivery: NewDelivery, shared: dict[str, Any], id_: str, message_id: str, keys: dict[str, int]
) -> dict[str, Any]:
    return shared | {
        "id": id_,
        "instance": delivery.instance,
        "instances": delivery.instances,
        "address": delivery.address,
        "folded": folded(delivery.address),
        "name": delivery.name,
        "language": delivery.language,
        "time_zone": delivery.time_zone,
        "reasons": delivery.reasons,
        "sender": delivery.sender,
        "variant": keys[delivery.variant],
        "message_id": message_id,
        "expires_at": delivery.expires_at,
    }
