"""When the steps of a cadence are told: from a date and a place to moments.

Days are calendar days where the instance is, told at the cadence's hour there; what lies less than the
cadence's `ahead` before the thing itself goes out that much before it. The rules that a plan's life follows
stand in `dispatcher.domain.life`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dispatcher.domain.business import BusinessCalendar, calendar_of
from dispatcher.domain.cadence import Cadence, Offset, Step, parse_offset
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.fields import known
from dispatcher.domain.instance import Instance
from dispatcher.domain.moment import by_clock, day_in, first_moment
from dispatcher.domain.plan import Plan, PlannedStep, PlanState, StepStatus
from dispatcher.domain.words import Region

_MADE, _CHANGED = "the plan was made", "the cadence changed"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance is, as far as time is concerned.

    Attributes:
        time_zone: An IANA zone; its days and its clock count.
        calendar: The business days there.
    """

    time_zone: str
    region: Region | None
    calendar: BusinessCalendar


@dataclass(frozen=True, slots=True)
class _Due:
    """A step where its distance puts it, before anybody asks whether it is too late.

    Attributes:
        day: The day that it belongs to; it may go out on the evening before.
        before: Whether it makes sense before the thing itself alone.
    """

    key: str
    step: Step
    day: date
    at: datetime
    before: bool


def place_of(catalogue: Catalogue, instance: Instance) -> Place:
    """Where an instance is, with the business calendar that holds there."""
    return Place(instance.time_zone, instance.region, calendar_of(catalogue, instance))


def moment_of(anchor: datetime | date, place: Place) -> datetime:
    """An anchor as a moment in UTC; a day is its first moment there."""
    if isinstance(anchor, datetime):
        return anchor.astimezone(UTC)
    return first_moment(place.time_zone, anchor, time.min)


def lies_behind(anchor: datetime | date, place: Place, moment: datetime) -> bool:
    """Whether an anchor has passed at a moment: a day once it is over there."""
    if isinstance(anchor, datetime):
        return anchor < moment
    return anchor < day_in(place.time_zone, moment)


def steps_for(
    cadence: Cadence,
    anchor: datetime | date,
    place: Place,
    made_at: datetime,
    revision: int,
    already: Collection[str] = (),
) -> tuple[PlannedStep, ...]:
    """The steps of a plan that is made at a moment, in the order of time.

    Those whose day has passed by then are skipped and say so; of those that ask to be sent late, the nearest
    is due at once.

    Args:
        cadence: Whose steps; those that stand at a turn are the turn's own event and not among the result.
        anchor: What they are counted from: an aware moment, or a whole day.
        place: Where the instance is.
        made_at: When the plan is made; aware.
        revision: The plan's, which they belong to.
        already: Keys of steps that are not planned again.
    """
    return _planned(cadence, anchor, place, made_at, (revision, already, _MADE))


def digest(cadence: Cadence) -> str:
    """A hash of what decides which steps a plan has, and when: the same as long as nobody need plan anew."""
    steps = {key: [step.at, step.type] for key, step in cadence.steps.items() if _is_told(step)}
    text = json.dumps([cadence.anchor, cadence.send_at, cadence.ahead, steps], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def replanned(plan: Plan, cadence: Cadence, place: Place, now: datetime) -> Plan:
    """A plan whose cadence changed since it was made: its pending steps as the cadence has them now.

    What was sent, skipped or cancelled stays. A step that the cadence has no more is superseded; one that is
    due already goes out as it was planned. Nothing but the digest changes where nothing else did.
    """
    ours = [step for step in plan.steps if step.revision == plan.revision]
    settled = {step.key for step in ours if step.status not in {StepStatus.PENDING, StepStatus.SUPERSEDED}}
    new = {
        step.key: step
        for step in _planned(
            cadence, anchor_of(plan, cadence), place, now, (plan.revision, settled, _CHANGED)
        )
    }
    kept = tuple(
        _changed(step, new, place, now) if step.revision == plan.revision else step for step in plan.steps
    )
    added = tuple(step for key, step in new.items() if key not in {step.key for step in ours})
    return replace(
        plan, steps=in_order(kept + added), cadence_digest=digest(cadence), updated_at=now.astimezone(UTC)
    )


def due_fields(catalogue: Catalogue, plan: Plan, step: PlannedStep) -> dict[str, Any]:
    """What the event of a step says: what the plan knows of that type's fields, then the step's own.

    Raises:
        KeyError: The catalogue has no such cadence or type any more.
    """
    cadence = catalogue.cadences[plan.key.cadence]
    spec = catalogue.types[step.type]
    own = cadence.steps[step.key].fields if step.key in cadence.steps else {}
    facts = {
        **plan.facts,
        cadence.about: plan.key.subject,
        cadence.anchor: plan.facts.get(cadence.anchor) or plan.anchor.isoformat(),
        "approved": approved(plan),
    }
    return {key: value for key, value in known(spec, {**facts, **own}).items() if value is not None}


def approved(plan: Plan) -> bool:
    """Whether an admin has approved the date, or the thing went on from there."""
    return plan.state in {PlanState.APPROVED, PlanState.IN_PROGRESS}


def in_order(steps: Collection[PlannedStep]) -> tuple[PlannedStep, ...]:
    """Steps by revision and time."""
    return tuple(sorted(steps, key=lambda step: (step.revision, step.due_at)))


def _changed(step: PlannedStep, new: Mapping[str, PlannedStep], place: Place, now: datetime) -> PlannedStep:
    """A step of the current revision as the changed cadence has it."""
    fresh = new.get(step.key)
    if step.status is StepStatus.SUPERSEDED:
        return fresh or step  # the cadence had lost it, and has it again
    if step.status is not StepStatus.PENDING:
        return step
    if fresh is None:
        reason = f"{_CHANGED}: it has no such step any more"
        return replace(step, status=StepStatus.SUPERSEDED, reason=reason, settled_at=now.astimezone(UTC))
    if step.due_at <= now or fresh.due_at == step.due_at:
        return replace(step, type=fresh.type)
    if fresh.status is StepStatus.PENDING:
        return replace(fresh, reason=f"{_CHANGED}: it was due at {by_clock(place.time_zone, step.due_at)}")
    return fresh


def is_before(cadence: Cadence, step: PlannedStep) -> bool:
    """Whether a step makes sense before the thing itself alone."""
    at = cadence.steps[step.key].at if step.key in cadence.steps else None
    return at is None or _distance(parse_offset(at)) <= 0


def _distance(offset: Offset) -> int:
    """How far from the anchor, in whichever unit; negative before it."""
    return offset.days or offset.business_days or offset.hours or 0


def _is_told(step: Step) -> bool:
    return step.at is not None and step.type is not None


def anchor_of(plan: Plan, cadence: Cadence) -> datetime | date:
    """A plan's anchor as its event gave it: a whole day stays one, in whichever zone the instance is now."""
    said = plan.facts.get(cadence.anchor)
    if isinstance(said, str) and len(said.strip()) == len("2027-01-05"):
        return date.fromisoformat(said.strip())
    return plan.anchor


def _planned(
    cadence: Cadence,
    anchor: datetime | date,
    place: Place,
    made_at: datetime,
    round_: tuple[int, Collection[str], str],
) -> tuple[PlannedStep, ...]:
    revision, already, occasion = round_
    made_at = made_at.astimezone(UTC)
    dues = [due for due in _dues(cadence, anchor, place) if due.key not in already]
    today = day_in(place.time_zone, made_at)
    over = _over(cadence, anchor, place, made_at)
    late = [
        due for due in dues if due.day < today and due.step.late == "nearest" and not (due.before and over)
    ]
    # Who adds a step to a cadence does not mean to mail everybody whose day for it has passed.
    nearest = max(late, key=lambda due: due.at, default=None) if occasion == _MADE else None
    return in_order(
        [_step(due, revision, made_at, _why(due, today, over, occasion), nearest) for due in dues]
    )


def _dues(cadence: Cadence, anchor: datetime | date, place: Place) -> Iterator[_Due]:
    start = moment_of(anchor, place)
    # A day has no hour before which to be told of it: nine o'clock of the day itself is early enough.
    latest = start - cadence.lead if isinstance(anchor, datetime) else None
    for key, step in cadence.steps.items():
        if step.at is None or step.type is None:
            continue
        offset = parse_offset(step.at)
        distance = _distance(offset)
        if offset.hours is not None:
            at = start + timedelta(hours=distance)
            day = day_in(place.time_zone, at)
        else:
            first = day_in(place.time_zone, anchor) if isinstance(anchor, datetime) else anchor
            business = offset.business_days is not None
            day = place.calendar.add_days(first, distance) if business else first + timedelta(days=distance)
            at = first_moment(place.time_zone, day, cadence.hour)
        before = distance <= 0
        yield _Due(key, step, day, min(at, latest) if before and latest else at, before)


def _over(cadence: Cadence, anchor: datetime | date, place: Place, now: datetime) -> bool:
    """Whether it is too late to tell anybody what is told before the thing itself."""
    if isinstance(anchor, datetime):
        return anchor - now < cadence.lead
    return anchor < day_in(place.time_zone, now)


def _why(due: _Due, today: date, over: bool, occasion: str) -> str:
    """Why a step that is not ahead any more is not told; empty if it still may be, today."""
    if due.day < today:
        return f"its day, {due.day.isoformat()}, had passed when {occasion}"
    return f"too little time was left before the date when {occasion}" if due.before and over else ""


def _step(due: _Due, revision: int, made_at: datetime, why: str, nearest: _Due | None) -> PlannedStep:
    planned = PlannedStep(key=due.key, revision=revision, type=due.step.type or "", due_at=due.at)
    if due.at >= made_at:
        return planned
    if due is nearest or not why:
        return replace(planned, due_at=made_at)
    return replace(planned, status=StepStatus.SKIPPED, reason=why, settled_at=made_at)
