"""Incidents: what is known of one, and what is owed for it, from all that was said of it.

An incident is the sum of its statements in the order in which they were made, whatever the order in which
they arrived: `account` reads them from the first to the last. So an event that comes late, twice or out of
order needs no rule of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

#: Why nothing is owed any more where it was not sent.
RESOLVED, REOPENED = "the incident was resolved", "the incident was opened again"
OVERTAKEN = "by what is known now it was never owed"


class Says(StrEnum):
    """What an event says of its incident."""

    OPEN = "open"  # it affects these instances: its opening, or an update
    RESOLVED = "resolved"  # it is over, for these instances
    TOLD = "told"  # neither, but it is what somebody owed: a report


#: Of what was said at one moment, that it is over counts last.
_LAST = (Says.OPEN, Says.TOLD, Says.RESOLVED)


@dataclass(frozen=True, slots=True)
class Statement:
    """What one event said of an incident.

    Attributes:
        incident: The incident's key: the thread of its events, else the name that they give it.
        event: The event's id.
        said_at: When, as the event says; not later than it was accepted.
        resolved_at: Since when it is over, if the event says more than that it is.
        next_update_at: By when the next update is promised, if it is.
        instances: Those that it is about; empty for all that are affected.
    """

    incident: str
    event: str
    type: str
    says: Says
    said_at: datetime
    resolved_at: datetime | None = None
    next_update_at: datetime | None = None
    instances: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Obligation:
    """What somebody of the service's own people must send for an incident.

    Attributes:
        cadence: The cadence that says so, and its step.
        owes: The communication type.
        made_by: The event by which it came to be owed.
        due_at: When it is late.
        met_by: The event that was owed.
        ended: Why it is owed no more, though nothing was sent; empty while it is.
        id: Ours; empty before the ledger has it.
        reminders: How many reminders were sent, the last of them at `reminded_at`.
    """

    cadence: str
    step: str
    owes: str
    incident: str
    made_by: str
    made_at: datetime
    due_at: datetime
    met_at: datetime | None = None
    met_by: str | None = None
    ended: str = ""
    id: str = ""
    reminded_at: datetime | None = None
    reminders: int = 0

    @property
    def owed(self) -> bool:
        """Whether it still is."""
        return self.met_at is None and not self.ended

    def overdue(self, now: datetime) -> timedelta | None:
        """For how long it has been late; None if it is not."""
        return now - self.due_at if self.owed and self.due_at < now else None


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident.

    Attributes:
        type: The type of the first event that spoke of it.
        event: That event.
        said_at: When it was last spoken of.
        opened_at: When it was first said to be; None if it never was.
        resolved_at: Since when it is over; None while it is not.
        affected: The instances that it affects, or did, and since when each does no more.
    """

    key: str
    type: str
    event: str
    said_at: datetime
    opened_at: datetime | None = None
    resolved_at: datetime | None = None
    affected: Mapping[str, datetime | None] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether it began and is not over."""
        return self.opened_at is not None and self.resolved_at is None


class Duty(Protocol):
    """What a cadence lets somebody owe for an incident: one of its steps."""

    @property
    def cadence(self) -> str:
        """The cadence."""

    @property
    def step(self) -> str:
        """The step."""

    @property
    def owes(self) -> str:
        """The communication type."""

    @property
    def every(self) -> timedelta | None:
        """After how long an update is owed while the incident lasts; None if it is owed after the end."""

    def due(self, resolved_at: datetime, instances: Iterable[str]) -> datetime:
        """When what is owed after the end is late."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the statements about an incident come to."""

    incident: Incident
    obligations: tuple[Obligation, ...]


def account(statements: Sequence[Statement], duties: Sequence[Duty]) -> Account:
    """Add up what was said of one incident.

    Args:
        statements: At least one; the same event may be there twice.
        duties: What is owed for such an incident.
    """
    once = {statement.event: statement for statement in statements}
    ordered = sorted(once.values(), key=lambda one: (one.said_at, _LAST.index(one.says), one.event))
    books = _Books(ordered[0], duties)
    for statement in ordered:
        books.enter(statement)
    return Account(books.incident, tuple(books.obligations()))


class _Books:
    """The account of one incident while it is added up."""

    def __init__(self, first: Statement, duties: Sequence[Duty]) -> None:
        self.incident = Incident(first.incident, first.type, first.event, first.said_at)
        self._duties = duties
        self._owed: list[Obligation] = []
        self._settled: list[Obligation] = []
        self._told: dict[str, Statement] = {}  # since it was last opened, what may be owed later

    def obligations(self) -> Iterator[Obligation]:
        """All of them, in the order in which they were made."""
        yield from sorted([*self._settled, *self._owed], key=lambda one: (one.made_at, one.made_by, one.step))

    def enter(self, statement: Statement) -> None:
        """Go on with one more statement."""
        self.incident = replace(self.incident, said_at=statement.said_at)
        if statement.says is Says.OPEN:
            self._open(statement)
        elif statement.says is Says.RESOLVED:
            self._resolve(statement)
        else:
            self._told.setdefault(statement.type, statement)
            owed = [duty for duty in self._duties if duty.owes == statement.type]
            self._meet({(duty.cadence, duty.step) for duty in owed}, statement)

    def _open(self, statement: Statement) -> None:
        if not self.incident.is_open:
            self._end(REOPENED)
            self._told = {}
        self._meet({(duty.cadence, duty.step) for duty in self._duties if duty.every}, statement)
        names = statement.instances or tuple(self.incident.affected)
        affected = dict(self.incident.affected) | dict.fromkeys(names)
        opened = self.incident.opened_at or statement.said_at
        self.incident = replace(self.incident, opened_at=opened, resolved_at=None, affected=affected)
        for duty in self._duties:
            if duty.every is not None:
                promised = statement.next_update_at
                due = (
                    promised if promised and promised > statement.said_at else statement.said_at + duty.every
                )
                self._owe(duty, statement, due)

    def _resolve(self, statement: Statement) -> None:
        incident = self.incident
        if not incident.is_open:
            return  # it never began as far as we know, or is over already: the first word on that counts
        at = statement.resolved_at or statement.said_at
        over = set(statement.instances or incident.affected)
        affected = {
            name: since or (at if name in over else None) for name, since in incident.affected.items()
        }
        self.incident = replace(incident, affected=affected)
        if None in affected.values():
            return
        self.incident = replace(self.incident, resolved_at=at)
        self._end(RESOLVED)
        for duty in self._duties:
            if duty.every is None:
                self._owe(duty, statement, duty.due(at, affected))
                if early := self._told.get(duty.owes):
                    self._meet({(duty.cadence, duty.step)}, early)

    def _owe(self, duty: Duty, by: Statement, due: datetime) -> None:
        self._owed.append(
            Obligation(duty.cadence, duty.step, duty.owes, by.incident, by.event, by.said_at, due)
        )

    def _meet(self, duties: Collection[tuple[str, str]], by: Statement) -> None:
        met = [one for one in self._owed if (one.cadence, one.step) in duties]
        self._owed = [one for one in self._owed if one not in met]
        self._settled += [replace(one, met_at=by.said_at, met_by=by.event) for one in met]

    def _end(self, why: str) -> None:
        self._settled += [replace(one, ended=why) for one in self._owed]
        self._owed = []
