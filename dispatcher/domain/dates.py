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
    overtaken,
    settled,
    shown,
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
        return Taken(plan, record_only=overtaken(plan)) if late else _begun_anew(turning, plan)
    if plan.state is PlanState.SUCCEEDED:
        raise MoveRefused("is succeeded: it is done", f"give another {turning.cadence.about}")
    if late and plan.facts.get(UNANNOUNCED):
        return _announced_late(turning, plan)
    moves = turning.type_at("rescheduled")
    if not moves:
        return _scheduled_again(turning, plan)
    raise MoveRefused(
        f"is {plan.state.value} for {shown(plan.anchor)}: it is scheduled already",
        f"send {moves} to move it",
    )


def _check_offer(turning: Turning) -> None:
    """The date and its alternate are among those that the same event offers, if it offers any."""
    offered = turning.said.fields.get(OFFERED)
    if not offered:
        return
    anchor, alternate = turning.anchor, turning.alternate
    if anchor not in offered:
        fix = f"add it there, or choose one of {_listed(offered)}"
        raise MoveRefused(f"{turning.cadence.anchor} {shown(anchor)} is not among {OFFERED}", fix)
    _check_alternate(anchor, alternate, offered)


def _check_alternate(anchor: Any, alternate: datetime | None, offered: Sequence[datetime]) -> None:
    if alternate is not None and alternate == anchor:
        raise MoveRefused(f"{ALTERNATE} is the date itself", "choose another, or leave it out")
    if alternate is not None and alternate not in offered:
        fix = f"choose one of {_listed(offered)}"
        raise MoveRefused(f"{ALTERNATE} {shown(alternate)} is not among the dates that are offered", fix)


def begun_by_reschedule(turning: Turning) -> Taken:
    """A plan whose first word is a reschedule: its announcement was lost, or is late.

    Raises:
        MoveRefused: The turn is another, or the date lies in the past.
    """
    if turning.said.turn != "rescheduled":
        raise MoveRefused("has no plan", f"send {turning.type_at('scheduled')} first")
    _check_ahead(turning)
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
    return taken(turning, plan, _dated(turning, new, anchor))


def _announced_late(turning: Turning, plan: Plan) -> Taken:
    """What the announcement says beside the date, of which there was a newer word."""
    facts = {key: value for key, value in plan.facts.items() if key != UNANNOUNCED}
    new = replace(plan, facts={**facts_of(turning.said), **facts})
    if plan.alternate_at is None:
        new = replace(new, facts={key: value for key, value in new.facts.items() if key != ALTERNATE})
    return replace(taken(turning, plan, new), record_only=overtaken(plan))


def _scheduled_again(turning: Turning, plan: Plan) -> Taken:
    """For a cadence without a turn that moves it, another date does."""
    anchor = given_anchor(turning)
    if moment_of(anchor, turning.place) == plan.anchor:
        turning.warnings.append("is planned for that date already: the event is told, and nothing changes")
        return taken(turning, plan, plan)
    if turning.said.said_at < plan.said_at:
        return Taken(plan, record_only=overtaken(plan))
    new = replace(plan, facts={**plan.facts, **facts_of(turning.said)})
    return taken(turning, plan, _dated(turning, new, anchor))


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
        raise MoveRefused(f"is planned for {shown(plan.anchor)} already", "give another date")
    state = PlanState.APPROVED if by_admin(said) else PlanState.SCHEDULED
    facts = {key: value for key, value in plan.facts.items() if key != ALTERNATE}
    new = replace(plan, state=state, alternate_at=utc(alternate), facts={**facts, **facts_of(said)})
    return taken(turning, plan, _dated(turning, new, anchor))


def _check_ahead(turning: Turning) -> None:
    anchor = given_anchor(turning)
    if lies_behind(anchor, turning.place, turning.said.said_at):
        raise MoveRefused(f"{shown(anchor)} lies in the past", "give a date that lies ahead")


def _check_choice(turning: Turning, plan: Plan) -> None:
    """Who is not the vendor may choose among the dates that the vendor offered."""
    by = turning.said.fields.get(BY)
    offered = _moments(plan.facts.get(OFFERED))
    admin = by_admin(turning.said)
    # Before the announcement came nobody knows what it offers.
    if (by == "vendor" and not admin) or plan.facts.get(UNANNOUNCED) or not (offered or admin):
        return
    anchor = given_anchor(turning)
    if anchor not in offered:
        choice = f"choose one of {_listed(offered)}" if offered else "no dates are offered"
        raise MoveRefused(
            f"{shown(anchor)} is not among the dates that are offered",
            f"{choice}; or give {BY}: vendor if the vendor moves it",
        )
    _check_alternate(anchor, turning.alternate, offered)


def fallback(turning: Turning, plan: Plan) -> Taken:
    """The date was missed, and the alternate date takes over.

    Raises:
        MoveRefused: There is none, or it is the date already.
    """
    anchor = turning.anchor or plan.alternate_at
    if anchor is None:
        raise MoveRefused("has no alternate date to fall back to", f"give {turning.cadence.anchor}")
    if moment_of(anchor, turning.place) == plan.anchor:
        raise MoveRefused(f"is planned for {shown(plan.anchor)} already", "give another date")
    if lies_behind(anchor, turning.place, turning.said.said_at):
        turning.warnings.append(f"the date it falls back to, {shown(anchor)}, has passed")
    state = PlanState.SCHEDULED if plan.state is PlanState.SCHEDULED else PlanState.APPROVED
    old = plan.facts.get(ALTERNATE)
    kept = {key: value for key, value in plan.facts.items() if key not in {ALTERNATE, STAGE}}
    said = {} if turning.anchor else {turning.cadence.anchor: old or anchor.isoformat()}
    facts = {**kept, **facts_of(turning.said), **said}
    new = replace(plan, state=state, alternate_at=utc(turning.alternate), facts=facts)
    return taken(turning, plan, _dated(turning, new, anchor))


def _dated(turning: Turning, plan: Plan, anchor: datetime | date) -> Plan:
    """The plan with another date: what waits for the old one is void, the rest is planned anew."""
    said = turning.said
    moved = moment_of(anchor, turning.place)
    revision = plan.revision + 1
    reason = f"the date moved from {shown(plan.anchor)} to {shown(moved)} by event {said.event_id}"
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


def _moments(given: Any) -> tuple[datetime, ...]:
    return tuple(map(datetime.fromisoformat, given)) if isinstance(given, list) else ()


def _listed(moments: Sequence[datetime]) -> str:
    return ", ".join(moment.isoformat() for moment in moments)
