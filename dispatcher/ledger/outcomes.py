"""What an outcome changes: the row of its delivery, and the row of its attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, update

from dispatcher.domain.delivery import Claim, OnUncertain, Outcome, Status
from dispatcher.ledger.columns import storable
from dispatcher.ledger.schema import deliveries

MAX_REPLY = 500  # characters of a server's reply that are kept
POISON = 3  # workers in a row that went away over a delivery before it is set aside
#: Reasons of deliveries whose worker was taken for gone; if it reports after all, its word counts.
LAPSED = ("lease_expired", "poison")

#: Where a delivery stands that was claimed and must not be sent, and the reason it gives.
BARRED = {
    Status.CANCELLED: "cancelled",
    Status.EXPIRED: "expired",
    Status.SUPPRESSED: "opted_out",
    Status.HELD: "incident",
}

#: Ends a claim; its parameters come from `settled` or `abandoned`.
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


def settled(one: Recorded, now: datetime) -> dict[str, Any]:
    """The delivery after what came of its claim."""
    status, due = _after(one)
    return {
        "key": one.claim.id,
        "new_status": status.value,
        "new_reason": one.outcome.reason,
        "due": due,
        "doubt": one.outcome.status is Status.UNCERTAIN,
        "crashed": 0,
        # An outage before the first try is none of the four days that the message has.
        "since": one.claim.retry_from if one.claim.tries else now,
        "now": now,
    }


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
        "reply": storable(outcome.reply)[:MAX_REPLY],
    }


def bar(row: Any, now: datetime) -> Status | None:
    """Why a delivery must not be sent, if there is a reason."""
    if row.cancelled:
        return Status.CANCELLED
    if row.expires_at is not None and row.expires_at <= now:
        return Status.EXPIRED
    if row.opted_out:
        return Status.SUPPRESSED
    return Status.HELD if row.affected else None


def barred_row(row: Any, why: Status) -> dict[str, Any]:
    """The delivery as it is then: its claim never was.

    Args:
        row: With the values that claiming gave it.
        why: One of `BARRED`.
    """
    return {
        "key": row.id,
        "bar": why.value,
        "why": BARRED[why],
        "count": row.tries - 1,
        "before": row.fence - 1,  # nobody follows its last claim, whose outcome may still come
    }


#: Settles what was claimed and must not be sent; its parameters come from `barred_row`.
BAR = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("key"))
    .values(
        status=bindparam("bar"),
        reason=bindparam("why"),
        tries=bindparam("count"),
        fence=bindparam("before"),
        lease_until=None,
        worker=None,
    )
)
