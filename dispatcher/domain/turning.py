"""One turn of a plan's life while it is taken: what is said, and what comes of it.

The turns themselves stand in `dispatcher.domain.dates` and `dispatcher.domain.life`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Final

from dispatcher.domain.cadence import Cadence, Turn
from dispatcher.domain.moment import by_clock
from dispatcher.domain.plan import Decision, Move, Plan, PlanKey, PlannedStep, StepStatus
from dispatcher.domain.planning import Place, anchor_of, approved

#: Fields that mean the same in every cadence, where its types have them.
ALTERNATE, OFFERED, MANDATORY, APPROVED = "alternate_at", "offered_dates", "mandatory", "approved"
PREVIOUS, BY, STAGE = "previous_at", "rescheduled_by", "stage"
#: What an event says of itself alone: no later one is filled in with it.
OWN: Final = frozenset({PREVIOUS, BY, STAGE, APPROVED, "cause", "started_at", "completed_at", "cancelled"})
#: In a plan's facts while nothing but a reschedule has told of it; no field can be called so.
UNANNOUNCED: Final = "_unannounced"
STAGES: Final = ("queued", "backup", "restore", "database-upgrade")


class MoveRefused(ValueError):  # noqa: N818
    """A plan may not take a turn: `what` is why, to be read after the plan's name, and `fix` what to do."""

    def __init__(self, what: str, fix: str) -> None:
        """`what` without a full stop; `fix` is a request."""
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Statement:
    """What an event says to the plan of one instance.

    Attributes:
        type: The event's communication type.
        fields: Typed values of every field of the type; None where the event says nothing.
        raw: The event's fields as they were given: plain JSON values.
        event_id: Ours.
        said_at: When it was said: the event's time, else when it was accepted.
        decision: The admin who decided; None where upstream did.
    """

    type: str
    turn: Turn
    instance: str
    subject: str
    fields: Mapping[str, Any]
    raw: Mapping[str, Any]
    event_id: str
    said_at: datetime
    accepted_at: datetime
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a statement.

    Attributes:
        move: The turn that was taken; None if nothing changed.
        warnings: What whoever said it should know.
        record_only: Why nobody is mailed; empty if the event is told.
        made_up: Turns that events took which came before there was a plan.
    """

    plan: Plan
    move: Move | None = None
    warnings: tuple[str, ...] = ()
    record_only: str = ""
    made_up: tuple[Move, ...] = ()


@dataclass(slots=True)
class Turning:
    """A turn while it is taken."""

    key: PlanKey
    cadence: Cadence
    said: Statement
    place: Place
    warnings: list[str] = field(default_factory=list)

    @property
    def anchor(self) -> datetime | date | None:
        """The date that is said: a moment, or a whole day; None if none is."""
        value = self.said.fields.get(self.cadence.anchor)
        return value if isinstance(value, date) else None

    @property
    def alternate(self) -> datetime | None:
        """The alternate date that is said."""
        value = self.said.fields.get(ALTERNATE)
        return value if isinstance(value, datetime) else None

    def shown(self, date_: datetime | date) -> str:
        """A date as a reason shows it: a moment by the clock of the instance, or a whole day."""
        if isinstance(date_, datetime):
            return by_clock(self.place.time_zone, date_)
        return date_.isoformat()

    def date_of(self, plan: Plan) -> str:
        """The date of a plan as a reason shows it."""
        return self.shown(anchor_of(plan, self.cadence))

    def overtaken(self, plan: Plan) -> str:
        """Why a word on the date that comes after a newer one is told to nobody."""
        return f"overtaken by what was said of its date at {self.shown(plan.said_at)}"

    def type_at(self, turn: Turn) -> str:
        """The type of the event that is this turn of the cadence; empty if it has none."""
        step = self.cadence.step_on(turn)
        return (step[1].type or "") if step else ""


def taken(turning: Turning, before: Plan | None, after: Plan) -> Taken:
    """The turn, and what the event's communication says of this instance beside its own fields."""
    said = turning.said
    if before is not None and after is not before:
        after = replace(after, updated_at=said.accepted_at.astimezone(UTC))
    move = Move(
        plan=turning.key,
        turn=said.turn,
        event=said.event_id,
        at=said.accepted_at.astimezone(UTC),
        before=None if before is None else before.anchor,
        after=after.anchor,
        revision=after.revision,
        facts={} if said.turn == "scheduled" else _beside(turning, before, after),
        decision=said.decision,
    )
    return Taken(after, move, tuple(turning.warnings))


def _beside(turning: Turning, before: Plan | None, after: Plan) -> dict[str, Any]:
    said = turning.said
    facts = {**after.facts, APPROVED: approved(after)}
    # Where the date stays and the alternate moves, both are the same.
    if before is not None and after.revision != before.revision:
        facts[PREVIOUS] = before.facts.get(turning.cadence.anchor) or before.anchor.isoformat()
    return {
        key: value
        for key, value in facts.items()
        if key in said.fields and said.raw.get(key) is None and value is not None
    }


def facts_of(said: Statement) -> dict[str, Any]:
    """What a statement says that later events of the plan may leave out."""
    return {key: value for key, value in said.raw.items() if value is not None and key not in OWN}


def settled(
    steps: Sequence[PlannedStep],
    status: StepStatus,
    reason: str,
    at: datetime,
    *,
    only: Callable[[PlannedStep], bool] = lambda _: True,
) -> tuple[PlannedStep, ...]:
    """The steps, those pending with another status, as far as `only` says so."""
    at = at.astimezone(UTC)
    return tuple(
        replace(step, status=status, reason=reason, settled_at=at)
        if step.status is StepStatus.PENDING and only(step)
        else step
        for step in steps
    )


def given_anchor(turning: Turning) -> datetime | date:
    """The date that is said.

    Raises:
        MoveRefused: None is.
    """
    if turning.anchor is None:
        name = turning.cadence.anchor
        raise MoveRefused(f"{name} is missing", f"give {name}: steps are counted from it")
    return turning.anchor


def by_admin(said: Statement) -> bool:
    """Whether an admin decided, by a link or as upstream says."""
    return said.decision is not None or said.fields.get(BY) == "admin"


def utc(moment: datetime | None) -> datetime | None:
    """The same moment in UTC."""
    return None if moment is None else moment.astimezone(UTC)
