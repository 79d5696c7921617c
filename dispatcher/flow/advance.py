"""What an event makes of the plans that it is about.

The ledger asks this in the transaction in which it adds the event, with the plans as they are there: so of
two events that come at the same time the second is judged by what the first one made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from dispatcher.domain.cadence import Cadence, Step, Turn
from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.early import caught_up
from dispatcher.domain.event import Heard, NewEvent
from dispatcher.domain.fields import filled, known, parse_fields
from dispatcher.domain.instance import Instance
from dispatcher.domain.life import MoveRefused, Statement, advance
from dispatcher.domain.order import production_warnings, sandbox_warnings
from dispatcher.domain.plan import Advance, Move, Plan, PlanKey
from dispatcher.domain.planning import place_of
from dispatcher.errors import EventInvalid, Problem
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.advice import apart, first_of, shortened
from dispatcher.flow.early import NOBODY, early_words

#: Turns that make a plan where there is none.
_BEGIN: frozenset[Turn] = frozenset({"scheduled", "rescheduled"})


@dataclass(frozen=True, slots=True)
class _About:
    """What an event is to one cadence."""

    key: str
    cadence: Cadence
    turn: Turn
    subject: str
    instances: Sequence[Instance]

    def plan_key(self, instance: str) -> PlanKey:
        return PlanKey(self.key, self.subject, instance)


@dataclass(slots=True)
class _Taken:
    """What has come of one event so far.

    Attributes:
        values: The event's typed fields, which are the same for all of ten thousand instances.
        early: What was heard of plans that there were not.
        judged: The facts that were last looked at together with its fields.
    """

    plans: dict[PlanKey, Plan]
    values: Mapping[str, Any]
    early: Mapping[PlanKey, Sequence[Heard]]
    judged: Mapping[str, Any] | None = None
    moves: list[Move] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    overtaken: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unplanned: list[PlanKey] = field(default_factory=list)


class Advancer:
    """Knows which plans an event is about, and what becomes of them."""

    def __init__(self, catalogue: Catalogue, recipients: RecipientStore) -> None:
        """Nothing is read before an event comes; the lists count as they were at their last refresh."""
        self._catalogue = catalogue
        self._recipients = recipients
        self._turns = {type_ for cadence in catalogue.cadences.values() for type_ in _turn_types(cadence)}

    def concerns(self, type_: str, fields: Mapping[str, Any]) -> bool:
        """Whether an event of that type, with these fields, is a turn of some plan's life."""
        return self.step_of(type_, fields) is not None

    def step_of(self, type_: str, fields: Mapping[str, Any]) -> Step | None:
        """The step that an event of that type, with these fields, is of some cadence; None if of none."""
        for cadence in self._catalogue.cadences.values() if type_ in self._turns else ():
            turn = cadence.turn_of(type_) if cadence.follows == "instance" else None
            found = cadence.step_on(turn) if turn and isinstance(fields.get(cadence.about), str) else None
            if found is not None:
                return found[1]
        return None

    def keys(self, new: NewEvent) -> Collection[PlanKey]:
        """The plans that the event may change: those it is about, and those that their order depends on."""
        found: dict[PlanKey, None] = {}
        for about in self._abouts(new):
            for instance in about.instances:
                for name in self._family(instance):
                    found[about.plan_key(name)] = None
        return list(found)

    def begins(self, new: NewEvent) -> Collection[PlanKey]:
        """Where what was heard before counts: the plans that the event begins if there are none."""
        return [
            about.plan_key(name)
            for about in self._abouts(new)
            if about.turn in _BEGIN
            for name in (NOBODY, *(one.id for one in about.instances))
        ]

    def advance(
        self,
        new: NewEvent,
        event: str,
        plans: Mapping[PlanKey, Plan],
        now: datetime,
        early: Mapping[PlanKey, Sequence[Heard]],
    ) -> Advance:
        """What the event makes of these plans.

        Args:
            new: The event, which was checked.
            event: Its id in the ledger.
            plans: Those of `keys` that there are.
            now: When it is accepted.
            early: What was heard of those of `begins`, while there were no plans.

        Raises:
            EventInvalid: A plan may not take that turn, or nothing says what the event leaves out.
        """
        spec = self._spec(new)
        taken = _Taken(dict(plans), parse_fields(spec, known(spec, new.fields), partial=True)[0], early)
        targets = 0
        for about in self._abouts(new):
            aimed = _aimed(new, about, plans)
            targets += len(aimed)
            for instance in aimed:
                self._take(new, about, instance, taken, (event, now))
            if not aimed:
                self._unplanned(new, about, "any of its instances", taken)
            if new.selection.kind != "instances" and about.turn != "scheduled":
                taken.unplanned.append(about.plan_key(NOBODY))
            self._mind_order(about, [one.id for one in aimed], taken)
        if taken.problems:
            raise EventInvalid(first_of(taken.problems))
        if taken.overtaken and len(taken.overtaken) < targets:
            raise EventInvalid(list(apart(taken.overtaken)))
        changed = tuple(plan for key, plan in taken.plans.items() if plans.get(key) != plan)
        reason = next(iter(taken.overtaken.values()), "")
        unplanned = tuple(taken.unplanned)
        return Advance(changed, tuple(taken.moves), reason, shortened(taken.warnings), unplanned)

    def _abouts(self, event: NewEvent) -> Iterator[_About]:
        """What the event is to each cadence; a step that a plan sends itself is no turn of its life."""
        type_ = event.effective_type
        if event.step is not None or type_ not in self._turns:
            return
        for key, cadence in self._catalogue.cadences.items():
            turn = cadence.turn_of(type_) if cadence.follows == "instance" else None
            subject = event.fields.get(cadence.about)
            if turn == "scheduled" and event.fields.get(cadence.anchor) is None:
                continue  # without a date there is nothing to plan; it is told as it is
            if turn and isinstance(subject, str):
                instances = self._recipients.selected(event.selection)
                yield _About(key, cadence, turn, subject, instances)

    def _take(
        self, event: NewEvent, about: _About, instance: Instance, taken: _Taken, told: tuple[str, datetime]
    ) -> None:
        """Let the plan of one instance take the turn."""
        key = about.plan_key(instance.id)
        plan = taken.plans.get(key)
        if plan is None and about.turn not in _BEGIN:
            self._unplanned(event, about, instance.id, taken)
            taken.unplanned.append(key)
            return
        said = self._statement(event, about, instance, taken.values, told)
        place = place_of(self._catalogue, instance)
        try:
            took = advance(about.key, about.cadence, plan, said, place)
        except MoveRefused as refused:
            what = f"{about.subject} at {instance.id}: {refused.what}"
            taken.problems.append(Problem("instances", what, refused.fix, "instances"))
            return
        if plan is None:
            heard = [*taken.early.get(key, ()), *taken.early.get(about.plan_key(NOBODY), ())]
            words = early_words(self._catalogue, about.cadence, said, heard, instance)
            took = caught_up(about.cadence, took, said, words, place)
        taken.plans[key] = took.plan
        taken.moves += [took.move] if took.move else []
        taken.moves += took.made_up
        taken.warnings += [f"{about.subject} at {instance.id}: {warning}" for warning in took.warnings]
        if took.record_only:
            taken.overtaken[instance.id] = took.record_only
        elif took.move and took.move.facts != taken.judged:
            found = list(self._wanting(event, took.move.facts, f"{about.subject} at {instance.id}"))
            taken.problems += found
            taken.judged = took.move.facts if not found else None

    def _statement(
        self,
        event: NewEvent,
        about: _About,
        instance: Instance,
        values: Mapping[str, Any],
        told: tuple[str, datetime],
    ) -> Statement:
        event_id, now = told
        return Statement(
            type=event.effective_type,
            turn=about.turn,
            instance=instance.id,
            subject=about.subject,
            fields=values,
            raw=known(self._spec(event), event.fields),
            event_id=event_id,
            said_at=min(event.time or now, now),
            accepted_at=now,
            decision=event.decision,
        )

    def _unplanned(self, event: NewEvent, about: _About, where: str, taken: _Taken) -> None:
        """An event about what nothing is planned for is told as it is, if it says all that it must."""
        taken.warnings.append(f"no plan of {about.subject} at {where}: nothing is planned or filled in")
        taken.problems += self._wanting(event, {}, "")

    def _wanting(self, event: NewEvent, facts: Mapping[str, Any], plan: str) -> Iterator[Problem]:
        """What neither the event nor its plan says, and what is amiss between the two."""
        spec = self._spec(event)
        _, problems = parse_fields(spec, known(spec, filled(event.fields, facts)))
        for problem in problems:
            field_ = spec.fields.get(problem.key)
            if field_ and field_.from_plan and event.fields.get(problem.key) is None:
                why = f"and the plan of {plan} does not" if plan else "and there is no plan that"
                why = f"{why} say it" if plan else f"{why} says it"
                what = f"{problem.what}, {why}" if problem.key not in facts else f"{problem.what} ({plan})"
                yield replace(problem, what=what)
            else:
                yield problem

    def _spec(self, event: NewEvent) -> CommunicationType:
        return self._catalogue.types[event.effective_type]

    def _mind_order(self, about: _About, touched: Sequence[str], taken: _Taken) -> None:
        """Warn of every plan, touched or related, that breaks the order of sandbox and production.

        The sender is told of those that the event is about; if all is well with them, of what it made of the
        others.
        """
        if about.cadence.step_on("in-progress") is None:
            return  # nothing is done to the instance, so no order is needed
        named, own, others = frozenset(touched), list[str](), list[str]()
        names = dict.fromkeys(touched)
        for name in touched:
            instance = self._recipients.get(name)
            names |= dict.fromkeys(self._family(instance) if instance else ())
        for name in names:
            plan, instance = taken.plans.get(about.plan_key(name)), self._recipients.get(name)
            if plan is None or instance is None:
                continue
            warnings = tuple(self._order(about, instance, plan, taken.plans))
            if warnings != plan.warnings:
                taken.plans[plan.key] = replace(plan, warnings=warnings)
            new = warnings if name in named else [one for one in warnings if one not in plan.warnings]
            (own if name in named else others).extend(f"{about.subject} at {name}: {one}" for one in new)
        taken.warnings += own or others

    def _order(
        self, about: _About, instance: Instance, plan: Plan, plans: Mapping[PlanKey, Plan]
    ) -> Iterator[str]:
        production = plans.get(about.plan_key(instance.sandbox_of)) if instance.sandbox_of else None
        if production is not None:
            yield from sandbox_warnings(plan, production)
        names = self._recipients.sandboxes_of(instance.id)
        yield from production_warnings(plan, {name: plans.get(about.plan_key(name)) for name in names})

    def _family(self, instance: Instance) -> Sequence[str]:
        """A production instance and its sandboxes, whichever of them is asked for."""
        head = instance.sandbox_of or instance.id
        found = (instance.id, head, *self._recipients.sandboxes_of(head))
        return list(dict.fromkeys((*found, *self._recipients.sandboxes_of(instance.id))))


def _turn_types(cadence: Cadence) -> Iterator[str]:
    if cadence.follows == "instance":
        yield from (step.type for step in cadence.steps.values() if step.on and step.type)


def _aimed(event: NewEvent, about: _About, plans: Mapping[PlanKey, Plan]) -> Sequence[Instance]:
    """The instances that the event is about: of a whole region, after the first turn, those with a plan."""
    if event.selection.kind == "instances" or about.turn == "scheduled":
        return about.instances
    return [one for one in about.instances if about.plan_key(one.id) in plans]
