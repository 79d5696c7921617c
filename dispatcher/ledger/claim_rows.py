"""What a worker is told of a delivery that it may send."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists

from dispatcher.domain.delivery import Claim, Lane, OnUncertain
from dispatcher.ledger.schema import deliveries, events

#: The columns that make a claim, and whether its event was cancelled.
CLAIM = (
    deliveries.c.id,
    deliveries.c.event,
    deliveries.c.type,
    deliveries.c.instance,
    deliveries.c.address,
    deliveries.c.name,
    deliveries.c.language,
    deliveries.c.sender,
    deliveries.c.lane,
    deliveries.c.message_id,
    deliveries.c.variant,
    deliveries.c.fence,
    deliveries.c.tries,
    deliveries.c.created_at,
    deliveries.c.retry_from,
    deliveries.c.on_uncertain,
    deliveries.c.expires_at,
    deliveries.c.thread_root,
    exists().where(events.c.id == deliveries.c.event, events.c.cancelled_at.is_not(None)).label("cancelled"),
)


def claim_of(row: Any) -> Claim:
    """The claim of a row with those columns, as claiming left it."""
    return Claim(
        id=row.id,
        event=row.event,
        type=row.type,
        instance=row.instance,
        address=row.address,
        name=row.name,
        language=row.language,
        sender=row.sender,
        lane=Lane(row.lane),
        message_id=row.message_id,
        variant=row.variant,
        fence=row.fence,
        tries=row.tries - 1,
        created_at=row.created_at,
        retry_from=row.retry_from or row.created_at,
        expires_at=row.expires_at,
        thread_root=row.thread_root,
        on_uncertain=OnUncertain(row.on_uncertain),
    )
