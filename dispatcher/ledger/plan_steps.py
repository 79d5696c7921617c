"""Steps of plans: those that are due, and what becomes of each once its event is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, literal_column, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.event import StepKey
from dispatcher.domain.plan import Plan, PlannedStep, StepStatus
from dispatcher.ledger.plan_rows import load_plans, portions, step_of
from dispatcher.ledger.plan_tables import plan_steps, plans

_LOCK = 6_021_844_907_317  # any number that no other lock of this database has
# Not a parameter: only then does SQLite see that the partial index will do.
PENDING = plan_steps.c.status == literal_column(f"'{StepStatus.PENDING}'")
_ORDER = (plan_steps.c.due_at, plan_steps.c.plan, plan_steps.c.revision, plan_steps.c.key)
_SETTLE = (
    update(plan_steps)
    .where(
        plan_steps.c.plan == bindparam("its_plan"),
        plan_steps.c.revision == bindparam("its_revision"),
        plan_steps.c.key == bindparam("its_key"),
    )
    .values(
        status=StepStatus.SENT,
        reason="",
        event=bindparam("its_event"),
        settled_at=bindparam("its_settled_at"),
    )
)
_TOUCH = (
    update(plans)
    .where(plans.c.id == bindparam("its_id"))
    .values(version=plans.c.version + 1, updated_at=bindparam("its_updated_at"))
)


@dataclass(frozen=True, slots=True)
class DueStep:
    """A step whose time has come, with its plan as it was read."""

    plan: Plan
    step: PlannedStep

    @property
    def key(self) -> StepKey:
        """Which it is."""
        return StepKey(self.plan.id, self.step.revision, self.step.key)


async def one_at_a_time(transaction: AsyncConnection) -> None:
    """Let nobody else change plans until the end of this transaction.

    SQLite has one writer anyway. In PostgreSQL one lock stands for all plans: rows alone would not do, for
    two that make the same plan find none to lock, and a lock for each plan would be too many at once.
    """
    if transaction.dialect.name == "postgresql":
        await transaction.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


async def due_by(
    connection: AsyncConnection, now: datetime, limit: int, after: DueStep | None, reason: str = ""
) -> list[DueStep]:
    """The first `limit` steps that are due, the oldest first.

    With `after`, of those that follow it; with `reason`, of those whose reason begins so.
    """
    query = select(plan_steps).where(PENDING, plan_steps.c.due_at <= now).order_by(*_ORDER).limit(limit)
    if after is not None:
        # The first condition is for the index, the second for those that are due at one moment.
        last = (after.step.due_at, after.plan.id, after.step.revision, after.step.key)
        query = query.where(plan_steps.c.due_at >= after.step.due_at, tuple_(*_ORDER) > last)
    if reason:
        query = query.where(plan_steps.c.reason.startswith(reason, autoescape=True))
    rows = (await connection.execute(query)).all()
    known: dict[str, Plan] = {}
    for some in portions(list(dict.fromkeys(row.plan for row in rows))):
        known |= {plan.id: plan for plan in await load_plans(connection, plans.c.id.in_(some))}
    return [DueStep(known[row.plan], step_of(row)) for row in rows]


async def due_steps(
    transaction: AsyncConnection, wanted: Sequence[StepKey], now: datetime
) -> tuple[Collection[StepKey], Mapping[StepKey, str]]:
    """Those of the steps that are to be told now, and of the others the event that told them, if one did."""
    due: set[StepKey] = set()
    told: dict[StepKey, str] = {}
    key = tuple_(plan_steps.c.plan, plan_steps.c.revision, plan_steps.c.key)
    for some in portions(wanted):
        query = select(plan_steps).where(key.in_([tuple(one) for one in some]))
        for row in await transaction.execute(query):
            one = StepKey(row.plan, row.revision, row.key)
            if row.status == StepStatus.PENDING and row.due_at <= now:
                due.add(one)
            elif row.event is not None:
                told[one] = row.event
    return due, told


async def settle(transaction: AsyncConnection, told: Mapping[StepKey, str], now: datetime) -> None:
    """Note which event told each of these steps."""
    if not told:
        return
    rows: list[dict[str, Any]] = [
        {
            "its_plan": step.plan,
            "its_revision": step.revision,
            "its_key": step.key,
            "its_event": event,
            "its_settled_at": now,
        }
        for step, event in told.items()
    ]
    await transaction.execute(_SETTLE, rows)
    # Who would write the plan as it was before must find that it is another.
    touched = [{"its_id": plan, "its_updated_at": now} for plan in sorted({step.plan for step in told})]
    await transaction.execute(_TOUCH, touched)
