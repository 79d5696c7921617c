"""What a worker is told of a delivery that it may send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from dispatcher.domain.delivery import Claim, Lane, OnUncertain

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LANES = {str(lane): lane for lane in Lane}
_POLICIES = {str(policy): policy for policy in OnUncertain}


class Picked(NamedTuple):
    """A delivery that is due, as the database gives it: moments are numbers.

    Attributes:
        cancelled: Whether its event was cancelled.
        stopped: Whether anybody opted out of anything.
        troubled: Whether any incident is open.
    """

    id: str
    event: str
    type: str
    instance: str
    address: str
    name: str | None
    language: str
    sender: str
    lane: str
    message_id: str
    variant: int
    fence: int
    tries: int
    created_at: int
    retry_from: int | None
    on_uncertain: str
    expires_at: int | None
    thread_root: str | None
    cancelled: bool
    stopped: bool
    troubled: bool


class Moments(dict[Any, Any]):
    """Moments by their numbers: a batch has few different ones, and each is made once."""

    def __missing__(self, number: int | None) -> datetime | None:
        """None for None."""
        made = None if number is None else _EPOCH + timedelta(microseconds=number)
        self[number] = made
        return made


def micros(moment: datetime) -> int:
    """A moment as its column keeps it; see `dispatcher.ledger.columns.Moment`."""
    return (moment - _EPOCH) // _MICROSECOND


def claim_of(row: Picked, moments: Moments) -> Claim:
    """The claim of a delivery that was picked, as taking it over leaves it."""
    return Claim(
        id=row.id,
        event=row.event,
        type=row.type,
        instance=row.instance,
        address=row.address,
        name=row.name,
        language=row.language,
        sender=row.sender,
        lane=_LANES[row.lane],
        message_id=row.message_id,
        variant=row.variant,
        fence=row.fence + 1,
        tries=row.tries,
        created_at=moments[row.created_at],
        retry_from=moments[row.retry_from or row.created_at],
        expires_at=moments[row.expires_at],
        thread_root=row.thread_root,
        on_uncertain=_POLICIES[row.on_uncertain],
    )
