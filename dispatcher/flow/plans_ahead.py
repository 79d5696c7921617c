"""What `status` says of plans: when the next step is due, and which plans are warned of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dispatcher.domain.plan import Plan
from dispatcher.domain.turning import UNANNOUNCED
from dispatcher.flow.present import moment_json
from dispatcher.flow.spans import number, since
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.plan_steps import DueStep

#: Plans that are named; who has more reads `dispatcher plan list`.
NAMED = 20
#: Steps are told within seconds; ten thousand that are due at once take a minute or two.
SLOW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is planned.

    Attributes:
        next_due: When the next step is due, or was; None if none is pending.
        warned: The newest open plans that carry a warning, at most `NAMED` and one.
        untold: The first steps that are due and cannot be told, at most `NAMED` and one.
    """

    next_due: datetime | None = None
    warned: Sequence[Plan] = ()
    untold: Sequence[DueStep] = ()


NOTHING_AHEAD = Ahead()


async def look_ahead(ledger: Ledger) -> Ahead:
    """What is planned, as the ledger has it.

    Raises:
        ServiceUnreachable: The ledger does not answer.
    """
    untold = await ledger.plans.untold(ledger.database.now(), NAMED + 1)
    return Ahead(await ledger.plans.next_due(), await ledger.plans.warned(NAMED + 1), untold)


def ahead_problems(ahead: Ahead, now: datetime) -> Iterator[str]:
    """What needs attention: steps that are due although a worker is there."""
    for due in ahead.untold[:NAMED]:
        what = f"{due.step.key} of {due.plan.key.subject} at {due.plan.key.instance}"
        yield f"{what} is due since {since(due.step.due_at, now)} and {due.step.reason}. {_mended(due.plan)}"
    if len(ahead.untold) > NAMED:
        yield "There are more such steps. The log of a worker names each"
    if not ahead.untold and ahead.next_due and now - ahead.next_due > SLOW:
        when = since(ahead.next_due, now)
        yield f"A step of a plan is due since {when} and is not told. The log of a worker says why"


def _mended(plan: Plan) -> str:
    """What to do where an event of a plan lacks something."""
    if plan.facts.get(UNANNOUNCED):
        return "Its announcement has not come: send it, and it goes out; or cancel the plan"
    return "Put the catalogue right and restart the workers, or cancel the plan"


def ahead_facts(ahead: Ahead) -> Iterator[str]:
    """What is planned, and what is warned of; nothing is withheld for it."""
    if ahead.next_due:
        yield f"Next step of a plan: due at {ahead.next_due:%Y-%m-%d %H:%M:%S}Z"
    if ahead.warned:
        named = ahead.warned[:NAMED]
        more = "at least " if len(ahead.warned) > NAMED else ""
        yield f"Warned of: {more}{number(len(named), 'plan')}"
    for plan in ahead.warned[:NAMED]:
        yield from (f"  {plan.key.subject} at {plan.key.instance}: {warning}" for warning in plan.warnings)


def ahead_json(ahead: Ahead) -> dict[str, Any]:
    """The same as JSON values."""
    warnings = [
        {
            "plan": plan.id,
            "subject": plan.key.subject,
            "instance": plan.key.instance,
            "warnings": list(plan.warnings),
        }
        for plan in ahead.warned[:NAMED]
    ]
    untold = [
        {
            "plan": due.plan.id,
            "subject": due.plan.key.subject,
            "instance": due.plan.key.instance,
            "step": due.step.key,
            "due_at": moment_json(due.step.due_at),
            "reason": due.step.reason,
        }
        for due in ahead.untold[:NAMED]
    ]
    return {"plans": {"next_due_at": moment_json(ahead.next_due), "warned": warnings, "untold": untold}}
