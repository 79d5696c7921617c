"""Rows of what nobody is told: refused events, steps that a plan does not tell, and what is owed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from dispatcher.domain.incident import Obligation
from dispatcher.domain.moment import by_clock
from dispatcher.domain.plan import Plan, PlannedStep, StepStatus
from dispatcher.flow.check import Submission
from dispatcher.flow.foresight.outlook import Fate, Period, Row, zone_of
from dispatcher.flow.foresight.rules import Rules

_SETTLED = {
    StepStatus.SKIPPED: Fate.SKIPPED,
    StepStatus.SUPERSEDED: Fate.SUPERSEDED,
    StepStatus.CANCELLED: Fate.CANCELLED,
}


def name_of(submission: Submission) -> str:
    """An event as rows name it: its source and its id."""
    return f"{submission.source} {submission.id}"


def refused(rules: Rules, submission: Submission, at: datetime, why: str) -> Iterator[Row]:
    """A row for each instance that a refused event names; one without an instance if it names none."""
    selection = submission.selection
    names = selection.values if selection and selection.kind == "instances" else ()
    cadence, subject = _about(rules, submission)
    for name in names or ("",):
        yield Row(
            at=at.astimezone(zone_of(_zone(rules, name))),
            instance=name,
            type=submission.type,
            step="",
            channels=(),
            to=(),
            status=Fate.REFUSED,
            reason=why,
            cadence=cadence,
            subject=subject,
            event=name_of(submission),
        )


def unsent(rules: Rules, plans: Iterable[Plan], period: Period) -> Iterator[Row]:
    """The steps that plans do not tell, by their day; skipped ones also by the moment at which they were."""
    for plan in plans:
        zone = _zone(rules, plan.key.instance)
        for step in plan.steps:
            moments = [step.due_at]
            if step.status is StepStatus.SKIPPED and step.settled_at:
                moments.append(step.settled_at)
            if step.status in _SETTLED and any(period.covers(moment, zone) for moment in moments):
                yield _unsent(rules, plan, step, zone)


def owed(rules: Rules, obligation: Obligation, instances: Iterable[str], period: Period) -> Iterator[Row]:
    """What is late from this moment on, for each instance of its incident; the owners are reminded.

    What was late before the period stands where that begins.
    """
    owners = tuple(owner.address for owner in rules.catalogue.owners)
    for name in instances:
        zone = _zone(rules, name)
        yield Row(
            at=max(obligation.due_at, period.beginning(zone)).astimezone(zone_of(zone)),
            instance=name,
            type=obligation.owes,
            step=obligation.step,
            channels=("mail",) if owners else (),
            to=owners,
            status=Fate.OWED,
            reason=f"it must be sent by {by_clock(zone, obligation.due_at)} for {obligation.incident}",
            cadence=obligation.cadence,
            subject=obligation.incident,
            why=dict.fromkeys(owners, ("owners catalogue.yaml",)),
        )


def _unsent(rules: Rules, plan: Plan, step: PlannedStep, zone: str) -> Row:
    cadence = rules.catalogue.cadences.get(plan.key.cadence)
    known = cadence.steps.get(step.key) if cadence else None
    spec = rules.catalogue.types.get(step.type)
    channels = known.channels if known and known.channels is not None else spec.channels if spec else []
    return Row(
        at=step.due_at.astimezone(zone_of(zone)),
        instance=plan.key.instance,
        type=step.type,
        step=step.key,
        channels=tuple(channels),
        to=(),
        status=_SETTLED[step.status],
        reason=step.reason,
        cadence=plan.key.cadence,
        subject=plan.key.subject,
    )


def _about(rules: Rules, submission: Submission) -> tuple[str, str]:
    """The cadence and the subject of an event; empty for one of none."""
    for key, cadence in rules.catalogue.cadences.items():
        about = submission.fields.get(cadence.about)
        if cadence.turn_of(submission.type) and isinstance(about, str):
            return key, about
    return "", submission.thread or ""


def _zone(rules: Rules, instance: str) -> str:
    found = rules.recipients.get(instance)
    return found.time_zone if found else "UTC"
