"""How far one event is, asked again and again while somebody watches.

A million deliveries are not counted each time. Workers take an event's deliveries in the order of their
ids, so whoever watches keeps a place: all before it have been begun, and only what lies behind it is read.
So all looks together read every row of an index about twice, however many looks there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.delivery import Status
from dispatcher.domain.event import EventStatus
from dispatcher.errors import NotFound
from dispatcher.ledger.engine import Database
from dispatcher.ledger.schema import deliveries, events


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an event is.

    Attributes:
        reason: Why the event stands where it does; may be empty.
        total: Its deliveries, as far as they are made.
        begun: Of these, those that wait in the queue no more, whatever became of them. One that went back
            to the queue counts as begun.
    """

    status: EventStatus
    reason: str
    total: int
    begun: int

    @property
    def waiting(self) -> int:
        """Those that nobody has begun."""
        return self.total - self.begun


class Watching:
    """One event under watch; each look goes on from where the last one ended."""

    def __init__(self, database: Database, event: str) -> None:
        self._database = database
        self._event = event
        self._last = ""  # the newest of the deliveries that were counted
        self._total = 0
        self._passed = ""  # the newest of those that are known to be begun
        self._begun = 0

    async def look(self) -> Progress:
        """How far the event is now.

        Raises:
            NotFound: There is no such event.
            ServiceUnreachable: The database cannot be had.
        """
        query = select(events.c.status, events.c.reason).where(events.c.id == self._event)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise NotFound(f"There is no event {self._event!r}.")
            new, last = await self._between(connection, self._last)
            self._total, self._last = self._total + new, last
            waiting = await connection.scalar(self._first_waiting())
            begun, passed = await self._between(connection, self._passed, waiting)
            self._begun, self._passed = self._begun + begun, passed
        return Progress(EventStatus(row.status), row.reason, self._total, min(self._begun, self._total))

    def _first_waiting(self) -> Select[Any]:
        behind = (deliveries.c.event == self._event) & (deliveries.c.id > self._passed)
        waiting = select(deliveries.c.id).where(behind, deliveries.c.status == Status.QUEUED)
        return waiting.order_by(deliveries.c.id).limit(1)

    async def _between(
        self, connection: AsyncConnection, after: str, before: str | None = None
    ) -> tuple[int, str]:
        """How many deliveries the event has between two ids, and the newest of them, or else `after`."""
        wanted = (deliveries.c.event == self._event) & (deliveries.c.id > after)
        if before is not None:
            wanted &= deliveries.c.id < before
        query = select(func.count(), func.max(deliveries.c.id)).where(wanted)
        number, newest = (await connection.execute(query)).one()
        return number, newest or after
