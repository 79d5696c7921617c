"""What becomes of an event at the moment it is accepted, in the one transaction that commits it.

Its row comes first. A step of a plan that it tells is settled; the plans that it is about are moved on; then
whoever else keeps books of events (notices, incidents, messages to upstream) is handed it. If one of them
refuses, nothing of the batch is kept. A repeat is handed to none of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.event import EventStatus, Heard, NewEvent
from dispatcher.domain.plan import Advance, Plan, PlanKey
from dispatcher.errors import EventInvalid
from dispatcher.ledger.engine import Database, upsert
from dispatcher.ledger.event_rows import Name, distinct, kept, name_of, row_of
from dispatcher.ledger.ids import new_ids
from dispatcher.ledger.plan_rows import add_moves, plans_about, save_plans
from dispatcher.ledger.plan_steps import due_steps, one_at_a_time, settle
from dispatcher.ledger.schema import events
from dispatcher.ledger.unplanned import add_unplanned, heard_of


class Advancer(Protocol):
    """Knows which plans an event is about, and what it makes of them."""

    def keys(self, new: NewEvent) -> Collection[PlanKey]:
        """The plans that the event may move or make; none costs it nothing."""
        ...

    def begins(self, new: NewEvent) -> Collection[PlanKey]:
        """Of which plans it must know what was heard while there was none; none costs it nothing."""
        ...

    def advance(
        self,
        new: NewEvent,
        event: str,
        plans: Mapping[PlanKey, Plan],
        now: datetime,
        early: Mapping[PlanKey, Sequence[Heard]],
    ) -> Advance:
        """What the event makes of its plans.

        Args:
            new: The event, which was not known before.
            event: Its id in the ledger.
            plans: Those of its `keys` that there are, as earlier events of the batch left them.
            now: When it is accepted.
            early: What was heard of those of `begins`.

        Raises:
            EventInvalid: Its plans do not allow it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Intake:
    """An event that was not known before, as it is being committed.

    Attributes:
        id: Its id in the ledger.
        event: As it is kept, with what its plans added: warnings, and why it is only recorded.
        at: When it is accepted.
        advance: What it made of its plans, each with its id.
    """

    id: str
    event: NewEvent
    at: datetime
    advance: Advance = field(default_factory=Advance)


_NOTE = (
    update(events)
    .where(events.c.id == bindparam("its_id"))
    .values({name: bindparam(f"its_{name}") for name in ("status", "reason", "warnings")})
)
#: Keeps books of accepted events; gets those of a batch in their order, and must not commit.
Observer = Callable[[AsyncConnection, Sequence[Intake]], Awaitable[None]]


async def take_in(
    database: Database, new: Sequence[NewEvent], advancer: Advancer | None, observers: Sequence[Observer]
) -> tuple[Mapping[Name, str], Mapping[Name, str]]:
    """Commit events, with all that they bring about.

    Returns:
        The id that each event has, or would have had if it had been new; and the id under which it is in the
        ledger: of a step that is not due any more, the event that told it, or an empty string.

    Raises:
        EventConflict: One is in the ledger with other content.
        EventInvalid: A field cannot be stored, or a plan does not allow the event.
        ServiceUnreachable: The database cannot be had; nothing was kept.
    """
    wanted = distinct(new)
    rows = {name: row_of(event) for name, event in wanted.items()}
    steps = {event.step: name for name, event in wanted.items() if event.step}
    about = {name: keys for name, event in wanted.items() if advancer and (keys := advancer.keys(event))}
    async with database.write() as transaction:
        if steps or about:
            # Before the first row: who waits for it must hold nothing that its holder could want.
            await one_at_a_time(transaction)
        # Not earlier: in the order in which plans are moved, events were accepted.
        now = database.now()
        ids = new_ids("evt_", now, database.token)
        own = {name: next(ids) for name in wanted}
        due, told = await due_steps(transaction, list(steps), now)
        late = {name: told.get(step, "") for step, name in steps.items() if step not in due}
        there = {name: event for name, event in wanted.items() if name not in late}
        await _insert(transaction, [{"id": own[name], "accepted_at": now, **rows[name]} for name in there])
        known = await kept(transaction, there)
        fresh = [Intake(own[name], event, now) for name, event in there.items() if known[name] == own[name]]
        await settle(transaction, {one.event.step: one.id for one in fresh if one.event.step}, now)
        if advancer and about:
            turns = _Turns(transaction, database, advancer, new)
            fresh = await turns.take(fresh, about)
        for observer in observers if fresh else ():
            await observer(transaction, fresh)
    return own, {**known, **late}


async def _insert(transaction: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    # In one order everywhere, so that two batches with common keys cannot wait for each other.
    rows.sort(key=lambda row: (row["external_id"], row["source"]))
    if rows:
        statement = upsert(transaction, events).on_conflict_do_nothing(
            index_elements=["external_id", "source"]
        )
        await transaction.execute(statement, rows)


class _Turns:
    """The turns that the plans of one batch take."""

    def __init__(
        self, transaction: AsyncConnection, database: Database, advancer: Advancer, new: Sequence[NewEvent]
    ) -> None:
        self._transaction = transaction
        self._advancer = advancer
        self._new = new
        self._now = database.now()
        self._ids = new_ids("pln_", self._now, database.token)

    async def take(self, fresh: Sequence[Intake], about: Mapping[Name, Collection[PlanKey]]) -> list[Intake]:
        """Let the events move their plans, in their order, and write what comes of it.

        Raises:
            EventInvalid: A plan does not allow its event.
        """
        keys = {key for one in fresh for key in about.get(name_of(one.event), ())}
        if not keys:
            return list(fresh)
        before = await plans_about(self._transaction, keys)
        plans, moves, taken = dict(before), [], []
        begun = {key for one in fresh for key in self._advancer.begins(one.event)}
        early = await heard_of(self._transaction, begun - before.keys())
        for one in fresh:
            own = about.get(name_of(one.event))
            if not own:
                taken.append(one)
                continue
            advance = self._advance(one, {key: plans[key] for key in own if key in plans}, early)
            for key in advance.unplanned:
                early.setdefault(key, []).append(_heard(one))
            named = tuple(self._identified(plan, plans) for plan in advance.plans)
            plans |= {plan.key: plan for plan in named}
            moves += [(plans[move.plan].id, move) for move in advance.moves]
            taken.append(_with(one, replace(advance, plans=named)))
        known = {plan.id: plan for plan in before.values()}
        moved = [plan for key, plan in plans.items() if plan is not before.get(key)]
        await save_plans(self._transaction, known, [_changed(plan, known) for plan in moved])
        await add_moves(self._transaction, moves)
        heard = [(key, one.id) for one in taken for key in one.advance.unplanned]
        await add_unplanned(self._transaction, heard)
        await self._note([one for one in taken if one.advance.warnings or one.advance.record_only])
        return taken

    def _advance(
        self, one: Intake, plans: Mapping[PlanKey, Plan], early: Mapping[PlanKey, Sequence[Heard]]
    ) -> Advance:
        try:
            return self._advancer.advance(one.event, one.id, plans, one.at, early)
        except EventInvalid as error:
            if len(self._new) == 1:
                raise
            names = [name_of(event) for event in self._new]
            raise error.of_batch(names.index(name_of(one.event))) from None

    def _identified(self, plan: Plan, plans: Mapping[PlanKey, Plan]) -> Plan:
        known = plans.get(plan.key)
        return replace(plan, id=known.id if known else next(self._ids))

    async def _note(self, taken: Sequence[Intake]) -> None:
        """What their plans had to say is kept with the events."""
        rows = [
            {
                "its_id": one.id,
                "its_status": EventStatus.RECORDED if one.event.record_only else EventStatus.ACCEPTED,
                "its_reason": one.event.record_only,
                "its_warnings": one.event.warnings,
            }
            for one in taken
        ]
        if rows:
            await self._transaction.execute(_NOTE, rows)


def _heard(one: Intake) -> Heard:
    event = one.event
    return Heard(one.id, event.effective_type, event.selection, event.fields, event.time, one.at)


def _with(one: Intake, advance: Advance) -> Intake:
    event = one.event
    noted = replace(
        event,
        # What never was in force matters more than where it would have been shown.
        record_only=advance.record_only or event.record_only,
        warnings=(*event.warnings, *advance.warnings),
    )
    return replace(one, event=noted, advance=advance)


def _changed(plan: Plan, known: Mapping[str, Plan]) -> Plan:
    """The plan with the next number of its changes, whatever it thinks of that itself."""
    return replace(plan, version=known[plan.id].version + 1 if plan.id in known else 1)
