"""Plans: what is to be told about one subject at one instance, and when.

A plan is a value. Rules that make one from another stand in `dispatcher.domain.planning` (which steps, and
when) and `dispatcher.domain.life` (which turns its life may take); the ledger keeps what they come to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from dispatcher.domain.cadence import Turn


class PlanState(StrEnum):
    """Where a plan stands. A series knows only the first and the last two."""

    SCHEDULED = "scheduled"
    APPROVED = "approved"
    IN_PROGRESS = "in-progress"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"


#: What the reason of a step begins with that is due, and that cannot be told for now.
UNTOLD: Final = "cannot be told: "
#: Nothing more is planned for a plan in one of these.
ENDED = frozenset({PlanState.SUCCEEDED, PlanState.CANCELLED})


class StepStatus(StrEnum):
    """Where a step stands. The same words label the API, the CLI and the docs."""

    PENDING = "pending"
    SENT = "sent"  # its event was accepted; what became of its mail, the event tells
    SKIPPED = "skipped"  # its day had passed when the plan was made
    SUPERSEDED = "superseded"  # the date moved, or the cadence changed
    CANCELLED = "cancelled"  # the thing will not take place, or has


class PlanKey(NamedTuple):
    """What a plan is about: of each there is one."""

    cadence: str
    subject: str
    instance: str


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of one revision of a plan.

    Attributes:
        key: Its key in the cadence.
        revision: The plan's revision that it belongs to.
        type: The communication type that it tells.
        due_at: When; aware, UTC.
        reason: Why it stands where it stands; while it is pending, why it was planned anew, or once it is due
            why it cannot be told.
        event: The event that told it, once it was.
        settled_at: When it came to stand there; None while it is pending.
    """

    key: str
    revision: int
    type: str
    due_at: datetime
    status: StepStatus = StepStatus.PENDING
    reason: str = ""
    event: str | None = None
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One subject at one instance.

    Attributes:
        id: Ours, unique, fit for a URL; empty before the ledger has it.
        anchor: What steps are counted from; for a cadence anchored on a date, that day's first moment where
            the instance is.
        revision: Rises by one with every new date; 1 at first.
        version: Rises by one with every change of anything, so that a change based on an older one is seen.
        facts: What events about it may leave out, plain JSON values by field.
        cadence_digest: Of the cadence that its pending steps were made from.
        said_at: When the latest statement on its date was made, as its event said, else when it was accepted.
        steps: All steps of all revisions, in the order of revision and time.
    """

    key: PlanKey
    state: PlanState
    anchor: datetime
    alternate_at: datetime | None
    revision: int
    facts: Mapping[str, Any]
    cadence_digest: str
    said_at: datetime
    made_at: datetime
    updated_at: datetime
    steps: tuple[PlannedStep, ...] = ()
    id: str = ""
    version: int = 1
    warnings: tuple[str, ...] = ()

    @property
    def mandatory(self) -> bool:
        """Whether it is done without approval."""
        return self.facts.get("mandatory") is True


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decided, and how we know.

    Attributes:
        by: The address of the person whose link was used.
        delivery: The id of the delivery that brought the link; empty if none did.
    """

    by: str
    delivery: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """One turn of a plan's life, as it was taken.

    Attributes:
        turn: Which.
        event: The event that said so.
        at: When it was accepted.
        before: The anchor until then; None for the first turn.
        after: The anchor from then on.
        revision: The plan's, after it.
        facts: What the event's communication about this instance says beside the event's own fields.
        decision: The admin who decided; None where upstream did.
    """

    plan: PlanKey
    turn: Turn
    event: str
    at: datetime
    before: datetime | None
    after: datetime
    revision: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """What an event makes of the plans that it is about.

    Attributes:
        plans: The plans as they are from now on; those not named stay as they are.
        moves: The turns that were taken, one for each plan that took one.
        record_only: Why the event is told to nobody by mail, or an empty string for as it is.
        warnings: What its sender should know.
        unplanned: What the event is a turn of, without a plan that could take it: it counts if one begins
            later. Without an instance where the event names none itself.
    """

    plans: tuple[Plan, ...] = ()
    moves: tuple[Move, ...] = ()
    record_only: str = ""
    warnings: tuple[str, ...] = ()
    unplanned: tuple[PlanKey, ...] = ()

    def facts_of(self, event: str) -> dict[str, Mapping[str, Any]]:
        """By instance, what the communication of an event says beside the event's own fields."""
        return {move.plan.instance: move.facts for move in self.moves if move.event == event}
