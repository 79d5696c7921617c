"""Plans as people ask for them: found by what they are about, shown as JSON, and moved on by hand.

A wish becomes an event like any other, so that the same rules hold whoever decides.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dispatcher.domain.cadence import Turn
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Selection
from dispatcher.domain.plan import ENDED, Move, Plan, PlannedStep, StepStatus
from dispatcher.errors import EventInvalid, NotFound, Problem
from dispatcher.flow.present import moment_json
from dispatcher.flow.submit import Submission
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.plans import PlanFilter

#: Plans named where a name fits several.
_NAMED = 10
#: Characters of a value that a refusal quotes.
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Wish:
    """A turn that somebody wants a plan to take.

    Attributes:
        turn: Which.
        anchor: The new date, where the turn has one; plain JSON, as the event will say it.
        fields: What else the turn's event says.
        id: Unique among wishes, so that a repeat is one; made up if it is empty.
    """

    turn: Turn
    anchor: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""


async def find_plan(ledger: Ledger, name: str, instance: str | None) -> Plan:
    """The plan with that id or, at that instance, about that subject; the latest where cadences differ.

    Raises:
        NotFound: There is none, or several fit.
    """
    if instance is None and name.startswith("pln_"):
        return await ledger.plans.get(name)
    found = await ledger.plans.list(PlanFilter(subject=name, instance=instance), limit=_NAMED)
    open_ = [one for one in found if one.state not in ENDED] or found
    if len(open_) == 1:
        return open_[0]
    at = f" at {instance}" if instance else ""
    if not open_:
        raise NotFound(f"There is no plan about {name!r}{at}. `dispatcher plan list` names those there are.")
    shown = ", ".join(f"{one.id} ({one.key.cadence} at {one.key.instance})" for one in open_)
    raise NotFound(f"Several plans are about {name!r}{at}: {shown}. Name one by its id, or its instance.")


def wished(catalogue: Catalogue, plan: Plan, wish: Wish, source: str) -> Submission:
    """The event that asks for the turn.

    Raises:
        EventInvalid: The plan's cadence is not in the catalogue, or knows no such turn; or the wish is about
            something else than the plan.
    """
    type_ = turn_type(catalogue, plan, wish.turn)
    cadence = catalogue.cadences[plan.key.cadence]
    about, subject = cadence.about, plan.key.subject
    if wish.fields.get(about) not in (None, subject):
        what = f"is {str(wish.fields[about])[:_SHOWN]!r}, and the plan is about {subject}"
        raise EventInvalid(Problem(f"fields.{about}", what, "leave it out, or name the other plan", about))
    fields = {**wish.fields, about: subject}
    if wish.anchor:
        fields[cadence.anchor] = wish.anchor
    return Submission(
        source=source,
        id=wish.id or uuid.uuid4().hex,
        type=type_,
        selection=Selection("instances", (plan.key.instance,)),
        thread=None,
        fields=fields,
    )


def turn_type(catalogue: Catalogue, plan: Plan, turn: Turn) -> str:
    """The communication type whose events have the plan take that turn.

    Raises:
        EventInvalid: The plan's cadence is not in the catalogue, or knows no such turn.
    """
    key = plan.key.cadence
    cadence = catalogue.cadences.get(key)
    step = cadence and cadence.step_on(turn)
    if not step or step[1].type is None:
        what = f"has no step `on: {turn}`, so no event says that"
        fix = "add one to catalogue.yaml, or wait for the plan's end"
        raise EventInvalid(Problem(f"cadences.{key}", what, fix))
    return step[1].type


def next_step(plan: Plan) -> PlannedStep | None:
    """What is told next of a plan; None if nothing is pending."""
    pending = (step for step in plan.steps if step.status is StepStatus.PENDING)
    return min(pending, key=lambda step: step.due_at, default=None)


def plan_json(plan: Plan, moves: Sequence[Move] | None = None) -> dict[str, Any]:
    """The plan as JSON values; moments are ISO 8601 in UTC. Without `moves` there is no such key."""
    step = next_step(plan)
    shown = {
        "id": plan.id,
        "cadence": plan.key.cadence,
        "subject": plan.key.subject,
        "instance": plan.key.instance,
        "state": plan.state.value,
        "mandatory": plan.mandatory,
        "date": moment_json(plan.anchor),
        "alternate_at": moment_json(plan.alternate_at),
        "revision": plan.revision,
        "warnings": list(plan.warnings),
        "facts": {key: value for key, value in plan.facts.items() if not key.startswith("_")},
        "next": None if step is None else step_json(step),
        "made_at": moment_json(plan.made_at),
        "updated_at": moment_json(plan.updated_at),
        "steps": [step_json(one) for one in plan.steps],
    }
    return shown if moves is None else shown | {"moves": [_move_json(move) for move in moves]}


def step_json(step: PlannedStep) -> dict[str, Any]:
    """A step as JSON values."""
    return {
        "step": step.key,
        "revision": step.revision,
        "type": step.type,
        "due_at": moment_json(step.due_at),
        "status": step.status.value,
        "reason": step.reason,
        "event": step.event,
        "settled_at": moment_json(step.settled_at),
    }


def _move_json(move: Move) -> dict[str, Any]:
    return {
        "turn": move.turn,
        "event": move.event,
        "at": moment_json(move.at),
        "from": moment_json(move.before),
        "to": moment_json(move.after),
        "revision": move.revision,
        "by": move.decision.by if move.decision else None,
        "delivery": (move.decision.delivery or None) if move.decision else None,
    }
