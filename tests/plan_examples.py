"""An update at one instance, for tests of plans: what is said of it, turn by turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any

from domain_examples import shipped

from dispatcher.domain.business import BusinessCalendar
from dispatcher.domain.cadence import Cadence, Turn
from dispatcher.domain.fields import parse_fields
from dispatcher.domain.life import Statement, Taken, advance
from dispatcher.domain.plan import Decision, Plan, StepStatus
from dispatcher.domain.planning import Place

#: A type for each turn of a major update.
TYPES: Mapping[Turn, str] = {
    "scheduled": "update-scheduled",
    "approved": "update-confirmed",
    "rescheduled": "update-rescheduled",
    "in-progress": "update-in-progress",
    "succeeded": "update-succeeded",
    "fallback": "update-fallback",
    "cancelled": "update-cancelled",
    "compatibility": "update-compatibility",
}


def utc(text: str) -> datetime:
    """``2027-03-06 21:00`` as a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


#: A morning long before the dates of these tests.
NEW_YEAR = utc("2027-01-01 08:00")


def place(zone: str = "UTC", *, holidays: tuple[str, ...] = ()) -> Place:
    """Somewhere with that zone and business days from Monday to Friday."""
    return Place(zone, None, BusinessCalendar(time(9), time(17), zone, holidays))


def cadence(key: str = "major-update") -> Cadence:
    """A cadence that comes with the product."""
    return shipped().cadences[key]


@dataclass
class Life:
    """One update at contoso-prod.

    Attributes:
        now: When the next thing is said, unless it says so itself.
        series: Another cadence than that of `key`.
    """

    now: datetime = NEW_YEAR
    place: Place = field(default_factory=place)
    made: Plan | None = None
    key: str = "major-update"
    series: Cadence | None = None
    said: int = 0

    @property
    def plan(self) -> Plan:
        """The plan as it stands; there is one once something was heard."""
        assert self.made
        return self.made

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self.made = plan

    def hear(
        self,
        turn: Turn,
        *,
        time: datetime | None = None,
        type_: str = "",
        decision: Decision | None = None,
        **raw: Any,
    ) -> Taken:
        """Let the plan take a turn, as `raw` says it; moments may be given as such."""
        self.said += 1
        spec = shipped().types[type_ or TYPES[turn]]
        given = {key: _plain(value) for key, value in raw.items()}
        if "update" in spec.fields:
            given = {"update": "update-2027-1", **given}
        values, problems = parse_fields(spec, given, partial=True)
        assert problems == []
        statement = Statement(
            type=type_ or TYPES[turn],
            turn=turn,
            instance="contoso-prod",
            subject="update-2027-1",
            fields=values,
            raw=given,
            event_id=f"evt_{self.said}",
            said_at=time or self.now,
            accepted_at=self.now,
            decision=decision,
        )
        taken = advance(self.key, self.series or cadence(self.key), self.made, statement, self.place)
        self.plan = taken.plan
        return taken

    def begin(self, at: datetime, **raw: Any) -> Plan:
        """The update is scheduled for that moment."""
        return self.hear("scheduled", scheduled_at=at, version="10.0", **raw).plan

    def steps(self, status: StepStatus = StepStatus.PENDING) -> dict[str, datetime]:
        """When the steps of one status are due, or were; those of the current revision first."""
        return {step.key: step.due_at for step in self.plan.steps if step.status is status}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
