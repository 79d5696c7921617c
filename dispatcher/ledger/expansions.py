"""Whose turn it is to expand an event: taken with a lease, let go of, put off, given up."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from datetime import timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.event import EventStatus
from dispatcher.errors import NotFound
from dispatcher.ledger.engine import Database
from dispatcher.ledger.expanding import (
    Expanding,
    Expansion,
    Part,
    event_rows,
    mark,
    raise_fences,
    store_parts,
)
from dispatcher.ledger.group_commit import GroupCommit
from dispatcher.ledger.outcomes import POISON
from dispatcher.ledger.schema import events

_POISON = (
    f"{POISON} workers in a row went away while they expanded it; "
    "once that is mended, `dispatcher replay --event` tries again"
)
#: So many of those who began an event are remembered; the last may have gone without being missed yet.
_REMEMBERED = 2 * POISON


class Expansions:
    """How events become deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commit: GroupCommit[Part, int | None] = GroupCommit(database, store_parts)

    async def begin(self, event: str, lease: timedelta, worker: str = "", gone: Collection[str] = ()) -> bool:
        """Take one event to expand it; see `begin_all`."""
        return bool(await self.begin_all([event], lease, worker, gone))

    async def begin_all(
        self, wanted: Collection[str], lease: timedelta, worker: str = "", gone: Collection[str] = ()
    ) -> AbstractSet[str]:
        """Take events to expand them, so that others do not do so as well.

        This saves work and no more: that nothing is stored twice is `Expanding.store`'s own affair. An event
        that several workers in a row began, and that went away before they stored anything new of it, is
        taken for what ended them, and fails. One that is slow, or stopped, is not counted.

        Args:
            wanted: The events' ids.
            lease: For how long they are ours; `extend` makes it longer for one.
            worker: Our id among `Workers`; without it our end would not be counted.
            gone: The workers that are known to have gone away.

        Returns:
            Those that are ours to expand; not what is done with, or begun by another.
        """
        now = self._database.now()
        free = events.c.expanding_until.is_(None) | (events.c.expanding_until <= now)
        query = (
            select(events.c.id, events.c.expander)
            .where(events.c.id.in_(sorted(wanted)), events.c.status == EventStatus.ACCEPTED, free)
            .order_by(events.c.id)
        )
        async with self._database.write() as transaction:
            rows = (await transaction.execute(query.with_for_update())).all()
            ours: dict[tuple[str | None, int], list[str]] = {}
            for row in rows:
                begun = _others(row.expander, worker)
                crashes = len(list(takewhile(set(gone).__contains__, reversed(begun))))
                if crashes >= POISON:
                    await _taken(transaction, row.id)
                    await _end(transaction, row.id, status=EventStatus.FAILED, reason=_POISON)
                else:
                    expander = " ".join([*begun, worker]).strip() or None
                    ours.setdefault((expander, crashes), []).append(row.id)
            for (expander, crashes), ids in ours.items():
                until = now + lease
                await mark(transaction, *ids, expanding_until=until, expander=expander, crashes=crashes)
        return {id_ for ids in ours.values() for id_ in ids}

    async def extend(self, event: str, lease: timedelta) -> None:
        """Keep an event that was begun for another `lease` from now."""
        async with self._database.write() as transaction:
            await mark(transaction, event, expanding_until=self._database.now() + lease)

    async def postpone(self, event: str, reason: str, lease: timedelta | None = None) -> None:
        """Say why an event cannot be expanded for now; nobody stores any more of what was begun of it.

        It is tried again when its lease has run out, or after another `lease` from now.
        """
        later = {} if lease is None else {"expanding_until": self._database.now() + lease}
        async with self._database.write() as transaction:
            if await _taken(transaction, event):
                await _end(transaction, event, reason=reason, **later)

    async def let_go(self, event: str) -> None:
        """Let whoever comes next expand the event."""
        async with self._database.write() as transaction:
            await _end(transaction, event, expanding_until=None)

    def expanding(self, event: str) -> Expanding:
        """A go at expanding an event; it begins with the first part that is stored."""
        return Expanding(self._database, event, self._commit)

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
            if await _taken(transaction, event):
                await _end(transaction, event, status=EventStatus.FAILED, reason=reason)


async def _taken(transaction: AsyncConnection, event: str) -> bool:
    """Whether an event is not done with; nobody stores any more of what was begun of it.

    Raises:
        NotFound: There is no such event.
    """
    rows = await event_rows(transaction, [event])
    if not rows:
        raise NotFound(f"There is no event {event!r} to expand.")
    return bool(await raise_fences(transaction, [event], rows))


def _others(expander: str | None, worker: str) -> list[str]:
    """The last who began it and did not end it, oldest first, since we did so: we outlived it."""
    names = (expander or "").split()
    while worker in names:
        del names[: names.index(worker) + 1]
    return names[-_REMEMBERED:]


async def _end(transaction: AsyncConnection, event: str, **values: Any) -> None:
    await mark(transaction, event, expander=None, **values)
