"""What an event was made into: content once per variant, one delivery per instance and address.

An expansion is stored in parts, each in a transaction of its own, whose deliveries are due as soon as it is
committed: sending begins with the first part while the others are made, nobody who wants to write waits for
long, and nothing has to be held in memory for more than a part. The last part marks the event.

Parts of several events that come together are stored together, so that ten thousand small events do not
cost as many transactions.

If the process dies in between, the event is still ``accepted``, and whoever expands it next goes through it
again: what is there stays, for nobody gets one event about one instance twice. Two at once are told apart by
``events.expansion``, a fence: the one that started first finds it changed and gives up, and what it has
stored until then counts. An event that is withdrawn in the middle gets no further part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.delivery import NewDelivery, NewVariant, OnUncertain
from dispatcher.domain.event import EventStatus
from dispatcher.domain.notice import Notice
from dispatcher.errors import NotFound
from dispatcher.ledger.engine import Database
from dispatcher.ledger.expansion_rows import Rows, clear_staged, moment, packed, rows_of, write
from dispatcher.ledger.group_commit import GroupCommit
from dispatcher.ledger.ids import new_ids
from dispatcher.ledger.notices import add_notices
from dispatcher.ledger.schema import deliveries, events

_FINISH = (
    update(events)
    .where(events.c.id == bindparam("its_id"))
    .values(expander=None, **{name: bindparam(f"its_{name}") for name in ("status", "reason", "warnings")})
)


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


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an event, ready to be written.

    Attributes:
        fence: What `events.expansion` is if the event is still ours; None before its first part.
    """

    event: str
    fence: int | None
    part: Expansion
    rows: Rows


class Expanding:
    """One go at expanding one event, part after part.

    Attributes:
        deliveries: How many there are now, of the parts that were kept.
    """

    def __init__(self, database: Database, event: str, commit: GroupCommit[Part, int | None]) -> None:
        """Nothing is done before the first part."""
        self._database = database
        self._event = event
        self._commit = commit
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
        weight = len(rows.deliveries) + len(part.notices)
        made = Part(self._event, self._fence, part, rows)
        fence = await self._commit(made, weight=weight, name=self._event)
        if fence is None:
            return False
        self._fence = fence
        self.deliveries += len(rows.deliveries)
        return True

    def _rows(self, part: Expansion) -> Rows:
        return Rows(
            part.on_uncertain.value,
            moment(self._database.now()),
            packed(part.variants),
            rows_of(part.deliveries, part.message_ids, self._ids),
        )


async def store_parts(
    transaction: AsyncConnection, parts: Sequence[Part]
) -> Sequence[int | Exception | None]:
    """Write parts of several events; for each its event's fence, or None if the event is ours no more."""
    rows = await event_rows(transaction, [one.event for one in parts])
    begun = await raise_fences(transaction, [one.event for one in parts if one.fence is None], rows)
    kept = [one for one in parts if _is_ours(one, rows.get(one.event))]
    await _write(transaction, kept, rows)
    await add_notices(transaction, [notice for one in kept for notice in one.part.notices])
    await _finish(transaction, [(rows[one.event], one.part) for one in kept if one.part.last])
    ours = {one.event for one in kept}
    return [
        (begun.get(one.event, one.fence) if one.event in ours else None)
        if one.event in rows
        else NotFound(f"There is no event {one.event!r} to expand.")
        for one in parts
    ]


async def event_rows(transaction: AsyncConnection, ids: Collection[str]) -> dict[str, Any]:
    """The events' rows, locked, by id; in one order everywhere, so that two cannot wait for each other."""
    of_event = events.c
    query = select(
        of_event.id,
        of_event.effective_type,
        of_event.lane,
        of_event.status,
        of_event.expansion,
        of_event.warnings,
        of_event.expander,
    ).where(of_event.id.in_(sorted(ids)))
    found = await transaction.execute(query.order_by(of_event.id).with_for_update())
    return {row.id: row for row in found}


def _is_ours(one: Part, row: Any) -> bool:
    return (
        row is not None
        and row.status == EventStatus.ACCEPTED
        and (one.fence is None or row.expansion == one.fence)
    )


async def raise_fences(
    transaction: AsyncConnection, ids: Collection[str], rows: Mapping[str, Any]
) -> Mapping[str, int]:
    """Have nobody store any more of what was begun of events, unless they are done with; the new fences."""
    ours = [event for event in ids if event in rows and rows[event].status == EventStatus.ACCEPTED]
    if ours:
        await clear_staged(transaction, ours)
        await mark(transaction, *ours, expansion=events.c.expansion + 1)
    return {event: rows[event].expansion + 1 for event in ours}


async def _write(transaction: AsyncConnection, parts: Sequence[Part], rows: Mapping[str, Any]) -> None:
    alone = [one for one in parts if " " in (rows[one.event].expander or "")]
    together = [one for one in parts if one not in alone]
    await write(transaction, [(rows[one.event], one.rows) for one in together])
    for one in alone:
        if await write(transaction, [(rows[one.event], one.rows)]):
            # Who began it before did not end it, but did not die of the same place either.
            await mark(transaction, one.event, expander=rows[one.event].expander.split()[-1])


async def _finish(transaction: AsyncConnection, ended: Sequence[tuple[Any, Expansion]]) -> None:
    """Mark the events of which all is stored."""
    if not ended:
        return
    ids = [row.id for row, _ in ended]
    # An earlier go may have mailed people who are not in the lists any more.
    somebody = exists(deliveries.c.event).where(deliveries.c.event == events.c.id)
    mailed = set(await transaction.scalars(select(events.c.id).where(events.c.id.in_(ids), somebody)))
    await transaction.execute(
        _FINISH,
        [
            {
                "its_id": row.id,
                "its_status": EventStatus.EXPANDED if row.id in mailed else EventStatus.RECORDED,
                "its_reason": "" if row.id in mailed else last.reason,
                # What its sender was told when it was accepted is still true.
                "its_warnings": list(dict.fromkeys((*row.warnings, *last.warnings))),
            }
            for row, last in ended
        ],
    )


async def mark(transaction: AsyncConnection, *ids: str, **values: Any) -> None:
    """Set columns of events."""
    await transaction.execute(update(events).where(events.c.id.in_(ids)).values(**values))
