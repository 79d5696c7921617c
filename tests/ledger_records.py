"""Records for tests of the ledger, and of what stands upon it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from dispatcher.domain.delivery import (
    Claim,
    Lane,
    NewDelivery,
    NewVariant,
    OnUncertain,
    Outcome,
    Reason,
    Status,
)
from dispatcher.domain.event import NewEvent, Selection
from dispatcher.ledger import Expansion, Ledger, Recovered

LEASE = timedelta(seconds=30)
SENT = Outcome(Status.SENT, "accepted", 250, "2.0.0", "2.0.0 Ok: queued")
DEFERRED = Outcome(Status.DEFERRED, "refused_temporarily", 451, "4.7.1", "4.7.1 Try later")
FAILED = Outcome(Status.FAILED, "refused_permanently", 550, "5.1.1", "5.1.1 No such user")
LOST = Outcome(Status.UNCERTAIN, "lost_after_data", None, None, "The connection was lost")


def new_event(
    external_id: str = "CHG-1",
    *,
    source: str = "changes",
    lane: Lane = Lane.NORMAL,
    fingerprint: str = "f1",
    thread: str | None = None,
    type_: str = "planned-maintenance",
) -> NewEvent:
    return NewEvent(
        source=source,
        external_id=external_id,
        type=type_,
        effective_type=type_,
        lane=lane,
        selection=Selection("instances", ("contoso-prod", "fabrikam")),
        thread=thread,
        fields={"title": "Größere Wartung ■", "minutes": 90, "parts": ["a", None, True]},
        fingerprint=fingerprint,
    )


def new_delivery(
    address: str = "ada@example.com",
    *,
    instance: str = "contoso-prod",
    expires_at: datetime | None = None,
) -> NewDelivery:
    return NewDelivery(
        instance=instance,
        instances=(instance,),
        address=address,
        name="Ada",
        language="de",
        time_zone="Europe/Berlin",
        reasons=(Reason("admins", f"recipients/{instance}.yaml:3"),),
        variant="v1",
        sender="operations",
        expires_at=expires_at,
    )


def expansion(
    addresses: Sequence[str],
    *,
    instance: str = "contoso-prod",
    on_uncertain: OnUncertain = OnUncertain.RESEND,
    mark: str = "m",
    expires_at: datetime | None = None,
) -> Expansion:
    """One variant, and a delivery to each address; `mark` sets Message-IDs apart."""
    return Expansion(
        variants=[NewVariant("v1", "Wartung ■", b"<html>" + b"x" * 5000, "maintenance@3f2a9c1e")],
        deliveries=[new_delivery(address, instance=instance, expires_at=expires_at) for address in addresses],
        message_ids=[f"<{mark}.{instance}.{number}@example.com>" for number in range(len(addresses))],
        on_uncertain=on_uncertain,
    )


def people(number: int) -> list[str]:
    return [f"person{n:05}@example.com" for n in range(number)]


async def expanded(
    ledger: Ledger,
    addresses: Sequence[str],
    event: NewEvent | None = None,
    *,
    on_uncertain: OnUncertain = OnUncertain.RESEND,
    expires_at: datetime | None = None,
) -> str:
    """The id of a new event with a delivery to each address."""
    event = event or new_event()
    (added,) = await ledger.events.add([event])
    mark = f"{event.source}.{event.external_id}"
    made = expansion(addresses, on_uncertain=on_uncertain, mark=mark, expires_at=expires_at)
    await ledger.expansions.store(added.id, made)
    return added.id


async def claim(
    ledger: Ledger, limit: int = 100, *, lane: Lane = Lane.NORMAL, worker: str = "w1"
) -> Sequence[Claim]:
    return await ledger.claims.claim(lane, limit, worker=worker, lease=LEASE)


async def lapse(ledger: Ledger) -> Recovered:
    """Let every lease that is held at this moment count as lapsed."""
    return await ledger.leases.recover(await ledger.leases.held("w"))
