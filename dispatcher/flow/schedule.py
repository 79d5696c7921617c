"""What plans have due is told; what plans were made from a cadence that has changed is planned anew.

Steps wait in the ledger and nowhere else. A step that is due becomes an event like any other, in one
transaction with the note that it was told: whoever dies in between, and however many workers do the same, it
is told once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Selection, StepKey
from dispatcher.domain.instance import Instance
from dispatcher.domain.moment import day_in
from dispatcher.domain.plan import UNTOLD, Plan, PlannedStep, StepStatus
from dispatcher.domain.planning import digest, due_fields, place_of, replanned
from dispatcher.errors import DispatcherError, EventInvalid, ServiceUnreachable
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.submit import Submission, Submit
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.plan_steps import DueStep

#: The source of the events by which plans tell their steps.
SOURCE = "dispatcher:plans"
#: Steps told in one transaction: short enough that whoever else writes need not wait, a fraction of a second.
BATCH = 100
#: Pages between two looks at the recipient files: a look at ten thousand takes as long as a page.
LOOK_EVERY = 10
#: Plans that are made anew in one transaction.
REPLANNED = 200
#: How long an instance is waited for that was known when the plan was made: lists may be on their way here.
PATIENCE = timedelta(minutes=2)
_OVER = "no worker ran on its day"
_BEGUN = "no worker ran until the date had come"
_GONE = "gone"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Page:
    """What becomes of the steps that were read together.

    Attributes:
        tell: The events of those that are to be told.
        plans: The plans of those that are not, as they are from now on.
    """

    tell: list[Submission] = field(default_factory=list)
    plans: dict[str, Plan] = field(default_factory=dict)

    def settle(self, due: DueStep, status: StepStatus, reason: str, now: datetime) -> None:
        """Note that a step is not told, and why."""
        plan = self.plans.get(due.plan.id, due.plan)
        settled = replace(due.step, status=status, reason=reason, settled_at=now)
        steps = tuple(settled if step == due.step else step for step in plan.steps)
        self.plans[plan.id] = replace(plan, steps=steps, updated_at=now)


class Schedule:
    """Tells what is due, a page at a time, so that nothing else waits for it."""

    def __init__(
        self,
        catalogue: Catalogue,
        recipients: RecipientStore,
        ledger: Ledger,
        submit: Submit,
        clock: Callable[[], datetime],
    ) -> None:
        self._catalogue = catalogue
        self._recipients = recipients
        self._ledger = ledger
        self._submit = submit
        self._clock = clock
        self._stopping = False
        self._digests = {key: digest(one) for key, one in catalogue.cadences.items()}
        self._replanned: set[str] = set()
        self._complained: set[str] = set()
        self._untold: dict[str, str] = {}

    def stop(self) -> None:
        """Begin no further page; what is left is told by another worker, or later."""
        self._stopping = True

    async def __call__(self) -> None:
        """Plan anew what must be, and tell all that is due.

        Raises:
            ServiceUnreachable: The ledger does not answer; what was told stays told.
        """
        await self._replan()
        after: DueStep | None = None
        pages = 0
        while not self._stopping:
            now = self._clock()
            found = await self._ledger.plans.due(now, BATCH, after)
            if not found:
                return
            if pages % LOOK_EVERY == 0:
                self._recipients.refresh()
            pages += 1
            page = _Page()
            for due in found:
                try:
                    self._judge(due, now, page)
                except Exception as error:  # noqa: BLE001 - one step must never stop the others
                    self._complain(_name(due.key), due.step.type, error)
            if page.plans:
                # Who changed one of them meanwhile has it looked at again in the next round.
                await self._ledger.plans.replace(list(page.plans.values()))
            await self._tell(page.tell)
            await self._note(found)
            after = found[-1]
            await asyncio.sleep(0)

    def _judge(self, due: DueStep, now: datetime, page: _Page) -> None:
        """Whether a step that is due is told, and if not, why."""
        instance = self._recipients.get(due.plan.key.instance)
        if instance is None:
            # Its file may be broken, or not be here yet; a plan outlives that, and its admins do not change.
            if not self._recipients.lost() and now - due.step.due_at >= PATIENCE:
                left = f"{due.plan.key.instance} has left the recipient lists"
                page.settle(due, StepStatus.CANCELLED, left, now)
            elif now - due.step.due_at >= timedelta(days=1):
                page.settle(due, StepStatus.SKIPPED, "its instance's recipient file could not be read", now)
            return
        cadence = self._catalogue.cadences.get(due.plan.key.cadence)
        known = due.step.type in self._catalogue.types
        step = cadence.steps.get(due.step.key) if cadence and known else None
        over = _over(due, instance, now)
        if step is None:
            if over:
                lost = f"{due.plan.key.cadence} has no such step in the catalogue"
                page.settle(due, StepStatus.SKIPPED, lost, now)
            return
        submission = step_event(self._catalogue, due.plan, due.step)
        if over:
            page.settle(due, StepStatus.SKIPPED, self._refusal(submission) or over, now)
        else:
            page.tell.append(submission)

    def _refusal(self, submission: Submission) -> str:
        """Why the step cannot be told as an event; empty if it can."""
        try:
            self._submit.check(submission, self._clock())
        except EventInvalid as error:
            return f"its event is refused: {error.problems[0]}"
        return ""

    async def _tell(self, submissions: Sequence[Submission]) -> None:
        """Submit the events; one that is refused refuses all, so halves are tried until it stands alone."""
        if not submissions:
            return
        try:
            await self._submit(submissions, refresh=False)
        except ServiceUnreachable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one must never stop the others
            if len(submissions) == 1:
                self._complain(submissions[0].id, submissions[0].type, error)
                return
            middle = len(submissions) // 2
            await self._tell(submissions[:middle])
            await self._tell(submissions[middle:])

    def _complain(self, step: str, type_: str, error: Exception) -> None:
        """Say once that a step cannot be told for now; it is tried until its day is over."""
        self._untold[step] = UNTOLD + _cause(error)
        if step not in self._complained:
            self._complained.add(step)
            trace = None if isinstance(error, DispatcherError) else error
            _log.error("step %s of %s cannot be told: %s", step, type_, error, exc_info=trace)

    async def _note(self, found: Sequence[DueStep]) -> None:
        """Write down with each step that could not be told why, for `plan show` and `status`."""
        noted: dict[str, Plan] = {}
        for due in found:
            reason = self._untold.pop(_name(due.key), "")
            if reason not in {"", due.step.reason}:
                plan = noted.get(due.plan.id, due.plan)
                steps = tuple(replace(one, reason=reason) if one == due.step else one for one in plan.steps)
                noted[plan.id] = replace(plan, steps=steps)
        if noted:
            # Who changed one of them meanwhile has it noted in the next round.
            await self._ledger.plans.replace(list(noted.values()))

    async def _replan(self) -> None:
        """Make the pending steps of plans anew whose cadence has changed."""
        while not self._stopping:
            # What comes back, another worker made from another catalogue: no tug of war.
            outdated = await self._ledger.plans.outdated(self._digests, REPLANNED, but=self._replanned)
            if not outdated:
                return
            self._recipients.refresh()
            self._replanned |= {plan.id for plan in outdated}
            made = list(self._anew(outdated))
            written = set(await self._ledger.plans.replace(made))
            # Who changed one meanwhile did so with this cadence or another; the next look tells.
            self._replanned -= {plan.id for plan in made} - written
            counts = Counter(plan.key.cadence for plan in made if plan.id in written)
            for key, count in sorted(counts.items()):
                _log.warning("cadence %s changed: the pending steps of %d plans are made anew", key, count)
            await asyncio.sleep(0)

    def _anew(self, plans: Sequence[Plan]) -> Iterator[Plan]:
        now = self._clock()
        for plan in plans:
            key = plan.key.cadence
            cadence = self._catalogue.cadences.get(key)
            instance = self._recipients.get(plan.key.instance)
            if cadence is None:
                self._digests[key] = _GONE
                ended = _without(plan, f"the catalogue has no cadence {key}", now)
                yield replace(ended, cadence_digest=_GONE)
            elif instance is not None:
                try:
                    yield replanned(plan, cadence, place_of(self._catalogue, instance), now)
                except (ValueError, OverflowError):
                    # It keeps the steps that it has; the other plans, and what is due, go on.
                    _log.exception("plan %s cannot be made anew from the cadence %s", plan.id, key)


def step_event(catalogue: Catalogue, plan: Plan, planned: PlannedStep) -> Submission:
    """The event by which a plan tells one of its steps, which its cadence still has."""
    step = catalogue.cadences[plan.key.cadence].steps[planned.key]
    key = StepKey(plan.id, planned.revision, planned.key)
    return Submission(
        source=SOURCE,
        id=_name(key),
        type=planned.type,
        selection=Selection("instances", (plan.key.instance,)),
        thread=None,
        fields=due_fields(catalogue, plan, planned),
        channels=None if step.channels is None else tuple(step.channels),
        roles=None if step.roles is None else tuple(step.roles),
        step=key,
    )


def _name(key: StepKey) -> str:
    """What the event is called that tells a step."""
    return "/".join(map(str, key))


def _cause(error: Exception) -> str:
    """What is wrong with a step's event, without what its sender should do: no person sent it."""
    if isinstance(error, EventInvalid):
        first = error.problems[0]
        return f"{first.where}: {first.what}"
    return str(error).rstrip(".") or type(error).__name__


def _without(plan: Plan, reason: str, now: datetime) -> Plan:
    """The plan with nothing pending."""

    def ended(step: PlannedStep) -> PlannedStep:
        if step.status is not StepStatus.PENDING:
            return step
        return replace(step, status=StepStatus.SUPERSEDED, reason=reason, settled_at=now)

    return replace(plan, steps=tuple(map(ended, plan.steps)), updated_at=now)


def _over(due: DueStep, instance: Instance, now: datetime) -> str:
    """Why it is too late for a step; empty if it is not."""
    if due.step.due_at < due.plan.anchor <= now:
        return _BEGUN
    zone = instance.time_zone
    return _OVER if day_in(zone, now) > day_in(zone, due.step.due_at) else ""
