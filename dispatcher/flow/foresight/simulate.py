"""What would happen: plans and events played through by the rules that the service itself uses.

Nothing is sent and nothing is written. Events are checked, plans advanced, audiences resolved by the same
code as in earnest; only the ledger is a dictionary, and the clock jumps from one thing to the next.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from dispatcher.domain.event import Heard, NewEvent
from dispatcher.domain.incident import Obligation
from dispatcher.domain.plan import Advance, Plan, PlanKey, PlannedStep, StepStatus
from dispatcher.domain.planning import anchor_of
from dispatcher.errors import EventInvalid
from dispatcher.flow.advance import Advancer
from dispatcher.flow.check import Submission
from dispatcher.flow.foresight.foretell import Foretell, Telling
from dispatcher.flow.foresight.imagined import Imagined, Start
from dispatcher.flow.foresight.outlook import Period, Row
from dispatcher.flow.foresight.rules import EVERYTHING, Happening, Rules, View
from dispatcher.flow.foresight.untold import name_of, owed, refused, unsent
from dispatcher.flow.foresight.wording import at_anchor
from dispatcher.flow.schedule import step_event

_DUE, _EVENT = 0, 1  # of two things at one moment, a step that waited for it comes first


class Simulation:
    """One run.

    Attributes:
        warnings: What the senders of events would be told, with the ids of those events.
        refused: Events that would not be accepted, whenever they come.
        plans: As they are at the end.
    """

    def __init__(self, rules: Rules, start: Start = Start()) -> None:  # noqa: B008 - it is frozen
        self._rules = rules
        self._advancer = Advancer(rules.catalogue, rules.recipients)
        self._world = Imagined(start, rules.accounts)
        self._foretell = Foretell(rules.catalogue, rules.recipients, self._world)
        self._seen: dict[tuple[str, str], str] = dict.fromkeys(start.known, "")
        self._queue: list[tuple[datetime, int, int, object]] = []
        self._number = 0
        self._owed: set[Obligation] = set()
        self._undated: set[str] = set()
        self._period = Period(date.min, date.max)
        self._early = {key: list(heard) for key, heard in start.heard.items()}
        self.plans: dict[PlanKey, Plan] = {}
        self.refused: list[Row] = []
        self.warnings: dict[str, list[str]] = {}
        for plan in start.plans:
            self._keep(plan)

    def run(self, happenings: Sequence[Happening], period: Period, view: View = EVERYTHING) -> list[Row]:
        """Play the events and all that follows, and give the rows of a period in the order of time."""
        for happening in happenings:
            self._push(happening.at, _EVENT, happening)
        self._period = period
        self._expect_obligations()
        rows = [row for row in self._play(period.ends) if view.shows(row) and self._within(row, period)]
        rows += [row for row in unsent(self._rules, self.plans.values(), period) if view.shows(row)]
        return sorted(rows, key=lambda row: (row.at, row.instance, row.type, row.step))

    def told_to_senders(self) -> Iterator[str]:
        """The warnings, each once."""
        for warning, events in self.warnings.items():
            many = f" and {len(events) - 1} more" if len(events) > 1 else ""
            yield f"event {events[0]}{many}: {warning}"

    def _within(self, row: Row, period: Period) -> bool:
        instance = self._rules.recipients.get(row.instance)
        return row.event in self._undated or period.covers(row.at, instance.time_zone if instance else "UTC")

    def _push(self, at: datetime, order: int, what: object) -> None:
        self._number += 1
        heapq.heappush(self._queue, (at, order, self._number, what))

    def _play(self, until: datetime) -> Iterator[Row]:
        while self._queue and self._queue[0][0] <= until:
            at, _, _, what = heapq.heappop(self._queue)
            if isinstance(what, Happening):
                if what.undated:
                    self._undated.add(name_of(what.submission))
                yield from self._hear(what.submission, at)
            elif isinstance(what, Obligation):
                yield from self._remind(what)
            elif isinstance(what, tuple):
                yield from self._step(*what)

    # -- events -----------------------------------------------------------------------------------

    def _hear(self, submission: Submission, at: datetime) -> Iterator[Row]:
        name = (submission.source, submission.id)
        known = self._seen.get(name)
        if known is not None and known in {"", submission.fingerprint}:
            return  # a repeat
        try:
            if known is not None:
                yield from self._refused(
                    submission, at, "its source and id were used before for other content"
                )
                return
            event = self._rules.check(submission, at)
            keys = self._advancer.keys(event)
            plans = {key: self.plans[key] for key in keys if key in self.plans}
            advance = self._advancer.advance(event, name_of(submission), plans, at, self._early)
        except EventInvalid as error:
            yield from self._refused(submission, at, " ".join(map(str, error.problems)))
            return
        self._seen[name] = submission.fingerprint
        for plan in advance.plans:
            self._keep(plan)
        heard = Heard(
            name_of(submission), event.effective_type, event.selection, event.fields, event.time, at
        )
        for key in advance.unplanned:
            self._early.setdefault(key, []).append(heard)
        for one in (*event.warnings, *advance.warnings):
            self.warnings.setdefault(one, []).append(submission.id)
        incident = self._world.enter(event, name_of(submission), at)
        yield from self._foretell.rows(self._telling(event, at, advance, incident))
        if incident:
            self._expect_obligations()
            yield from self._foretell.release(at)

    def _telling(self, event: NewEvent, at: datetime, advance: Advance, incident: str) -> Telling:
        facts = advance.facts_of(f"{event.source} {event.external_id}")
        said = f"event {event.external_id} of {event.source}"
        cadence, step, subject = "", "", incident
        for key, one in self._rules.catalogue.cadences.items():
            turn = one.turn_of(event.effective_type) if one.follows == "instance" else None
            found = one.step_on(turn) if turn else None
            if found and isinstance(about := event.fields.get(one.about), str):
                cadence, step, subject = key, found[0], about
                break
        return Telling(
            event=event,
            at=at,
            facts=facts,
            record_only=advance.record_only or event.record_only,
            reason=said,
            overtaken=bool(advance.record_only),
            cadence=cadence,
            subject=subject,
            step=step,
        )

    def _refused(self, submission: Submission, at: datetime, why: str) -> Iterator[Row]:
        rows = list(refused(self._rules, submission, at, why))
        self.refused += rows
        yield from rows

    # -- plans ------------------------------------------------------------------------------------

    def _keep(self, plan: Plan) -> None:
        """Keep a plan as it is from now on, and wait for its pending steps."""
        if not plan.id:
            plan = replace(plan, id=f"pln_{len(self.plans) + 1}")
        before = self.plans.get(plan.key)
        waited = set(before.steps) if before else set()
        self.plans[plan.key] = plan
        for step in plan.steps:
            if step.status is StepStatus.PENDING and step not in waited:
                self._push(step.due_at, _DUE, (plan.key, step))

    def _step(self, key: PlanKey, step: PlannedStep) -> Iterator[Row]:
        plan = self.plans[key]
        if step not in plan.steps or self._rules.recipients.get(key.instance) is None:
            return  # the plan has moved on, or nobody is there
        cadence = self._rules.catalogue.cadences.get(key.cadence)
        if cadence is None or step.key not in cadence.steps:
            return
        submission = step_event(self._rules.catalogue, plan, step)
        told = replace(step, status=StepStatus.SENT, event=submission.id, settled_at=step.due_at)
        steps = tuple(told if one == step else one for one in plan.steps)
        self.plans[key] = replace(plan, steps=steps)
        try:
            event = self._rules.check(submission, step.due_at)
        except EventInvalid as error:
            yield from self._refused(submission, step.due_at, " ".join(map(str, error.problems)))
            return
        instance = self._rules.recipients.get(key.instance)
        zone = instance.time_zone if instance else "UTC"
        telling = Telling(
            event=event,
            at=step.due_at,
            facts={},
            record_only=event.record_only,
            reason=at_anchor(cadence, step.key, anchor_of(plan, cadence), zone),
            cadence=key.cadence,
            subject=key.subject,
            step=step.key,
        )
        yield from self._foretell.rows(telling)

    # -- incidents --------------------------------------------------------------------------------

    def _expect_obligations(self) -> None:
        """Wait for the moments at which what is owed is late."""
        for one in self._world.obligations():
            if one.owed and one not in self._owed:
                self._owed.add(one)
                # What was late before the period is told when that begins, if it is owed by then.
                self._push(max(one.due_at.astimezone(UTC), self._begins(one.incident)), _EVENT, one)

    def _begins(self, incident: str) -> datetime:
        found = map(self._rules.recipients.get, self._world.affected(incident))
        zones = {one.time_zone for one in found if one}
        return min(map(self._period.beginning, zones), default=self._period.begins)

    def _remind(self, obligation: Obligation) -> Iterator[Row]:
        """The owners have a duty that is late now, if it still is one."""
        if obligation not in set(self._world.obligations()):
            return
        affected = self._world.affected(obligation.incident)
        yield from owed(self._rules, obligation, affected, self._period)
