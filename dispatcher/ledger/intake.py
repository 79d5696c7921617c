"""What becomes of an event at the moment it is accepted, in the one transaction that commits it.

Its row comes first. A step of a plan that it tells is settled; the plans that it is about are moved on; then
whoever else keeps books of events (notices, incidents, messages to upstream) is handed it. If one of them
refuses, nothing of the batch is kept. A repeat is handed to none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.event import EventStatus, Heard, NewEvent
from dispatcher.domain.plan import Advance, Plan, PlanKey
from dispatcher.errors import EventInvalid
from dispatcher.ledger.engine import Database
from dispatcher.ledger.event_rows import Name, add_rows, distinct, kept, name_of, row_of
from dispatcher.ledger.expansion_rows import moment
from dispatcher.ledger.ids import new_ids
from dispatcher.ledger.plan_rows import add_moves, plans_about, save_plans
from dispatcher.ledger.plan_steps import due_steps, one_at_a_time, settle
from dispatcher.ledger.schema import events
from dispatcher.ledger.unplanned import add_unplanned, heard_of

_Any = TypeVar("_Any")

#: Plans that are read or written by one statement: some milliseconds' work.
PIECE = 100


class Aim(Protocol):
    """One event and the plans that it is about; the lists count as they were when it was aimed.

    Its methods look at nothing that changes, so they may run in a thread.

    Attributes:
        many: Whether it takes so long that others would wait.
    """

    many: bool

    def keys(self) -> Collection[PlanKey]:
        """The plans that the event may move or make."""
        ...

    def begins(self) -> Collection[PlanKey]:
        """Of which plans it must know what was heard while there was none."""
        ...

    def advance(
        self,
        event: str,
        plans: Mapping[PlanKey, Plan],
        now: datetime,
        early: Mapping[PlanKey, Sequence[Heard]],
    ) -> Advance:
        """What the event makes of its plans.

        Args:
            event: Its id in the ledger; it was not known before.
            plans: Those of its `keys` that there are, as earlier events of the batch left them.
            now: When it is accepted.
            early: What was heard of those of `begins`.

        Raises:
            EventInvalid: Its plans do not allow it.
        """
        ...


class Advancer(Protocol):
    """Knows which plans events are about."""

    def aim(self, new: NewEvent) -> Aim | None:
        """The plans that the event is about; None if there can be none, which costs nothing."""
        ...


_NOTHING = Advance()


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
    advance: Advance = _NOTHING


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
    about = await _aimed(advancer, wanted) if advancer else {}
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
        at = moment(now)
        added = await add_rows(transaction, [(own[name], at, *rows[name]) for name in there])
        # Where all are new nobody needs to ask which are.
        known = own if added == len(there) else await kept(transaction, there)
        fresh = [Intake(own[name], event, now) for name, event in there.items() if known[name] == own[name]]
        await settle(transaction, {one.event.step: one.id for one in fresh if one.event.step}, now)
        if about:
            turns = _Turns(transaction, database, new)
            fresh = await turns.take(fresh, about)
        for observer in observers if fresh else ():
            await observer(transaction, fresh)
    return own, {**known, **late}


@dataclass(frozen=True, slots=True)
class _Target:
    """What an event is aimed at, and which plans those are."""

    aim: Aim
    keys: Collection[PlanKey]


async def _aimed(advancer: Advancer, wanted: Mapping[Name, NewEvent]) -> dict[Name, _Target]:
    """Those of the events that are about some plan."""
    found: dict[Name, _Target] = {}
    for name, event in wanted.items():
        aim = advancer.aim(event)
        if aim is not None and (keys := await _done(aim, aim.keys)):
            found[name] = _Target(aim, keys)
    return found


async def _done(aim: Aim, work: Callable[[], _Any]) -> _Any:
    """Work about a few plans is done here; about many, in a thread, for the loop has others to serve."""
    return await asyncio.to_thread(work) if aim.many else work()


class _Turns:
    """The turns that the plans of one batch take."""

    def __init__(self, transaction: AsyncConnection, database: Database, new: Sequence[NewEvent]) -> None:
        self._transaction = transaction
        self._new = new
        self._now = database.now()
        self._ids = new_ids("pln_", self._now, database.token)

    async def take(self, fresh: Sequence[Intake], about: Mapping[Name, _Target]) -> list[Intake]:
        """Let the events move their plans, in their order, and write what comes of it.

        Raises:
            EventInvalid: A plan does not allow its event.
        """
        targets = [about.get(name_of(one.event)) for one in fresh]
        keys = {key for target in targets if target for key in target.keys}
        if not keys:
            return list(fresh)
        before: dict[PlanKey, Plan] = {}
        for some in _pieces(list(keys)):
            before |= await plans_about(self._transaction, some)
        plans, moves, taken = dict(before), [], []
        begun = {key for target in targets if target for key in target.aim.begins()}
        early = await heard_of(self._transaction, begun - before.keys())
        for one, target in zip(fresh, targets, strict=True):
            if target is None:
                taken.append(one)
                continue
            advance = await _done(target.aim, partial(self._advance, one, target, plans, early))
            for key in advance.unplanned:
                early.setdefault(key, []).append(_heard(one))
            plans |= {plan.key: plan for plan in advance.plans}
            moves += [(plans[move.plan].id, move) for move in advance.moves]
            taken.append(_with(one, advance))
        await self._save(before, plans)
        for moved in _pieces(moves):
            await add_moves(self._transaction, moved)
        heard = dict.fromkeys((key, one.id) for one in taken for key in one.advance.unplanned)
        for unplanned in _pieces(list(heard)):
            await add_unplanned(self._transaction, unplanned)
        await self._note([one for one in taken if one.advance.warnings or one.advance.record_only])
        return taken

    def _advance(
        self,
        one: Intake,
        target: _Target,
        plans: Mapping[PlanKey, Plan],
        early: Mapping[PlanKey, Sequence[Heard]],
    ) -> Advance:
        """What an event makes of its plans, each with its id."""
        try:
            own = {key: plans[key] for key in target.keys if key in plans}
            advance = target.aim.advance(one.id, own, one.at, early)
        except EventInvalid as error:
            if len(self._new) == 1:
                raise
            names = [name_of(event) for event in self._new]
            raise error.of_batch(names.index(name_of(one.event))) from None
        return replace(advance, plans=tuple(self._identified(plan, plans) for plan in advance.plans))

    def _identified(self, plan: Plan, plans: Mapping[PlanKey, Plan]) -> Plan:
        known = plans.get(plan.key)
        return replace(plan, id=known.id if known else next(self._ids))

    async def _save(self, before: Mapping[PlanKey, Plan], after: Mapping[PlanKey, Plan]) -> None:
        known = {plan.id: plan for plan in before.values()}
        moved = [plan for key, plan in after.items() if plan is not before.get(key)]
        for some in _pieces(moved):
            await save_plans(self._transaction, known, [_changed(plan, known) for plan in some])

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


def _pieces(many: Sequence[_Any]) -> Iterator[Sequence[_Any]]:
    """So few rows at a time that others are served in between; it stays one transaction."""
    return (many[start : start + PIECE] for start in range(0, len(many), PIECE))


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
