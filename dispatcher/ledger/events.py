"""Events: accepted once, found again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, literal_column, select, update

from dispatcher.domain.delivery import Lane
from dispatcher.domain.event import Event, EventStatus, NewEvent
from dispatcher.errors import NotFound
from dispatcher.ledger.columns import storable
from dispatcher.ledger.deliveries import count
from dispatcher.ledger.engine import Database
from dispatcher.ledger.event_rows import Name, event_of, name_of, withdrawal
from dispatcher.ledger.expansion_rows import clear_staged
from dispatcher.ledger.intake import Advancer, Observer, take_in
from dispatcher.ledger.schema import events

CANCELLED_EARLY = "it was cancelled before anybody was mailed"
# Not a parameter: only then does SQLite see that the partial index will do.
_IS_ACCEPTED = events.c.status == literal_column(f"'{EventStatus.ACCEPTED}'")
_ACCEPTED = select(events).where(_IS_ACCEPTED)
_FAILED = events.c.status == literal_column(f"'{EventStatus.FAILED}'")
_URGENCY = case({lane.value: rank for rank, lane in enumerate(Lane)}, value=events.c.lane)


@dataclass(frozen=True, slots=True)
class Added:
    """What became of an event that was handed in.

    Attributes:
        id: The event's id in the ledger; empty if it was to tell a step that is not due any more.
        duplicate: True if nothing new was made of it: the very same event was there before.
    """

    id: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that nobody expands."""

    id: str
    lane: Lane
    accepted_at: datetime


class Events:
    """The events in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        new: Sequence[NewEvent],
        *,
        advancer: Advancer | None = None,
        observers: Sequence[Observer] = (),
    ) -> Sequence[Added]:
        """Commit events, all or none; one that is known already is not added again.

        An event with `NewEvent.record_only` is `EventStatus.RECORDED` at once, with that as its reason. What
        events bring about is committed with them: turns of the plans that they are about, in the order of
        the batch, the steps that they tell, and what `observers` write.

        Returns:
            For each event, in the same order, its id and whether it is a duplicate. One that tells a step
            which is not due any more is not added: its id is that of the event that told it, or empty.

        Raises:
            EventConflict: A pair of source and external id has other content, here or in the ledger.
            EventInvalid: Text or a field cannot be stored, or a plan does not allow the event.
            ServiceUnreachable: The database cannot be had; nothing was kept.
        """
        own, kept = await take_in(self._database, new, advancer, observers)
        seen: set[Name] = set()
        added = []
        for event in new:
            name = name_of(event)
            added.append(Added(kept[name], duplicate=kept[name] != own[name] or name in seen))
            seen.add(name)
        return added

    async def get(self, id: str) -> Event:  # noqa: A002 - the column's name
        """The event with that id, with its counts.

        Raises:
            NotFound: There is none.
        """
        found = await self._load(select(events).where(events.c.id == storable(id)))
        if not found:
            raise NotFound(f"There is no event {id!r}. The id is the one that came with its acceptance.")
        return found[0]

    async def find(self, text: str) -> Event:
        """The event with that id or, if only one source used it, with that external id.

        Raises:
            NotFound: There is none, or several sources used that external id.
        """
        wanted = storable(text)
        either = (events.c.id == wanted) | (events.c.external_id == wanted)
        found = await self._load(select(events).where(either).limit(10))
        exact = [event for event in found if event.id == wanted] or found
        if not exact:
            raise NotFound(f"There is no event with the id or external id {text!r}.")
        if len(exact) > 1:
            sources = ", ".join(f"{event.id} ({event.source})" for event in exact)
            raise NotFound(f"Several sources have an event {text!r}: {sources}. Name one by its own id.")
        return exact[0]

    async def reference(self, source: str, external_id: str) -> Event | None:
        """The event that `source` calls `external_id`, or None."""
        found = await self._load(
            select(events).where(
                events.c.source == storable(source), events.c.external_id == storable(external_id)
            )
        )
        return found[0] if found else None

    async def list(self, limit: int = 50, before: str | None = None) -> Sequence[Event]:
        """The newest `limit` events, newest first; with `before`, of those older than that id."""
        query = select(events).order_by(events.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(events.c.id < storable(before))
        return await self._load(query)

    async def unexpanded(self, limit: int) -> Sequence[Event]:
        """Events that nobody expands: by urgency of the lane, oldest first."""
        free = events.c.expanding_until.is_(None) | (events.c.expanding_until <= self._database.now())
        return await self._load(_ACCEPTED.where(free).order_by(_URGENCY, events.c.id).limit(limit))

    async def waiting(self, limit: int) -> Sequence[Waiting]:
        """What `unexpanded` gives, without what the events say."""
        of_event = events.c
        free = of_event.expanding_until.is_(None) | (of_event.expanding_until <= self._database.now())
        query = select(of_event.id, of_event.lane, of_event.accepted_at).where(_IS_ACCEPTED, free)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(_URGENCY, of_event.id).limit(limit))
            return [Waiting(row.id, Lane(row.lane), row.accepted_at) for row in rows]

    async def unexpanded_in(self, thread: str, types: Sequence[str]) -> Sequence[Event]:
        """A thread's events of these effective types that are not expanded yet, oldest first."""
        wanted = (events.c.thread == storable(thread), events.c.effective_type.in_(types))
        return await self._load(_ACCEPTED.where(*wanted).order_by(events.c.id))

    async def unexpanded_before(self, thread: str, id: str) -> Sequence[Event]:  # noqa: A002 - the column's name
        """A thread's events that were accepted before that one and that nobody expands, oldest first."""
        free = events.c.expanding_until.is_(None) | (events.c.expanding_until <= self._database.now())
        wanted = (events.c.thread == storable(thread), events.c.id < id, free)
        return await self._load(_ACCEPTED.where(*wanted).order_by(events.c.id))

    async def cancel(self, id: str) -> None:  # noqa: A002 - the column's name
        """Withdraw an event: from this commit on no delivery of it is made, or handed to a worker.

        One that has no delivery yet is `EventStatus.RECORDED`, and never will have; one that was being
        expanded is `EventStatus.EXPANDED` as far as it came. Doing it again changes nothing.

        Raises:
            NotFound: There is no such event.
        """
        values = withdrawal(self._database.now(), CANCELLED_EARLY)
        statement = update(events).where(events.c.id == storable(id)).values(values)
        lock = select(events.c.id).where(events.c.id == storable(id)).with_for_update()
        async with self._database.write() as transaction:
            if not (await transaction.execute(lock)).all():
                raise NotFound(f"There is no event {id!r}.")
            await clear_staged(transaction, [id])
            await transaction.execute(statement)

    async def cancelled(self, ids: Collection[str]) -> AbstractSet[str]:
        """Those of the events that were cancelled."""
        query = select(events.c.id).where(events.c.id.in_(ids), events.c.cancelled_at.is_not(None))
        async with self._database.read() as connection:
            return set((await connection.execute(query)).scalars())

    async def retry(self, id: str) -> bool:  # noqa: A002 - the column's name
        """Have an event that failed expanded after all; False if it had not failed."""
        failed = (events.c.id == storable(id)) & (events.c.status == EventStatus.FAILED)
        again = {
            "status": EventStatus.ACCEPTED,
            "reason": "",
            "crashes": 0,
            "expander": None,
            "expanding_until": None,
        }
        async with self._database.write() as transaction:
            return bool((await transaction.execute(update(events).where(failed).values(**again))).rowcount)

    async def failed(self, since: datetime | None = None) -> Sequence[Event]:
        """Events that could not be expanded, accepted at that moment or later; oldest first."""
        query = select(events).where(_FAILED).order_by(events.c.id)
        return await self._load(query if since is None else query.where(events.c.accepted_at >= since))

    async def _load(self, query: Select[Any]) -> Sequence[Event]:
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            counts = await count(connection, [row.id for row in rows])
        return [event_of(row, counts.get(row.id, {})) for row in rows]
