"""The backlog: what waits, since when, and what needs a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Select,
    case,
    exists,
    func,
    literal,
    literal_column,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.event import EventStatus
from dispatcher.ledger.deliveries import Filter
from dispatcher.ledger.engine import Database
from dispatcher.ledger.holds import waits
from dispatcher.ledger.schema import IN_TROUBLE, deliveries, events

#: Reasons of deliveries that were given back, or taken from a worker: they wait for nothing. (A few that were
#: put off with a 421 bear the same word; one try that comes early does no harm.)
_AT_ONCE = ("", "lease_expired", "relay_unreachable")
_WAITS = deliveries.c.next_try_at.is_not(None)
_ACCEPTED = events.c.status == literal_column(f"'{EventStatus.ACCEPTED}'")
_SENDING = deliveries.c.status == literal_column(f"'{Status.SENDING}'")


@dataclass(frozen=True, slots=True)
class Due:
    """What a lane could send at once.

    Attributes:
        oldest: Since when the one waits that has waited longest; None if none does.
    """

    deliveries: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Unexpanded:
    """Events that are accepted and not expanded.

    Attributes:
        oldest: When the oldest of them was accepted; None if there are none.
    """

    events: int = 0
    oldest: datetime | None = None


_NO_EVENTS = Unexpanded()


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far the work is.

    Attributes:
        events: Accepted and not expanded yet, or not to the end.
        oldest_event: When the oldest of them was accepted, or None.
        due: By lane.
        later: Deliveries that wait for a later try.
        next_try_at: When the next of those is due, or None.
        sending: Deliveries that are on their way at this moment.
        trouble: How many deliveries failed, are held and so on; a status without any is left out.
        begun: For each event that is being expanded, when its newest delivery was made; None without.
        put_off: Of the events, those that could not be expanded and say why.
        untouched: Of the events, all others.
    """

    events: int
    oldest_event: datetime | None
    due: Mapping[Lane, Due]
    later: int
    next_try_at: datetime | None
    sending: int
    trouble: Mapping[Status, int]
    begun: Sequence[datetime | None] = ()
    put_off: Unexpanded = _NO_EVENTS
    untouched: Unexpanded = _NO_EVENTS


@dataclass(frozen=True, slots=True)
class Share:
    """Those of some deliveries that belong to one event, and what to know before one moves them.

    Attributes:
        event: The event's id.
        type: The event's type.
        cancelled: Whether the event was withdrawn: none of them is ever sent again.
        deliveries: How many they are.
        doubtful: Of these, a first copy may have arrived.
        poison: Of these, three workers in a row went away over them.
        expired: Of these, it is too late for them.
        waiting: Of these, an open incident affects the instance: they are held until it is over.
    """

    event: str
    type: str
    cancelled: bool
    deliveries: int
    doubtful: int
    poison: int
    expired: int
    waiting: int

    def plus(self, other: Share) -> Share:
        """Both together, for others of the same event."""
        return replace(
            self,
            deliveries=self.deliveries + other.deliveries,
            doubtful=self.doubtful + other.doubtful,
            poison=self.poison + other.poison,
            expired=self.expired + other.expired,
            waiting=self.waiting + other.waiting,
        )


class Backlogs:
    """Looks at the ledger as a whole; every question is answered from an index."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due_lanes(self, now: datetime) -> Sequence[Lane]:
        """The lanes in which a delivery is due, most urgent first."""
        waiting = deliveries.c.next_try_at <= now
        query = union_all(
            *(
                select(literal(lane.value)).where(exists().where(deliveries.c.lane == lane, waiting))
                for lane in Lane
            )
        )
        async with self._database.read() as connection:
            found = set((await connection.execute(query)).scalars())
        return [lane for lane in Lane if lane in found]

    async def oldest_due(self) -> datetime | None:
        """Since when the delivery is due that has waited longest; None if none is due."""
        query = union_all(
            *(
                select(func.min(deliveries.c.next_try_at)).where(deliveries.c.lane == lane, _WAITS)
                for lane in Lane
            )
        )
        async with self._database.read() as connection:
            found = [moment for moment in (await connection.execute(query)).scalars() if moment is not None]
        oldest = min(found, default=None)
        return oldest if oldest is not None and oldest <= self._database.now() else None

    async def look(self) -> Backlog:
        """The backlog at this moment."""
        now = self._database.now()
        waiting = select(
            deliveries.c.lane,
            (deliveries.c.next_try_at <= now).label("due"),
            func.count().label("number"),
            func.min(deliveries.c.next_try_at).label("first"),
        ).where(_WAITS)
        trouble = select(deliveries.c.status, func.count()).where(text(f"deliveries.{IN_TROUBLE}"))
        async with self._database.read() as connection:
            rows = (await connection.execute(waiting.group_by(deliveries.c.lane, text("2")))).all()
            begun, put_off, untouched = await _unexpanded(connection, now)
            newest = [*await connection.scalars(_newest(now))] if begun.events else []
            # Counted by a column of the index on leases, or SQLite reads a larger one from end to end.
            sending = await connection.scalar(select(func.count(deliveries.c.lease_until)).where(_SENDING))
            stuck = (await connection.execute(trouble.group_by(deliveries.c.status))).all()
        later = [row for row in rows if not row.due]
        return Backlog(
            events=begun.events + put_off.events + untouched.events,
            oldest_event=min(filter(None, (begun.oldest, put_off.oldest, untouched.oldest)), default=None),
            due={Lane(row.lane): Due(row.number, row.first) for row in rows if row.due},
            later=sum(row.number for row in later),
            next_try_at=min((row.first for row in later), default=None),
            sending=sending or 0,
            trouble={Status(status): number for status, number in stuck},
            begun=tuple(newest),
            put_off=put_off,
            untouched=untouched,
        )

    async def shares(self, wanted: Filter) -> Sequence[Share]:
        """The deliveries that `wanted` names, event by event, oldest event first."""
        query = (
            wanted.apply(
                select(
                    deliveries.c.event,
                    events.c.type,
                    events.c.cancelled_at.is_not(None),
                    func.count(),
                    _number(deliveries.c.uncertain),
                    _number(deliveries.c.reason == "poison"),
                    _number(deliveries.c.expires_at <= self._database.now()),
                    _number(waits()),
                ).join(events, events.c.id == deliveries.c.event)
            )
            .group_by(deliveries.c.event, events.c.type, events.c.cancelled_at)
            .order_by(deliveries.c.event)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [Share(row[0], row[1], bool(row[2]), *row[3:]) for row in rows]

    async def due_at_once(self, expanding: timedelta) -> int:
        """Let what never waits be due now; how many deliveries and events that had to be told.

        For a clock that was set back: what was not tried, or was taken from a worker that went away, was
        due when it was made so, and an event that nobody expands any more was free.

        Args:
            expanding: The longest that an event may be kept for whoever expands it.
        """
        now = self._database.now()
        ahead = deliveries.c.lane.in_(tuple(Lane)) & (deliveries.c.next_try_at > now)
        at_once = (deliveries.c.status == Status.QUEUED) | deliveries.c.reason.in_(_AT_ONCE)
        fresh = select(deliveries.c.id).where(ahead, at_once)
        # Several processes see one clock set back: whoever has locked a row sees to it.
        chosen = fresh.with_for_update(skip_locked=True).cte("chosen")
        statement = (
            update(deliveries)
            .where(deliveries.c.id.in_(select(chosen.c.id)))
            .values(next_try_at=now)
            .returning(deliveries.c.id)  # sqlite3 counts no rows of a statement that begins with WITH
        )
        kept = _ACCEPTED & (events.c.expanding_until > now + expanding)
        async with self._database.write() as transaction:
            freed = await transaction.execute(update(events).where(kept).values(expanding_until=None))
            return len((await transaction.execute(statement)).all()) + freed.rowcount


async def _unexpanded(connection: AsyncConnection, now: datetime) -> Sequence[Unexpanded]:
    """The accepted events: those that are being expanded, those that say why they are not, the others."""
    kind = case((_begun(now), 0), (events.c.reason != "", 1), else_=2).label("kind")
    query = select(kind, func.count(), func.min(events.c.accepted_at)).where(_ACCEPTED).group_by(text("kind"))
    found = {row[0]: Unexpanded(row[1], row[2]) for row in await connection.execute(query)}
    return [found.get(number, _NO_EVENTS) for number in range(3)]


def _newest(now: datetime) -> Select[tuple[datetime | None]]:
    """When the newest delivery was made of each event that is being expanded; its ids sort by time."""
    of_event = select(deliveries.c.created_at).where(deliveries.c.event == events.c.id)
    last = of_event.order_by(deliveries.c.id.desc()).limit(1).scalar_subquery()
    return select(last).select_from(events).where(_ACCEPTED, _begun(now))


def _begun(now: datetime) -> ColumnElement[bool]:
    return events.c.expander.is_not(None) & (events.c.expanding_until > now)


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Of the rows of a group, how many fulfil it; one that cannot be told does not."""
    return func.sum(case((condition, 1), else_=0))
