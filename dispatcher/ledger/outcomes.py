"""What an outcome changes: the row of its delivery, and the row of its attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, update

from dispatcher.domain.delivery import Claim, OnUncertain, Outcome, Status
from dispatcher.ledger.claim_rows import micros
from dispatcher.ledger.columns import storable
from dispatcher.ledger.schema import deliveries

MAX_REPLY = 500  # characters of a server's reply that are kept
POISON = 3  # workers in a row that went away over a delivery before it is set aside

#: Ends the claim of a worker that went away; its parameters come from `abandoned`.
SETTLE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("key"))
    .values(
        status=bindparam("new_status"),
        reason=bindparam("new_reason"),
        next_try_at=bindparam("due"),
        uncertain=deliveries.c.uncertain | bindparam("doubt"),
        crashes=bindparam("crashed"),
        retry_from=bindparam("since"),
        lease_until=None,
        worker=None,
        updated_at=bindparam("now"),
    )
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a claim.

    Attributes:
        next_try_at: When to try again after `Status.DEFERRED` or `UNCERTAIN`. None means that no try is
            left: the delivery becomes `Status.FAILED` or `HELD`.
    """

    claim: Claim
    outcome: Outcome
    next_try_at: datetime | None = None


def _after(one: Recorded) -> tuple[Status, datetime | None]:
    """Where a delivery stands after an outcome, and when it is tried again."""
    status, due = one.outcome.status, one.next_try_at
    if status is Status.UNCERTAIN and (due is None or one.claim.on_uncertain is OnUncertain.HOLD):
        return Status.HELD, None
    if status is Status.DEFERRED and due is None:
        return Status.FAILED, None
    return status, due if status in {Status.DEFERRED, Status.UNCERTAIN} else None


class Settled(NamedTuple):
    """A delivery after what came of its claim, and its attempt; moments are numbers.

    Attributes:
        status: Where the delivery stands.
        due: When it is tried again.
        since: When its first try was recorded.
        came: What came of this try.
    """

    id: str
    status: str
    reason: str
    due: int | None
    doubt: bool
    since: int
    came: str
    code: int | None
    enhanced_code: str | None
    reply: str


def settled(one: Recorded, now: int) -> Settled:
    """What to write of a claim.

    Args:
        one: What came of it.
        now: The time, as columns keep it.
    """
    claim, outcome = one.claim, one.outcome
    status, due = _after(one)
    return Settled(
        claim.id,
        status,
        outcome.reason,
        None if due is None else micros(due),
        outcome.status is Status.UNCERTAIN,
        # An outage before the first try is none of the four days that the message has.
        micros(claim.retry_from) if claim.tries else now,
        outcome.status,
        outcome.code,
        outcome.enhanced_code,
        _kept(outcome.reply),
    )


def abandoned(row: Any, now: datetime) -> dict[str, Any]:
    """The delivery after its worker went away while it was sending."""
    poison = row.crashes + 1 >= POISON
    held = poison or row.on_uncertain == OnUncertain.HOLD
    return {
        "key": row.id,
        "new_status": (Status.HELD if held else Status.UNCERTAIN).value,
        "new_reason": "poison" if poison else "lease_expired",
        "due": None if held else now,
        "doubt": True,
        "crashed": row.crashes + 1,
        "since": row.retry_from,
        "now": now,
    }


def gone(worker: str | None) -> Outcome:
    """What a worker that went away leaves behind."""
    reply = f"The worker {worker} did not report back before its lease ran out."
    return Outcome(Status.UNCERTAIN, "lease_expired", reply=reply)


def attempt_row(delivery: str, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """The attempt that keeps an outcome."""
    return {
        "delivery": delivery,
        "at": now,
        "status": outcome.status.value,
        "reason": outcome.reason,
        "code": outcome.code,
        "enhanced_code": outcome.enhanced_code,
        "reply": _kept(outcome.reply),
    }


def _kept(reply: str) -> str:
    return storable(reply)[:MAX_REPLY]


#: Settles what is due and must not be sent. Its claim never was: the outcome of its last one may still come.
BAR = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("key"))
    .values(
        status=bindparam("bar"),
        reason=bindparam("why"),
        next_try_at=None,
        updated_at=bindparam("now"),
    )
)
