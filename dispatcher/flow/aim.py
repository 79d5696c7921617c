"""One event and the plans that it is about, worked out once: which they are, and what it makes of them.

An event may be about ten thousand instances, which differ in little. So nobody's people are looked at, and
what comes out the same for many is worked out for the first of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from dispatcher.domain.cadence import Cadence, Turn
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.early import caught_up
from dispatcher.domain.event import Heard, NewEvent
from dispatcher.domain.fields import filled, known, parse_fields
from dispatcher.domain.instance import Instance
from dispatcher.domain.life import MoveRefused, Statement
from dispatcher.domain.plan import Advance, Move, Plan, PlanKey
from dispatcher.domain.planning import place_of
from dispatcher.errors import EventInvalid, Problem
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.advice import apart, first_of, shortened
from dispatcher.flow.alike import Alike
from dispatcher.flow.early import NOBODY, early_words
from dispatcher.flow.families import Families

#: Turns that make a plan where there is none.
_BEGIN: frozenset[Turn] = frozenset({"scheduled", "rescheduled"})
#: More instances take so long that others would wait.
FEW = 50


@dataclass(frozen=True, slots=True)
class About:
    """What an event is to one cadence.

    Attributes:
        key: The cadence's key in the catalogue.
    """

    key: str
    cadence: Cadence
    turn: Turn
    subject: str

    def plan_key(self, instance: str) -> PlanKey:
        """The plan that it is about at an instance."""
        return PlanKey(self.key, self.subject, instance)


@dataclass(slots=True)
class _Taken:
    """What has come of the event so far.

    Attributes:
        early: What was heard of plans that there were not.
        judged: The facts that were last looked at together with the event's fields.
        unsaid: What the event leaves out where nothing is planned; None before anybody asked.
    """

    plans: dict[PlanKey, Plan]
    early: Mapping[PlanKey, Sequence[Heard]]
    alike: Alike
    judged: Mapping[str, Any] | None = None
    unsaid: Sequence[Problem] | None = None
    moves: list[Move] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    overtaken: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unplanned: list[PlanKey] = field(default_factory=list)


class Aim:
    """Which plans an event is about, and what becomes of them; see `dispatcher.ledger.intake.Aim`.

    Attributes:
        many: Whether it takes so long that others would wait.
    """

    def __init__(
        self, catalogue: Catalogue, recipients: RecipientStore, event: NewEvent, abouts: Sequence[About]
    ) -> None:
        """The lists count as they are now."""
        self._catalogue = catalogue
        self._event = event
        self._abouts = abouts
        self._names = recipients.ids_of(event.selection)
        self._families = Families(recipients)
        self._spec = catalogue.types[event.effective_type]
        self.many = len(self._names) > FEW

    def keys(self) -> Collection[PlanKey]:
        """The plans that the event may change: those it is about, and those that their order depends on."""
        related = dict.fromkeys(name for one in self._instances for name in self._families.of(one))
        return [about.plan_key(name) for about in self._abouts for name in related]

    def begins(self) -> Collection[PlanKey]:
        """Where what was heard before counts: the plans that the event begins if there are none."""
        return [
            about.plan_key(name)
            for about in self._abouts
            if about.turn in _BEGIN
            for name in (NOBODY, *self._names)
        ]

    def advance(
        self,
        event: str,
        plans: Mapping[PlanKey, Plan],
        now: datetime,
        early: Mapping[PlanKey, Sequence[Heard]],
    ) -> Advance:
        """What the event makes of these plans.

        Args:
            event: Its id in the ledger.
            plans: Those of `keys` that there are.
            now: When it is accepted.
            early: What was heard of those of `begins`, while there were no plans.

        Raises:
            EventInvalid: A plan may not take that turn, or nothing says what the event leaves out.
        """
        taken = _Taken(dict(plans), early, Alike())
        targets = 0
        for about in self._abouts:
            aimed = self._aimed(about, plans)
            targets += len(aimed)
            said = self._statement(about, event, now)
            for instance in aimed:
                self._take(about, replace(said, instance=instance.id), instance, taken)
            if not aimed:
                self._unplanned(about, "any of its instances", taken)
            if self._event.selection.kind != "instances" and about.turn != "scheduled":
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

    @cached_property
    def _instances(self) -> Sequence[Instance]:
        """Without their people."""
        return [one for one in map(self._families.outline, self._names) if one is not None]

    def _aimed(self, about: About, plans: Mapping[PlanKey, Plan]) -> Sequence[Instance]:
        """The instances that it is about: of a whole region, after the first turn, those with a plan."""
        if self._event.selection.kind == "instances" or about.turn == "scheduled":
            return self._instances
        return [one for one in self._instances if about.plan_key(one.id) in plans]

    def _take(self, about: About, said: Statement, instance: Instance, taken: _Taken) -> None:
        """Let the plan of one instance take the turn."""
        key = about.plan_key(instance.id)
        plan = taken.plans.get(key)
        if plan is None and about.turn not in _BEGIN:
            self._unplanned(about, instance.id, taken)
            taken.unplanned.append(key)
            return
        place = place_of(self._catalogue, instance)
        try:
            took = taken.alike.advance(about.key, about.cadence, plan, said, place)
        except MoveRefused as refused:
            what = f"{about.subject} at {instance.id}: {refused.what}"
            taken.problems.append(Problem("instances", what, refused.fix, "instances"))
            return
        heard = [] if plan else [*taken.early.get(key, ()), *taken.early.get(about.plan_key(NOBODY), ())]
        if heard:
            words = early_words(self._catalogue, about.cadence, said, heard, instance)
            took = caught_up(about.cadence, took, said, words, place)
        taken.plans[key] = took.plan
        taken.moves += [took.move] if took.move else []
        taken.moves += took.made_up
        taken.warnings += [f"{about.subject} at {instance.id}: {warning}" for warning in took.warnings]
        if took.record_only:
            taken.overtaken[instance.id] = took.record_only
        elif took.move and took.move.facts != taken.judged:
            found = list(self._wanting(took.move.facts, f"{about.subject} at {instance.id}"))
            taken.problems += found
            taken.judged = took.move.facts if not found else None

    def _statement(self, about: About, event: str, now: datetime) -> Statement:
        """What the event says, to no instance yet."""
        raw = known(self._spec, self._event.fields)
        return Statement(
            type=self._event.effective_type,
            turn=about.turn,
            instance=NOBODY,
            subject=about.subject,
            fields=parse_fields(self._spec, raw, partial=True)[0],
            raw=raw,
            event_id=event,
            said_at=min(self._event.time or now, now),
            accepted_at=now,
            decision=self._event.decision,
        )

    def _unplanned(self, about: About, where: str, taken: _Taken) -> None:
        """An event about what nothing is planned for is told as it is, if it says all that it must."""
        taken.warnings.append(f"no plan of {about.subject} at {where}: nothing is planned or filled in")
        if taken.unsaid is None:
            taken.unsaid = list(self._wanting({}, ""))
        taken.problems += taken.unsaid

    def _wanting(self, facts: Mapping[str, Any], plan: str) -> Iterator[Problem]:
        """What neither the event nor its plan says, and what is amiss between the two."""
        given = self._event.fields
        _, problems = parse_fields(self._spec, known(self._spec, filled(given, facts)))
        for problem in problems:
            field_ = self._spec.fields.get(problem.key)
            if field_ and field_.from_plan and given.get(problem.key) is None:
                why = f"and the plan of {plan} does not" if plan else "and there is no plan that"
                why = f"{why} say it" if plan else f"{why} says it"
                what = f"{problem.what}, {why}" if problem.key not in facts else f"{problem.what} ({plan})"
                yield replace(problem, what=what)
            else:
                yield problem

    def _mind_order(self, about: About, touched: Sequence[str], taken: _Taken) -> None:
        """Warn of every plan, touched or related, that breaks the order of sandbox and production.

        The sender is told of those that the event is about; if all is well with them, of what it made of the
        others.
        """
        if about.cadence.step_on("in-progress") is None:
            return  # nothing is done to the instance, so no order is needed
        named, own, others = frozenset(touched), list[str](), list[str]()
        names = dict.fromkeys(touched)
        for name in touched:
            instance = self._families.outline(name)
            names |= dict.fromkeys(self._families.of(instance) if instance else ())
        for name in names:
            plan, instance = taken.plans.get(about.plan_key(name)), self._families.outline(name)
            if plan is None or instance is None:
                continue
            there = {one: taken.plans.get(about.plan_key(one)) for one in self._families.of(instance)}
            warnings = tuple(self._families.order(instance, plan, there))
            if warnings != plan.warnings:
                taken.plans[plan.key] = replace(plan, warnings=warnings)
            new = warnings if name in named else [one for one in warnings if one not in plan.warnings]
            (own if name in named else others).extend(f"{about.subject} at {name}: {one}" for one in new)
        taken.warnings += own or others
