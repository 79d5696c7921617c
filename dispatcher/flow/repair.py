"""Putting things right by hand: withdraw an event, have what failed tried again, let go of what is held."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from dispatcher.domain.delivery import Delivery, Status
from dispatcher.domain.event import Event
from dispatcher.domain.moment import check_year, parse_duration
from dispatcher.errors import InvalidInput, NotFound, Problem
from dispatcher.ledger.backlog import Share
from dispatcher.ledger.deliveries import Filter
from dispatcher.ledger.ledger import Ledger

#: Seconds between two looks at deliveries that are on their way.
POLL_SECONDS = 0.2
#: Deliveries that a plan lists one by one; more are counted.
SHOWN = 20

#: What a repair does, from which status, and which command does it.
Kind = Literal["replayed", "released"]
_FROM: dict[Kind, Status] = {"replayed": Status.FAILED, "released": Status.HELD}


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What came of withdrawing an event.

    Attributes:
        event: As it stands now; an event that was expanded has its counts.
        before: When it had been withdrawn already, or None.
        doubtful: Of the cancelled deliveries, a first copy may have arrived.
    """

    event: Event
    before: datetime | None
    doubtful: int

    def count(self, status: Status) -> int:
        """How many of its deliveries stand there."""
        return self.event.counts.get(status, 0)

    def as_json(self) -> dict[str, Any]:
        """The numbers as JSON values, the same whenever the same event is cancelled again."""
        return {
            "event": self.event.id,
            "cancelled": self.count(Status.CANCELLED),
            "sent": self.count(Status.SENT),
            "sending": self.count(Status.SENDING),
        }


async def cancel(
    ledger: Ledger,
    event: Event,
    patience: float = 0.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Cancelled:
    """Withdraw an event: nothing of it is begun any more. Doing it again changes nothing.

    Args:
        ledger: The ledger.
        event: The event.
        patience: Seconds to wait at most for what is on its way, so that the numbers are final.
        sleep: Waits for so many seconds.

    Raises:
        ServiceUnreachable: The ledger cannot be had.
    """
    await ledger.events.cancel(event.id)
    await ledger.deliveries.cancel(event.id)
    left = round(patience / POLL_SECONDS)
    while left > 0 and (await ledger.deliveries.counts(event.id)).get(Status.SENDING):
        await sleep(POLL_SECONDS)
        left -= 1
    # What was on its way and was put off meanwhile waits again, for a try that must not come.
    await ledger.deliveries.cancel(event.id)
    shares = await ledger.backlog.shares(Filter(event=event.id, status=Status.CANCELLED))
    return Cancelled(
        event=await ledger.events.get(event.id),
        before=event.cancelled_at,
        doubtful=sum(share.doubtful for share in shares),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a repair would do.

    Attributes:
        kind: What becomes of the deliveries.
        wanted: Which deliveries they are.
        shares: The same, event by event, without those of cancelled events.
        events: Failed events that are expanded after all.
        left_out: How many deliveries stay as they are, because their events were cancelled.
        waiting: How many stay held until the incident is over that affects their instances.
        shown: The deliveries with their attempts, if they are few.
    """

    kind: Kind
    wanted: Sequence[Filter]
    shares: Sequence[Share]
    events: Sequence[Event] = ()
    left_out: int = 0
    waiting: int = 0
    shown: Sequence[Delivery] = ()

    @property
    def deliveries(self) -> int:
        """How many deliveries go back into the queue."""
        return sum(share.deliveries for share in self.shares)


async def plan_replay(
    ledger: Ledger, event: Event | None, delivery: str | None, since: datetime | None
) -> Plan:
    """What is to be tried again of what failed: all that fulfils every condition given.

    Args:
        ledger: The ledger.
        event: Of that event alone; the event itself, if it failed.
        delivery: That delivery alone, by its id.
        since: What failed at that moment or later; of failed events, those accepted since then.

    Raises:
        NotFound: There is no such delivery.
        InvalidInput: The delivery has not failed; the text says where it stands and what fits instead.
    """
    if delivery is not None:
        await _see_to(ledger, [delivery], "replayed", "--delivery")
    name = None if event is None else event.id
    plan = await _plan(ledger, "replayed", [Filter(event=name, id=delivery, since=since)])
    if delivery is not None:
        return plan
    failed = await ledger.events.failed(since)
    return replace(plan, events=[one for one in failed if name in {None, one.id}])


async def plan_release(ledger: Ledger, event: Event | None, deliveries: Sequence[str] = ()) -> Plan:
    """What is to be let go of what is held: those deliveries, or all of an event, or all.

    Raises:
        NotFound: There is no such delivery.
        InvalidInput: One of the deliveries is not held; the text says what fits instead.
    """
    names = list(dict.fromkeys(deliveries))
    await _see_to(ledger, names, "released", "DELIVERY")
    if names:
        return await _plan(ledger, "released", [Filter(id=name) for name in names])
    return await _plan(ledger, "released", [Filter(event=None if event is None else event.id)])


async def carry_out(ledger: Ledger, plan: Plan) -> tuple[int, int]:
    """Do what was planned; a worker's next sweep finds it.

    Returns:
        How many deliveries went back into the queue, and how many events are expanded after all.
    """
    moved = 0
    for wanted in plan.wanted:
        own = [share.event for share in plan.shares] if plan.left_out else [wanted.event]
        for event in own:
            moved += await ledger.deliveries.requeue(replace(wanted, event=event), plan.kind)
    retried = [await ledger.events.retry(event.id) for event in plan.events]
    return moved, sum(retried)


async def _plan(ledger: Ledger, kind: Kind, wanted: Sequence[Filter]) -> Plan:
    wanted = [replace(one, status=_FROM[kind], free=True) for one in wanted]
    found = _merged(
        [share for one in wanted for share in await ledger.backlog.shares(replace(one, free=False))]
    )
    free = [replace(one, deliveries=one.deliveries - one.waiting) for one in found if not one.cancelled]
    shares = [share for share in free if share.deliveries]
    plan = Plan(
        kind,
        wanted,
        shares,
        left_out=sum(one.deliveries for one in found if one.cancelled),
        waiting=sum(one.waiting for one in free),
    )
    if not 0 < plan.deliveries <= SHOWN:
        return plan
    listed = [
        delivery
        for one in wanted
        for delivery in await ledger.deliveries.list(one, limit=SHOWN + plan.left_out, with_attempts=True)
    ]
    kept = {share.event for share in shares}
    return replace(plan, shown=[delivery for delivery in listed if delivery.event in kept])


def _merged(shares: Sequence[Share]) -> Sequence[Share]:
    """One share for each event."""
    merged: dict[str, Share] = {}
    for share in shares:
        known = merged.get(share.event)
        merged[share.event] = share if known is None else known.plus(share)
    return list(merged.values())


async def _see_to(ledger: Ledger, names: Sequence[str], kind: Kind, where: str) -> None:
    """See that each of the deliveries is one that the repair is for."""
    problems = []
    for name in names:
        found = await ledger.deliveries.list(Filter(id=name), limit=1)
        if not found:
            hint = "`dispatcher deliveries` lists them with their ids."
            raise NotFound(f"There is no delivery {name[:80]!r}. {hint}")
        delivery = found[0]
        if delivery.status is not _FROM[kind]:
            what, fix = _instead(delivery)
            problems.append(Problem(where, f"{name} {what}", fix))
        elif (await ledger.events.get(delivery.event)).cancelled_at is not None:
            fix = "hand in a new event if the mail is wanted after all"
            problems.append(Problem(where, f"{name} belongs to {delivery.event}, which was cancelled", fix))
    if problems:
        raise InvalidInput(problems)


def _instead(delivery: Delivery) -> tuple[str, str]:
    """Where a delivery stands, and what to do instead."""
    status = delivery.status
    if status is Status.SENT:
        return "was sent", "hand in a new event, under a new id, to mail it again"
    if status is Status.FAILED:
        return "has failed and is not held", f"try it again: dispatcher replay --delivery {delivery.id}"
    if status is Status.HELD:
        return "is held and has not failed", f"let it go: dispatcher release {delivery.id}"
    if status in {Status.CANCELLED, Status.EXPIRED, Status.SUPPRESSED}:
        return f"is {status} and is never sent", "hand in a new event if the mail is wanted after all"
    at = delivery.next_try_at
    when = f", with its next try at {at:%Y-%m-%d %H:%M:%S}Z" if at else ""
    return f"is {status} and goes out by itself{when}", "nothing is to be done"


def parse_since(text: str, now: datetime) -> datetime:
    """A moment in the past: ``2026-03-01``, ``2026-03-01T12:00+01:00`` (UTC without offset), ``2h``, ``3d``.

    Raises:
        ValueError: It is none of these, or lies in the future.
    """
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("is neither a date, nor a date and time, nor a span") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    check_year(moment)
    if moment > now:
        raise ValueError("lies in the future")
    return moment.astimezone(UTC)
