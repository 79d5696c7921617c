"""The life of a plan: which turns it may take, and what each makes of its date and its steps.

A turn is what an event says. Whatever may not be, is refused with its reason and changes nothing; a word on
the date that comes after a newer one is kept, and changes nothing either (docs/decisions/0024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC
from functools import partial
from typing import Any, Final

from dispatcher.domain.cadence import Cadence, Turn
from dispatcher.domain.dates import begun_by_reschedule, fallback, rescheduled, scheduled
from dispatcher.domain.plan import ENDED, Plan, PlanKey, PlanState, StepStatus
from dispatcher.domain.planning import Place, is_before, moment_of
from dispatcher.domain.turning import (
    STAGE,
    STAGES,
    MoveRefused,
    Statement,
    Taken,
    Turning,
    settled,
    taken,
)

__all__ = ["MoveRefused", "Statement", "Taken", "advance"]


def advance(key: str, cadence: Cadence, plan: Plan | None, said: Statement, place: Place) -> Taken:
    """What a statement makes of a plan.

    Args:
        key: The cadence's key in the catalogue.
        cadence: Whose plan it is.
        plan: As it stands; None where there is none yet.
        said: The statement; without a plan, its turn is ``scheduled`` or ``rescheduled``.
        place: Where the instance is.

    Raises:
        MoveRefused: The plan may not take that turn.
    """
    turning = Turning(PlanKey(key, said.subject, said.instance), cadence, said, place)
    if said.turn == "scheduled":
        return scheduled(turning, plan)
    if plan is None:
        return begun_by_reschedule(turning)
    if plan.state in ENDED:
        again = turning.type_at("scheduled")
        fix = f"send {again} to begin anew" if plan.state is PlanState.CANCELLED else "leave it"
        stands = "is cancelled" if plan.state is PlanState.CANCELLED else "is done"
        raise MoveRefused(f"{stands}: nothing moves it any more", fix)
    if said.turn in {"approved", "rescheduled", "fallback"} and said.said_at < plan.said_at:
        return Taken(plan, record_only=turning.overtaken(plan))
    return _TURNS[said.turn](turning, plan)


def _approved(turning: Turning, plan: Plan) -> Taken:
    if plan.state is PlanState.APPROVED:
        raise MoveRefused(f"is approved already, for {turning.date_of(plan)}", "leave it")
    if plan.state is PlanState.IN_PROGRESS:
        raise MoveRefused("is in progress: it can be approved until it starts, not after", "leave it")
    anchor = turning.anchor
    if anchor is not None and moment_of(anchor, turning.place) != plan.anchor:
        what = f"is planned for {turning.date_of(plan)}, not for {turning.shown(anchor)}"
        raise MoveRefused(what, f"approve that date, or send {turning.type_at('rescheduled')}")
    if plan.anchor < turning.said.said_at:
        turning.warnings.append(f"is approved for a date that has passed, {turning.date_of(plan)}")
    if plan.mandatory:
        turning.warnings.append("is mandatory: it is done without approval")
    return taken(turning, plan, replace(plan, state=PlanState.APPROVED))


def _in_progress(turning: Turning, plan: Plan) -> Taken:
    stage = turning.said.fields.get(STAGE)
    if plan.state is PlanState.IN_PROGRESS:
        _check_stage(plan.facts.get(STAGE), stage)
    elif plan.state is PlanState.SCHEDULED and not plan.mandatory and turning.cadence.decisions:
        turning.warnings.append("starts without approval, and nothing is applied before it is approved")
    facts = {**plan.facts, STAGE: stage} if stage else plan.facts
    steps = settled(
        plan.steps,
        StepStatus.CANCELLED,
        "it has started",
        turning.said.accepted_at,
        # What comes after the thing, such as a word on how it went, still comes.
        only=partial(is_before, turning.cadence),
    )
    return taken(turning, plan, replace(plan, state=PlanState.IN_PROGRESS, facts=facts, steps=steps))


def _check_stage(before: Any, stage: Any) -> None:
    if stage is None:
        raise MoveRefused("is in progress already", f"give its {STAGE}, or leave it")
    if before not in STAGES or stage not in STAGES:
        return
    if stage == before:
        raise MoveRefused(f"is at the stage {stage} already", "leave it")
    if STAGES.index(stage) < STAGES.index(before):
        fix = f"give a stage after it ({', '.join(STAGES)})"
        raise MoveRefused(f"is at the stage {before}, which comes after {stage}", fix)


def _succeeded(turning: Turning, plan: Plan) -> Taken:
    if plan.state is not PlanState.IN_PROGRESS and turning.cadence.step_on("in-progress"):
        turning.warnings.append("is done, and nobody said that it had started")
    return _ended(turning, plan, PlanState.SUCCEEDED, "it is done")


def _cancelled(turning: Turning, plan: Plan) -> Taken:
    ended = _ended(turning, plan, PlanState.CANCELLED, "it was cancelled")
    # A word on the date as well: what was said of it before is overtaken.
    said_at = max(plan.said_at, turning.said.said_at.astimezone(UTC))
    return replace(ended, plan=replace(ended.plan, said_at=said_at))


def _ended(turning: Turning, plan: Plan, state: PlanState, reason: str) -> Taken:
    steps = settled(plan.steps, StepStatus.CANCELLED, reason, turning.said.accepted_at)
    return taken(turning, plan, replace(plan, state=state, steps=steps))


def _compatibility(turning: Turning, plan: Plan) -> Taken:
    return taken(turning, plan, plan)


_TURNS: Final[Mapping[Turn, Callable[[Turning, Plan], Taken]]] = {
    "approved": _approved,
    "rescheduled": rescheduled,
    "in-progress": _in_progress,
    "succeeded": _succeeded,
    "fallback": fallback,
    "cancelled": _cancelled,
    "compatibility": _compatibility,
}
