"""Plans for tests of the ledger, and rules for them that are as simple as can be."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, get_args

from clock import Clock
from ledger_records import new_event
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.cadence import Turn
from dispatcher.domain.event import Heard, NewEvent, Selection, StepKey
from dispatcher.domain.plan import Advance, Move, Plan, PlanKey, PlannedStep, PlanState, StepStatus
from dispatcher.errors import EventInvalid, Problem
from dispatcher.ledger.intake import Intake

#: When the update of these tests takes place at first.
ANCHOR = Clock().now + timedelta(days=30)
#: How long before it the steps are told.
STEPS = {"in-30-days": timedelta(days=30), "in-7-days": timedelta(days=7), "on-the-day": timedelta()}


def key_of(
    instance: str = "contoso-prod", subject: str = "update-9", cadence: str = "major-update"
) -> PlanKey:
    return PlanKey(cadence, subject, instance)


def said(
    turn: Turn,
    *instances: str,
    id_: str = "",
    at: datetime = ANCHOR,
    **fields: Any,
) -> NewEvent:
    """An event that takes plans through a turn; its id is the turn's name unless another is given."""
    return replace(
        new_event(id_ or turn, type_=f"update-{turn}"),
        selection=Selection("instances", instances or ("contoso-prod",)),
        fields={"update": "update-9", "scheduled_at": at.isoformat(), **fields},
    )


def told(step: StepKey, *, fingerprint: str = "f1") -> NewEvent:
    """The event that tells a step."""
    id_ = f"{step.plan}/{step.revision}/{step.key}"
    event = new_event(id_, source="dispatcher:plans", type_="update-reminder", fingerprint=fingerprint)
    return replace(event, step=step)


def steps_of(anchor: datetime, revision: int) -> tuple[PlannedStep, ...]:
    return tuple(
        PlannedStep(key, revision, "update-reminder", anchor - ahead) for key, ahead in STEPS.items()
    )


@dataclass
class Aimed:
    """An event that rules are asked about."""

    rules: Rules
    new: NewEvent
    many: bool = False

    def keys(self) -> Collection[PlanKey]:
        return self.rules.keys(self.new)

    def begins(self) -> Collection[PlanKey]:
        return self.keys() if self.new.type == "update-scheduled" else ()

    def advance(
        self,
        event: str,
        plans: Mapping[PlanKey, Plan],
        now: datetime,
        early: Mapping[PlanKey, Sequence[Heard]],
    ) -> Advance:
        return self.rules.advance(self.new, event, plans, now)


@dataclass
class Rules:
    """An advancer: scheduled makes a plan, rescheduled moves it, anything else ends it; twice is refused."""

    cadence: str = "major-update"
    asked: list[str] = field(default_factory=list)
    advice: Mapping[str, Any] = field(default_factory=dict)
    many: bool = False
    threads: set[int] = field(default_factory=set)

    def aim(self, new: NewEvent) -> Aimed | None:
        return Aimed(self, new, self.many) if "update" in new.fields else None

    def keys(self, new: NewEvent) -> Collection[PlanKey]:
        return [key_of(instance, new.fields["update"], self.cadence) for instance in new.selection.values]

    def advance(self, new: NewEvent, event: str, plans: Mapping[PlanKey, Plan], now: datetime) -> Advance:
        self.asked.append(new.external_id)
        self.threads.add(threading.get_ident())
        turn = next(turn for turn in get_args(Turn) if new.type == f"update-{turn}")
        changed = [self._plan(key, plans.get(key), new, event, now) for key in self.keys(new)]
        moves = [
            Move(
                plan=plan.key,
                turn=turn,
                event=event,
                at=now,
                before=plans[plan.key].anchor if plan.key in plans else None,
                after=plan.anchor,
                revision=plan.revision,
                facts={"version": "9.1", "instance": plan.key.instance},
                decision=new.decision,
            )
            for plan in changed
        ]
        return Advance(tuple(changed), tuple(moves), **self.advice)

    def _plan(self, key: PlanKey, plan: Plan | None, new: NewEvent, event: str, now: datetime) -> Plan:
        anchor = datetime.fromisoformat(new.fields["scheduled_at"])
        if (plan is None) != (new.type == "update-scheduled") or (plan and plan.state != PlanState.SCHEDULED):
            raise EventInvalid(Problem("scheduled_at", f"{key.instance} does not allow it", "let it be"))
        if plan is None:
            return Plan(
                key=key,
                state=PlanState.SCHEDULED,
                anchor=anchor,
                alternate_at=None,
                revision=1,
                facts={"version": "9.1", "parts": ["a", None, True]},
                cadence_digest="d1",
                said_at=now,
                made_at=now,
                updated_at=now,
                steps=steps_of(anchor, 1),
                warnings=("take care ■",),
            )
        revision = plan.revision
        fresh: tuple[PlannedStep, ...] = ()
        if new.type == "update-rescheduled":
            revision, fresh = revision + 1, steps_of(anchor, revision + 1)
        return replace(
            plan,
            state=PlanState.SCHEDULED if fresh else PlanState.CANCELLED,
            anchor=anchor,
            revision=revision,
            updated_at=now,
            steps=(*(_dropped(step, event, now) for step in plan.steps), *fresh),
        )


def _dropped(step: PlannedStep, event: str, now: datetime) -> PlannedStep:
    if step.status is not StepStatus.PENDING:
        return step
    return replace(step, status=StepStatus.SUPERSEDED, reason=f"moved by {event}", settled_at=now)


@dataclass
class Books:
    """An observer that notes what it was handed."""

    seen: list[Intake] = field(default_factory=list)

    async def __call__(self, transaction: AsyncConnection, batch: Collection[Intake]) -> None:
        assert transaction.in_transaction()
        self.seen += batch
