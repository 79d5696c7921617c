"""What an event was made into: content once per variant, one delivery per instance and address.

An expansion is stored in parts, each in a transaction of its own, whose deliveries are due as soon as it is
committed: sending begins with the first part while the others are made, nobody who wants to write waits for
long, and nothing has to be held in memory for more than a part. The last part marks the event.

If the process dies in between, the event is still ``accepted``, and whoever expands it next goes through it
again: what is there stays, for nobody gets one event about one instance twice. Two at once are told apart by
``events.expansion``, a fence: the one that started first finds it changed and gives up, and what it has
stored until then counts. An event that is withdrawn in the middle gets no further part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.delivery import NewDelivery, NewVariant, OnUncertain
from dispatcher.domain.event import EventStatus
from dispatcher.domain.notice import Notice
from dispatcher.errors import NotFound
from dispatcher.ledger.engine import Database
from dispatcher.ledger.expansion_rows import Rows, clear_staged, moment, packed, rows_of, write
from dispatcher.ledger.ids import new_ids
from dispatcher.ledger.notices import add_notices
from dispatcher.ledger.outcomes import POISON
from dispatcher.ledger.schema import deliveries, events

_POISON = (
    f"{POISON} workers in a row went away while they expanded it; "
    "once that is mended, `dispatcher replay --event` tries again"
)
#: So many of those who began an event are remembered; the last may have gone without being missed yet.
_REMEMBERED = 2 * POISON


@dataclass(frozen=True, slots=True)
class Expansion:
    """A part of what an event is made into, or all of it.

    Attributes:
        variants: What deliveries of this part and of later ones name; one that is there stays as it is.
        message_ids: One for each delivery, in the same order.
        on_uncertain: What becomes of a delivery when nobody can know whether it arrived.
        reason: Why nobody is mailed; kept with an event without deliveries.
        warnings: What the sender of the event should know; kept with it.
        notices: What the admin centre and the application show of it.
        last: Whether this is all there is to come; `reason` and `warnings` count in the last part alone.
    """

    variants: Sequence[NewVariant] = ()
    deliveries: Sequence[NewDelivery] = ()
    message_ids: Sequence[str] = ()
    on_uncertain: OnUncertain = OnUncertain.RESEND
    reason: str = ""
    warnings: Sequence[str] = ()
    notices: Sequence[Notice] = ()
    last: bool = True


class Expanding:
    """One go at expanding one event, part after part.

    Attributes:
        deliveries: How many there are now, of the parts that were kept.
    """

    def __init__(self, database: Database, event: str) -> None:
        """Nothing is done before the first part."""
        self._database = database
        self._event = event
        self._fence: int | None = None
        self._ids: Iterator[str] = new_ids("dlv_", database.now(), database.token)
        self.deliveries = 0

    async def store(self, part: Expansion) -> bool:
        """Keep a part, and let workers have it; what an earlier go has kept stays as it is.

        With the last part the event becomes `EventStatus.EXPANDED`, or `EventStatus.RECORDED` without
        deliveries. Of two deliveries to one address about one instance, the first counts.

        Returns:
            False if nothing was kept: the event was done with before, or another go began later.

        Raises:
            NotFound: There is no such event.
            ServiceUnreachable: The database cannot be had; nothing of the part was kept.
        """
        rows = await asyncio.to_thread(self._rows, part)
        async with self._database.write() as transaction:
            row = await _take(transaction, self._event, self._fence)
            if row is None:
                return False
            new = await write(transaction, row, rows)
            if new and row.expander and " " in row.expander:
                # Who began it before did not end it, but did not die of the same place either.
                await _mark(transaction, self._event, expander=row.expander.split()[-1])
            await add_notices(transaction, part.notices)
            if part.last:
                await _finish(transaction, row, part)
        self._fence = row.expansion
        self.deliveries += len(rows.deliveries)
        return True

    def _rows(self, part: Expansion) -> Rows:
        return Rows(
            part.on_uncertain.value,
            moment(self._database.now()),
            packed(part.variants),
            rows_of(part.deliveries, part.message_ids, self._ids),
        )


class Expansions:
    """How events become deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, event: str, lease: timedelta, worker: str = "", gone: Collection[str] = ()) -> bool:
        """Take an event to expand it, so that others do not do so as well.

        This saves work and no more: that nothing is stored twice is `Expanding.store`'s own affair. An event
        that several workers in a row began, and that went away before they stored anything new of it, is
        taken for what ended them, and fails. One that is slow, or stopped, is not counted.

        Args:
            event: The event's id.
            lease: For how long it is ours; `extend` makes it longer.
            worker: Our id among `Workers`; without it our end would not be counted.
            gone: The workers that are known to have gone away.

        Returns:
            Whether it is ours to expand: False if it is done with, or begun by another.
        """
        now = self._database.now()
        free = events.c.expanding_until.is_(None) | (events.c.expanding_until <= now)
        query = select(events.c.expander).where(
            events.c.id == event, events.c.status == EventStatus.ACCEPTED, free
        )
        async with self._database.write() as transaction:
            row = (await transaction.execute(query.with_for_update())).one_or_none()
            if row is None:
                return False
            begun = _others(row.expander, worker)
            crashes = len(list(takewhile(set(gone).__contains__, reversed(begun))))
            if crashes >= POISON:
                await _take(transaction, event, None)
                await _end(transaction, event, status=EventStatus.FAILED, reason=_POISON)
                return False
            expander = " ".join([*begun, worker]).strip() or None
            until = now + lease
            await _mark(transaction, event, expanding_until=until, expander=expander, crashes=crashes)
        return True

    async def extend(self, event: str, lease: timedelta) -> None:
        """Keep an event that was begun for another `lease` from now."""
        async with self._database.write() as transaction:
            await _mark(transaction, event, expanding_until=self._database.now() + lease)

    async def postpone(self, event: str, reason: str, lease: timedelta | None = None) -> None:
        """Say why an event cannot be expanded for now; nobody stores any more of what was begun of it.

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

    def expanding(self, event: str) -> Expanding:
        """A go at expanding an event; it begins with the first part that is stored."""
        return Expanding(self._database, event)

    async def store(self, event: str, expansion: Expansion) -> int:
        """Keep all that an event was made into at once; see `Expanding.store`.

        Returns:
            How many deliveries there are now; 0 if the event was done with before.
        """
        whole = self.expanding(event)
        await whole.store(expansion)
        return whole.deliveries

    async def fail(self, event: str, reason: str) -> None:
        """Say that an event cannot be expanded, and why; one that is done with stays as it is."""
        async with self._database.write() as transaction:
            row = await _take(transaction, event, None)
            if row is not None:
                await _end(transaction, event, status=EventStatus.FAILED, reason=reason)


async def _finish(transaction: AsyncConnection, row: Any, last: Expansion) -> None:
    # An earlier go may have mailed people who are not in the lists any more.
    somebody = select(exists().where(deliveries.c.event == row.id))
    mailed = bool(await transaction.scalar(somebody))
    await _end(
        transaction,
        row.id,
        status=EventStatus.EXPANDED if mailed else EventStatus.RECORDED,
        reason="" if mailed else last.reason,
        # What its sender was told when it was accepted is still true.
        warnings=list(dict.fromkeys((*row.warnings, *last.warnings))),
    )


async def _take(transaction: AsyncConnection, event: str, fence: int | None) -> Any:
    """The event's row, locked, if it is ours to expand; without a `fence` it becomes ours.

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
        of_event.expander,
    ).where(of_event.id == event)
    row = (await transaction.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise NotFound(f"There is no event {event!r} to expand.")
    if row.status != EventStatus.ACCEPTED or (fence is not None and row.expansion != fence):
        return None
    if fence is None:
        await clear_staged(transaction, event)
        await _mark(transaction, event, expansion=row.expansion + 1)
        row = (await transaction.execute(query)).one()
    return row


def _others(expander: str | None, worker: str) -> list[str]:
    """The last who began it and did not end it, oldest first, since we did so: we outlived it."""
    names = (expander or "").split()
    while worker in names:
        del names[: names.index(worker) + 1]
    return names[-_REMEMBERED:]


async def _end(transaction: AsyncConnection, event: str, **values: Any) -> None:
    await _mark(transaction, event, expander=None, **values)


async def _mark(transaction: AsyncConnection, event: str, **values: Any) -> None:
    await transaction.execute(update(events).where(events.c.id == event).values(**values))
