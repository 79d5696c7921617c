"""Plans as rows: read with their steps, and written back as what differs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, bindparam, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.plan import Decision, Move, Plan, PlanKey, PlannedStep, PlanState, StepStatus
from dispatcher.ledger.columns import storable
from dispatcher.ledger.event_rows import PAIRS
from dispatcher.ledger.plan_tables import plan_moves, plan_steps, plans

_Any = TypeVar("_Any")

_OF_KEY = tuple_(plans.c.subject, plans.c.instance, plans.c.cadence)
#: What of a plan may change; the rest is what it is.
_CHANGES = (
    "state",
    "anchor",
    "alternate_at",
    "revision",
    "facts",
    "cadence_digest",
    "warnings",
    "said_at",
    "updated_at",
)
_STEP_CHANGES = ("type", "due_at", "status", "reason", "event", "settled_at")
_UPDATE_PLAN = (
    update(plans)
    .where(plans.c.id == bindparam("its_id"))
    .values({name: bindparam(f"its_{name}") for name in ("version", *_CHANGES)})
)
_UPDATE_STEP = (
    update(plan_steps)
    .where(
        plan_steps.c.plan == bindparam("its_plan"),
        plan_steps.c.revision == bindparam("its_revision"),
        plan_steps.c.key == bindparam("its_key"),
    )
    .values({name: bindparam(f"its_{name}") for name in _STEP_CHANGES})
)


def portions(many: Sequence[_Any]) -> Iterator[Sequence[_Any]]:
    """Many values in parts that fit into one IN list."""
    for start in range(0, len(many), PAIRS):
        yield many[start : start + PAIRS]


async def load_plans(connection: AsyncConnection, condition: ColumnElement[bool]) -> list[Plan]:
    """The plans for which the condition holds, with their steps, in the order of their ids."""
    rows = (await connection.execute(select(plans).where(condition).order_by(plans.c.id))).all()
    steps: dict[str, list[PlannedStep]] = {}
    for some in portions([row.id for row in rows]):
        query = (
            select(plan_steps)
            .where(plan_steps.c.plan.in_(some))
            .order_by(plan_steps.c.plan, plan_steps.c.revision, plan_steps.c.due_at, plan_steps.c.key)
        )
        for row in await connection.execute(query):
            steps.setdefault(row.plan, []).append(step_of(row))
    return [plan_of(row, steps.get(row.id, ())) for row in rows]


async def plans_about(connection: AsyncConnection, keys: Collection[PlanKey]) -> dict[PlanKey, Plan]:
    """Those of the plans that there are."""
    found: dict[PlanKey, Plan] = {}
    wanted = [
        (storable(key.subject), storable(key.instance), storable(key.cadence)) for key in dict.fromkeys(keys)
    ]
    for some in portions(wanted):
        found |= {plan.key: plan for plan in await load_plans(connection, _OF_KEY.in_(some))}
    return found


async def save_plans(transaction: AsyncConnection, before: Mapping[str, Plan], after: Sequence[Plan]) -> None:
    """Write plans as they are from now on; those with an id that is not in `before` are new.

    Steps are told apart by revision and key. One that a plan has no more stays in the ledger: what was
    planned once is never forgotten.
    """
    fresh = [{**_plan_row(plan), "made_at": plan.made_at} for plan in after if plan.id not in before]
    changed = [_plan_row(plan, "its_") for plan in after if plan.id in before]
    new_steps, other_steps = _step_changes(before, after)
    if fresh:
        # RETURNING is for the speed of PostgreSQL's driver, as in `expansions`.
        await transaction.execute(insert(plans).returning(plans.c.id), fresh)
    if changed:
        await transaction.execute(_UPDATE_PLAN, changed)
    if other_steps:
        await transaction.execute(_UPDATE_STEP, other_steps)
    if new_steps:
        await transaction.execute(insert(plan_steps).returning(plan_steps.c.key), new_steps)


async def add_moves(transaction: AsyncConnection, moves: Sequence[tuple[str, Move]]) -> None:
    """Keep the turns that plans took, each with its plan's id."""
    if moves:
        rows = [_move_row(plan, move) for plan, move in moves]
        await transaction.execute(insert(plan_moves).returning(plan_moves.c.id), rows)


def step_of(row: Any) -> PlannedStep:
    """A step from its row."""
    return PlannedStep(
        key=row.key,
        revision=row.revision,
        type=row.type,
        due_at=row.due_at,
        status=StepStatus(row.status),
        reason=row.reason,
        event=row.event,
        settled_at=row.settled_at,
    )


def plan_of(row: Any, steps: Sequence[PlannedStep]) -> Plan:
    """A plan from its row and its steps."""
    return Plan(
        key=PlanKey(row.cadence, row.subject, row.instance),
        state=PlanState(row.state),
        anchor=row.anchor,
        alternate_at=row.alternate_at,
        revision=row.revision,
        facts=row.facts,
        cadence_digest=row.cadence_digest,
        said_at=row.said_at,
        made_at=row.made_at,
        updated_at=row.updated_at,
        steps=tuple(steps),
        id=row.id,
        version=row.version,
        warnings=tuple(row.warnings),
    )


def move_of(row: Any) -> Move:
    """A turn from the rows of the move and its plan."""
    return Move(
        plan=PlanKey(row.cadence, row.subject, row.instance),
        turn=row.turn,
        event=row.event,
        at=row.at,
        before=row.before,
        after=row.after,
        revision=row.revision,
        facts=row.facts,
        decision=None if row.decided_by is None else Decision(row.decided_by, row.delivery or ""),
    )


def _step_changes(
    before: Mapping[str, Plan], after: Sequence[Plan]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of steps that are new, and of those that differ."""
    new: list[dict[str, Any]] = []
    other: list[dict[str, Any]] = []
    for plan in after:
        known = before[plan.id].steps if plan.id in before else ()
        there = {(step.revision, step.key): step for step in known}
        for step in plan.steps:
            was = there.get((step.revision, step.key))
            if was is None:
                new.append(_step_row(plan.id, step))
            elif was != step:
                other.append(_step_row(plan.id, step, "its_"))
    return new, other


def _plan_row(plan: Plan, mark: str = "") -> dict[str, Any]:
    """Its columns; with a `mark` before their names, as the parameters of an UPDATE must have."""
    row = {
        "id": plan.id,
        "cadence": storable(plan.key.cadence),
        "subject": storable(plan.key.subject),
        "instance": storable(plan.key.instance),
        "version": plan.version,
        **{name: getattr(plan, name) for name in _CHANGES},
    }
    row["state"], row["facts"] = plan.state.value, dict(plan.facts)
    return {f"{mark}{name}": value for name, value in row.items()} if mark else row


def _step_row(plan: str, step: PlannedStep, mark: str = "") -> dict[str, Any]:
    row = {
        "plan": plan,
        "revision": step.revision,
        "key": step.key,
        **{name: getattr(step, name) for name in _STEP_CHANGES},
    }
    row["status"], row["reason"] = step.status.value, storable(step.reason)
    return {f"{mark}{name}": value for name, value in row.items()} if mark else row


def _move_row(plan: str, move: Move) -> dict[str, Any]:
    by = move.decision
    return {
        "plan": plan,
        "turn": move.turn,
        "event": move.event,
        "at": move.at,
        "before": move.before,
        "after": move.after,
        "revision": move.revision,
        "facts": dict(move.facts),
        "decided_by": None if by is None else storable(by.by),
        "delivery": None if by is None else by.delivery,
    }
