"""Reminders that have not left yet when their date moves: they are withdrawn with the move itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.event import EventStatus
from dispatcher.domain.plan import Plan, PlanState, StepStatus
from dispatcher.domain.retry import GIVE_UP
from dispatcher.ledger.event_rows import withdrawal
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.plan_rows import portions
from dispatcher.ledger.schema import deliveries, events

_EARLY = "its date moved before anybody was mailed"


async def withdraw_overtaken(transaction: AsyncConnection, taken: Sequence[Intake]) -> None:
    """Withdraw what steps of an older date have not sent; see `dispatcher.ledger.intake.Observer`.

    From this commit on no delivery of them is handed to a worker. What was sent stays as it is.
    """
    for one in taken:
        moved = {move.plan for move in one.advance.moves}
        plans = [plan for plan in one.advance.plans if plan.key in moved]
        for some in portions([event for plan in plans for event in _void(plan, one.at)]):
            await _withdraw(transaction, some, one.at)


def _void(plan: Plan, now: datetime) -> Iterator[str]:
    """The events of steps of an older date, or of a plan that is cancelled, if they may wait yet."""
    over = plan.state is PlanState.CANCELLED
    for step in plan.steps:
        recent = step.settled_at is not None and now - step.settled_at < 2 * GIVE_UP
        if (
            step.status is StepStatus.SENT
            and step.event
            and recent
            and (over or step.revision < plan.revision)
        ):
            yield step.event


async def _withdraw(transaction: AsyncConnection, ids: Sequence[str], now: datetime) -> None:
    ours = events.c.id.in_(ids)
    await transaction.execute(select(events.c.id).where(ours).order_by(events.c.id).with_for_update())
    early = events.c.status == EventStatus.ACCEPTED
    waits = exists().where(deliveries.c.event == events.c.id, deliveries.c.next_try_at.is_not(None))
    statement = update(events).where(ours, early | waits).values(withdrawal(now, _EARLY))
    await transaction.execute(statement)
