"""Plans: what lies ahead of each subject at each instance, and how it came to that.

Plans change in two ways: by events, in the transaction that accepts them (`dispatcher.ledger.intake`), and
by `Plans.replace` when their cadence has changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.event import Heard
from dispatcher.domain.plan import ENDED, UNTOLD, Move, Plan, PlanKey, PlanState
from dispatcher.errors import NotFound
from dispatcher.ledger.columns import storable
from dispatcher.ledger.engine import Database
from dispatcher.ledger.plan_rows import load_plans, move_of, plans_about, portions, save_plans
from dispatcher.ledger.plan_steps import PENDING, DueStep, due_by, one_at_a_time
from dispatcher.ledger.plan_tables import plan_moves, plan_steps, plans
from dispatcher.ledger.schema import events
from dispatcher.ledger.unplanned import heard_of

# Not a parameter: only then does SQLite see that the partial index will do.
_OPEN: ColumnElement[bool] = literal_column("state NOT IN ('succeeded', 'cancelled')")


@dataclass(frozen=True, slots=True)
class PlanFilter:
    """Which plans; all that is given must hold.

    Attributes:
        states: One of these.
    """

    cadence: str | None = None
    subject: str | None = None
    instance: str | None = None
    states: Collection[PlanState] = ()


class Plans:
    """The plans in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, id: str) -> Plan:  # noqa: A002 - the column's name
        """The plan with that id.

        Raises:
            NotFound: There is none.
        """
        async with self._database.read() as connection:
            found = await load_plans(connection, plans.c.id == storable(id))
        if not found:
            raise NotFound(f"There is no plan {id!r}. `dispatcher plan list` names those that there are.")
        return found[0]

    async def find(self, keys: Collection[PlanKey]) -> Mapping[PlanKey, Plan]:
        """Those of the plans that there are."""
        async with self._database.read() as connection:
            return await plans_about(connection, keys)

    async def heard(self, keys: Collection[PlanKey]) -> Mapping[PlanKey, Sequence[Heard]]:
        """What was said of each of these plans while there was none; oldest first."""
        async with self._database.read() as connection:
            return await heard_of(connection, keys)

    async def list(
        self, wanted: PlanFilter | None = None, *, limit: int = 50, before: str | None = None
    ) -> Sequence[Plan]:
        """The newest `limit` plans, newest first; with `before`, of those older than that id."""
        query = _filtered(wanted or PlanFilter()).order_by(plans.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(plans.c.id < storable(before))
        async with self._database.read() as connection:
            ids = list((await connection.execute(query)).scalars())
            return (await _load(connection, ids))[::-1]

    async def due(self, now: datetime, limit: int, after: DueStep | None = None) -> Sequence[DueStep]:
        """The first `limit` steps that are due, the oldest first, each with its plan.

        Args:
            now: The time.
            limit: How many at most.
            after: Only those that follow this one in that order.
        """
        async with self._database.read() as connection:
            return await due_by(connection, now, limit, after)

    async def untold(self, now: datetime, limit: int) -> Sequence[DueStep]:
        """The first `limit` steps that are due and cannot be told, the oldest first, each with its plan."""
        async with self._database.read() as connection:
            return await due_by(connection, now, limit, None, reason=UNTOLD)

    async def next_due(self) -> datetime | None:
        """When the next step is due, or was; None if none is pending."""
        query = select(plan_steps.c.due_at).where(PENDING).order_by(plan_steps.c.due_at).limit(1)
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def warned(self, limit: int) -> Sequence[Plan]:
        """The newest `limit` open plans that carry a warning, newest first."""
        query = select(plans.c.id).where(_OPEN, plans.c.warnings != literal_column("'[]'"))
        query = query.order_by(plans.c.id.desc()).limit(limit)
        async with self._database.read() as connection:
            return (await _load(connection, list((await connection.execute(query)).scalars())))[::-1]

    async def moves(self, plan: str) -> Sequence[Move]:
        """The turns that a plan took, the oldest first."""
        query = _moves().where(plan_moves.c.plan == storable(plan)).order_by(plan_moves.c.id)
        async with self._database.read() as connection:
            return [move_of(row) for row in await connection.execute(query)]

    async def of_event(self, event: str) -> Mapping[str, Mapping[str, Any]]:
        """By instance, what the plans that an event moved say beside its own fields."""
        query = (
            select(plans.c.instance, plan_moves.c.facts)
            .join(plans, plans.c.id == plan_moves.c.plan)
            .join(events, events.c.id == plan_moves.c.event)
            # A turn that was taken only once there was a plan: the event itself was told without one.
            .where(plan_moves.c.event == storable(event), plan_moves.c.at <= events.c.accepted_at)
            .order_by(plan_moves.c.id)
        )
        said: dict[str, dict[str, Any]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                said.setdefault(row.instance, {}).update(row.facts)
        return said

    async def outdated(
        self, digests: Mapping[str, str], limit: int, but: AbstractSet[str] = frozenset()
    ) -> Sequence[Plan]:
        """Open plans whose pending steps were made from another form of their cadence, or from one now gone.

        Args:
            digests: The digest of each cadence that there is.
            limit: How many at most.
            but: The ids of those to leave out; nothing of them is read but the index.
        """
        async with self._database.read() as connection:
            ids: list[str] = []
            async for cadence, digest in _forms(connection):
                if digests.get(cadence) != digest and len(ids) < limit:
                    # So many that some are left when all others are taken away.
                    query = (
                        select(plans.c.id)
                        .where(_OPEN, plans.c.cadence == cadence, plans.c.cadence_digest == digest)
                        .limit(limit + len(but))
                    )
                    ids += [id_ for id_ in (await connection.execute(query)).scalars() if id_ not in but]
            return await _load(connection, ids[:limit])

    async def replace(self, new: Sequence[Plan]) -> Collection[str]:
        """Write plans that were made anew from what was read, each unless somebody changed it meanwhile.

        Returns:
            The ids of those that were written.
        """
        wanted = {plan.id: plan for plan in new}
        async with self._database.write() as transaction:
            await one_at_a_time(transaction)
            known = {plan.id: plan for plan in await _load(transaction, list(wanted))}
            after = [
                changed(plan, version=plan.version + 1)
                for plan in wanted.values()
                if plan.id in known and known[plan.id].version == plan.version
            ]
            await save_plans(transaction, known, after)
        return [plan.id for plan in after]


def _filtered(wanted: PlanFilter) -> Select[Any]:
    query = select(plans.c.id)
    for column, value in (
        (plans.c.cadence, wanted.cadence),
        (plans.c.subject, wanted.subject),
        (plans.c.instance, wanted.instance),
    ):
        if value is not None:
            query = query.where(column == storable(value))
    if wanted.states:
        query = query.where(plans.c.state.in_(sorted(wanted.states)))
        if not ENDED & set(wanted.states):
            query = query.where(_OPEN)
    return query


def _moves() -> Select[Any]:
    joined = plan_moves.join(plans, plans.c.id == plan_moves.c.plan)
    return select(plan_moves, plans.c.cadence, plans.c.subject, plans.c.instance).select_from(joined)


async def _forms(connection: AsyncConnection) -> AsyncIterator[tuple[str, str]]:
    """Each cadence and digest that open plans were made from: a step or two in the index for each."""
    cadence, digest = plans.c.cadence, plans.c.cadence_digest
    first = select(cadence, digest).where(_OPEN).order_by(cadence, digest).limit(1)
    row = (await connection.execute(first)).one_or_none()
    while row is not None:
        yield row.cadence, row.cadence_digest
        # Not as one comparison of pairs: SQLite would read all plans of the pair that it comes from.
        further = first.where(cadence == row.cadence, digest > row.cadence_digest)
        other = first.where(cadence > row.cadence)
        row = (await connection.execute(further)).one_or_none() or (
            await connection.execute(other)
        ).one_or_none()


async def _load(connection: AsyncConnection, ids: Sequence[str]) -> list[Plan]:
    """Those plans, in the order of their ids."""
    found: list[Plan] = []
    for some in portions(sorted(ids)):
        found += await load_plans(connection, plans.c.id.in_(some))
    return found
