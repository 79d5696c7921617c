"""The turns of a plan's life that are a word on its date.

A date that comes after a newer word on it moves nothing: so the same events end on the same date, in
whichever order they come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from dispatcher.domain.plan import Plan, PlanState, StepStatus
from dispatcher.domain.planning import digest, in_order, lies_behind, moment_of, steps_for
from dispatcher.domain.turning import (
    ALTERNATE,
    BY,
    OFFERED,
    STAGE,
    UNANNOUNCED,
    MoveRefused,
    Taken,
    Turning,
    by_admin,
    facts_of,
    given_anchor,
    settled,
    taken,
    utc,
)


def scheduled(turning: Turning, plan: Plan | None) -> Taken:
    """The date is told for the first time: the plan begins.

    Raises:
        MoveRefused: The event does not fit together, or the plan has begun already.
    """
    _check_offer(turning)
    if plan is None:
        return _begun(turning, PlanState.SCHEDULED, {})
    late = turning.said.said_at < plan.said_at
    if plan.state is PlanState.CANCELLED:
        return Taken(plan, record_only=turning.overtaken(plan)) if late else _begun_anew(turning, plan)
    waited_for = plan.facts.get(UNANNOUNCED)
    if plan.state is PlanState.SUCCEEDED:
        if waited_for:
            return Taken(plan, record_only=turning.overtaken(plan))
        raise MoveRefused("is done already", f"give another {turning.cadence.about}")
    if waited_for:
        return _announced_late(turning, plan)
    moves = turning.type_at("rescheduled")
    if not moves:
        return _scheduled_again(turning, plan)
    raise MoveRefused(
        f"is {plan.state.value} for {turning.date_of(plan)}: it is scheduled already",
        f"send {moves} to move it",
    )


def _check_offer(turning: Turning) -> None:
    """The date and its alternate are two, and among those that the same event offers, if it offers any."""
    offered = turning.said.fields.get(OFFERED)
    anchor = given_anchor(turning)
    if offered and anchor not in offered:
        fix = f"add it there, or choose one of {_listed(offered)}"
        raise MoveRefused(f"{turning.cadence.anchor} {turning.shown(anchor)} is not among {OFFERED}", fix)
    _check_alternate(turning, anchor, offered or ())


def _check_alternate(turning: Turning, anchor: datetime | date, offered: Sequence[datetime]) -> None:
    """The alternate date is another one, of those that are offered if any are; it should be a later one."""
    alternate, moment = turning.alternate, moment_of(anchor, turning.place)
    if alternate is None:
        return
    if alternate == moment:
        raise MoveRefused(f"{ALTERNATE} is the date itself", "choose another, or leave it out")
    if alternate < moment:
        turning.warnings.append(
            f"has an {ALTERNATE}, {turning.shown(alternate)}, that lies before the date: "
            "once the date is missed it has passed"
        )
    if offered and alternate not in offered:
        fix = f"choose one of {_listed(offered)}"
        raise MoveRefused(
            f"{ALTERNATE} {turning.shown(alternate)} is not among the dates that are offered", fix
        )


def begun_by_reschedule(turning: Turning) -> Taken:
    """A plan whose first word is a reschedule: its announcement was lost, or is late.

    Raises:
        MoveRefused: The turn is another, or the date lies in the past.
    """
    if turning.said.turn != "rescheduled":
        raise MoveRefused("has no plan", f"send {turning.type_at('scheduled')} first")
    _check_ahead(turning)
    _check_alternate(turning, given_anchor(turning), ())
    turning.warnings.append(
        f"nothing was told of it before: the plan begins with {turning.said.type}, and what it leaves out "
        f"waits for {turning.type_at('scheduled')}"
    )
    state = PlanState.APPROVED if by_admin(turning.said) else PlanState.SCHEDULED
    return _begun(turning, state, {UNANNOUNCED: True})


def _begun(turning: Turning, state: PlanState, marks: Mapping[str, Any]) -> Taken:
    said = turning.said
    anchor = given_anchor(turning)
    plan = Plan(
        key=turning.key,
        state=state,
        anchor=moment_of(anchor, turning.place),
        alternate_at=utc(turning.alternate),
        revision=1,
        facts={**facts_of(said), **marks},
        cadence_digest=digest(turning.cadence),
        said_at=said.said_at.astimezone(UTC),
        made_at=said.accepted_at.astimezone(UTC),
        updated_at=said.accepted_at.astimezone(UTC),
        steps=steps_for(turning.cadence, anchor, turning.place, said.accepted_at, 1),
    )
    return taken(turning, None, plan)


def _begun_anew(turning: Turning, plan: Plan) -> Taken:
    """After it was cancelled: another life, with nothing left of the first but its steps."""
    facts = facts_of(turning.said)
    anchor = given_anchor(turning)
    new = replace(plan, state=PlanState.SCHEDULED, facts=facts, alternate_at=utc(turning.alternate))
    return taken(turning, plan, _dated(turning, plan, new, anchor))


def _announced_late(turning: Turning, plan: Plan) -> Taken:
    """What the announcement says beside the date: whatever its time, a reschedule comes after it."""
    facts = {key: value for key, value in plan.facts.items() if key != UNANNOUNCED}
    new = replace(plan, facts={**facts_of(turning.said), **facts})
    if plan.alternate_at is None:
        new = replace(new, facts={key: value for key, value in new.facts.items() if key != ALTERNATE})
    return replace(taken(turning, plan, new), record_only=turning.overtaken(plan))


def _scheduled_again(turning: Turning, plan: Plan) -> Taken:
    """For a cadence without a turn that moves it, another date does."""
    anchor = given_anchor(turning)
    if moment_of(anchor, turning.place) == plan.anchor:
        turning.warnings.append("is planned for that date already: the event is told, and nothing changes")
        return taken(turning, plan, plan)
    if turning.said.said_at < plan.said_at:
        return Taken(plan, record_only=turning.overtaken(plan))
    new = replace(plan, facts={**plan.facts, **facts_of(turning.said)})
    return taken(turning, plan, _dated(turning, plan, new, anchor))


def rescheduled(turning: Turning, plan: Plan) -> Taken:
    """An admin or the vendor moves the date.

    Raises:
        MoveRefused: It has started, or the date cannot be that one.
    """
    said = turning.said
    if plan.state is PlanState.IN_PROGRESS:
        raise MoveRefused(
            "is in progress: it can be moved until it starts, not after", "leave the date as it is"
        )
    anchor, alternate = given_anchor(turning), turning.alternate
    _check_ahead(turning)
    _check_choice(turning, plan)
    if moment_of(anchor, turning.place) == plan.anchor and utc(alternate) == plan.alternate_at:
        raise MoveRefused(f"is planned for {turning.date_of(plan)} already", "give another date")
    state = PlanState.APPROVED if by_admin(said) else PlanState.SCHEDULED
    facts = {key: value for key, value in plan.facts.items() if key != ALTERNATE}
    new = replace(plan, state=state, alternate_at=utc(alternate), facts={**facts, **facts_of(said)})
    return taken(turning, plan, _dated(turning, plan, new, anchor))


def _check_ahead(turning: Turning) -> None:
    anchor = given_anchor(turning)
    if lies_behind(anchor, turning.place, turning.said.said_at):
        raise MoveRefused(f"{turning.shown(anchor)} lies in the past", "give a date that lies ahead")


def _check_choice(turning: Turning, plan: Plan) -> None:
    """Who is not the vendor may choose among the dates that the vendor offered."""
    by = turning.said.fields.get(BY)
    offered = _moments(plan.facts.get(OFFERED))
    admin = by_admin(turning.said)
    anchor = given_anchor(turning)
    # Before the announcement came nobody knows what it offers.
    if (by == "vendor" and not admin) or plan.facts.get(UNANNOUNCED) or not (offered or admin):
        _check_alternate(turning, anchor, ())
        return
    if anchor not in offered:
        choice = f"choose one of {_listed(offered)}" if offered else "no dates are offered"
        raise MoveRefused(
            f"{turning.shown(anchor)} is not among the dates that are offered",
            f"{choice}; or give {BY}: vendor if the vendor moves it",
        )
    _check_alternate(turning, anchor, offered)


def fallback(turning: Turning, plan: Plan) -> Taken:
    """The date was missed, and the alternate date takes over.

    Raises:
        MoveRefused: There is none, or it is the date already.
    """
    anchor = turning.anchor or plan.alternate_at
    if anchor is None:
        raise MoveRefused("has no alternate date to fall back to", f"give {turning.cadence.anchor}")
    if moment_of(anchor, turning.place) == plan.anchor:
        raise MoveRefused(f"is planned for {turning.date_of(plan)} already", "give another date")
    if lies_behind(anchor, turning.place, turning.said.said_at):
        turning.warnings.append(f"the date it falls back to, {turning.shown(anchor)}, has passed")
    # The alternate date was approved with the date; any other is the vendor's.
    approved = plan.state is not PlanState.SCHEDULED and moment_of(anchor, turning.place) == plan.alternate_at
    state = PlanState.APPROVED if approved else PlanState.SCHEDULED
    old = plan.facts.get(ALTERNATE)
    kept = {key: value for key, value in plan.facts.items() if key not in {ALTERNATE, STAGE}}
    said = {} if turning.anchor else {turning.cadence.anchor: old or anchor.isoformat()}
    facts = {**kept, **facts_of(turning.said), **said}
    new = replace(plan, state=state, alternate_at=utc(turning.alternate), facts=facts)
    return taken(turning, plan, _dated(turning, plan, new, anchor))


def _dated(turning: Turning, before: Plan, plan: Plan, anchor: datetime | date) -> Plan:
    """The plan with another date: what waits for the old one is void, the rest is planned anew."""
    said = turning.said
    moved = moment_of(anchor, turning.place)
    revision = plan.revision + 1
    reason = _moved(turning, before, plan, anchor)
    # Where the alternate date alone changes, what was told of the date is not told again: neither what this
    # revision told, nor what it has not because one before it did.
    stands = {step.key: step.status for step in plan.steps if step.revision == plan.revision}
    told = {
        key
        for key in turning.cadence.steps
        if stands.get(key, StepStatus.SENT) is StepStatus.SENT and moved == plan.anchor
    }
    return replace(
        plan,
        anchor=moved,
        revision=revision,
        cadence_digest=digest(turning.cadence),
        said_at=said.said_at.astimezone(UTC),
        steps=in_order(
            settled(plan.steps, StepStatus.SUPERSEDED, reason, said.accepted_at)
            + steps_for(turning.cadence, anchor, turning.place, said.accepted_at, revision, told)
        ),
    )


def _moved(turning: Turning, before: Plan, after: Plan, anchor: datetime | date) -> str:
    """What a new word on the date changed: the date, or the alternate date alone."""
    event = turning.said.event_id
    if moment_of(anchor, turning.place) != before.anchor:
        return f"the date moved from {turning.date_of(before)} to {turning.shown(anchor)} by event {event}"
    was, now = before.alternate_at, after.alternate_at
    if was is None:
        return f"there is an alternate date now, by event {event}"
    if now is None:
        return f"the alternate date was dropped by event {event}"
    return f"the alternate date moved from {turning.shown(was)} to {turning.shown(now)} by event {event}"


def _moments(given: Any) -> tuple[datetime, ...]:
    return tuple(map(datetime.fromisoformat, given)) if isinstance(given, list) else ()


def _listed(moments: Sequence[datetime]) -> str:
    return ", ".join(moment.isoformat() for moment in moments)
