"""What the catalogue's cadences let somebody owe for an incident, and when a reminder of it is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

from dispatcher.domain.business import BusinessCalendar, calendar_of
from dispatcher.domain.cadence import Cadence, Offset, Step, parse_offset
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.house import BusinessHours
from dispatcher.domain.incident import Obligation
from dispatcher.domain.instance import Instance
from dispatcher.domain.moment import parse_duration

#: An update that is late is late for everybody who waits for it, at any hour.
AGAIN: Final = timedelta(hours=4)
#: Who has not acted upon so many reminders does not act upon the next.
MOST_REMINDERS: Final = 10

_USUAL: Final = BusinessHours()

Instances = Callable[[str], Instance | None]


@dataclass(frozen=True, slots=True)
class StepDuty:
    """A step of a cadence that follows incidents; see `dispatcher.domain.incident.Duty`.

    Attributes:
        offset: How long after the end it is owed; None if it is owed while the incident lasts.
        calendars: The business calendars of those instances; never none.
    """

    cadence: str
    step: str
    owes: str
    every: timedelta | None
    offset: Offset | None
    calendars: Callable[[Iterable[str]], Sequence[BusinessCalendar]]

    def due(self, resolved_at: datetime, instances: Iterable[str]) -> datetime:
        """The end of the last day that it may take, where that day ends first."""
        offset = self.offset or Offset()
        if offset.hours is not None:
            return resolved_at + timedelta(hours=offset.hours)
        return min(_end(calendar, resolved_at, offset) for calendar in self.calendars(instances))


def _end(calendar: BusinessCalendar, anchor: datetime, offset: Offset) -> datetime:
    day = calendar.day_of(anchor)
    if offset.business_days is not None:
        return calendar.closing(calendar.add_days(day, offset.business_days))
    return calendar.closing(day + timedelta(days=offset.days or 0))


def duties(catalogue: Catalogue, incident_type: str, instances: Instances) -> Sequence[StepDuty]:
    """What is owed for an incident that an event of `incident_type` opened.

    Args:
        catalogue: The catalogue.
        incident_type: A type that opens incidents.
        instances: Gives the instance of an id, where the recipient lists have it.
    """

    def calendars(names: Iterable[str]) -> Sequence[BusinessCalendar]:
        found = (instance for name in names if (instance := instances(name)))
        return list({calendar_of(catalogue, instance) for instance in found}) or [_plain()]

    return [
        _duty(key, name, step, calendars)
        for key, cadence in catalogue.cadences.items()
        if cadence.follows == "incident" and _is_for(cadence, incident_type)
        for name, step in cadence.steps.items()
        if step.owes and (step.at or step.every)
    ]


def owed_types(catalogue: Catalogue) -> frozenset[str]:
    """The types that somebody may owe for an incident."""
    steps = (
        step
        for cadence in catalogue.cadences.values()
        if cadence.follows == "incident"
        for step in cadence.steps.values()
    )
    return frozenset(step.owes for step in steps if step.owes)


def next_reminder(
    obligation: Obligation, catalogue: Catalogue, instances: Iterable[Instance]
) -> datetime | None:
    """When the owners are to be reminded of what is owed; None if they are not, or not any more.

    The first time when it is late. Of an update again every `AGAIN`, of what is owed after the end of an
    incident on each business day where it begins first, as it opens.
    """
    if not obligation.owed or obligation.reminders >= MOST_REMINDERS:
        return None
    if obligation.reminded_at is None:
        return obligation.due_at
    if is_update(obligation, catalogue):
        return obligation.reminded_at + AGAIN
    calendars = {calendar_of(catalogue, instance) for instance in instances} or {_plain()}
    last = obligation.reminded_at
    return min(one.opening(one.add_days(one.day_of(last), 1)) for one in calendars)


def is_update(obligation: Obligation, catalogue: Catalogue) -> bool:
    """Whether it is an update while the incident lasts, rather than something that is owed after its end."""
    cadence = catalogue.cadences.get(obligation.cadence)
    step = cadence.steps.get(obligation.step) if cadence else None
    return bool(step and step.every)


def _is_for(cadence: Cadence, incident_type: str) -> bool:
    """Whether it is about such incidents: its updates are, or it has none."""
    updates = {step.owes for step in cadence.steps.values() if step.every}
    return not updates or incident_type in updates


def _duty(
    cadence: str, name: str, step: Step, calendars: Callable[[Iterable[str]], Sequence[BusinessCalendar]]
) -> StepDuty:
    return StepDuty(
        cadence,
        name,
        step.owes or "",
        parse_duration(step.every) if step.every else None,
        parse_offset(step.at) if step.at else None,
        calendars,
    )


def _plain() -> BusinessCalendar:
    """Monday to Friday in UTC, where no instance says better."""
    return BusinessCalendar(time.fromisoformat(_USUAL.open), time.fromisoformat(_USUAL.close), "UTC")
