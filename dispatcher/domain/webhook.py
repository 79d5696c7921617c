"""What upstream is told over HTTP, and when it is tried again (Standard Webhooks 1.0)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

#: What is waited after each try that failed; the schedule of the standard, "Deliverability and reliability".
PAUSES: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
#: What fails together does not come back together.
JITTER: Final = 0.1
#: However long a receiver asks us to wait.
LONGEST_WAIT: Final = timedelta(hours=24)


class WebhookStatus(StrEnum):
    """Where a message to upstream stands."""

    PENDING = "pending"  # it has a next try
    SENT = "sent"  # the receiver took it
    FAILED = "failed"  # it was tried for three days; nobody sends it again but `dispatcher webhooks retry`


@dataclass(frozen=True, slots=True)
class Webhook:
    """A message to upstream.

    Attributes:
        id: The same on every try, so that its receiver knows a repeat.
        type: ``update.approved``.
        body: Plain JSON values, as they are sent.
        tries: How many were made.
        next_try_at: None once it is settled.
        reply: What became of the last try, for people.
    """

    id: str
    type: str
    body: Mapping[str, Any]
    made_at: datetime
    status: WebhookStatus
    tries: int
    next_try_at: datetime | None
    reply: str
    updated_at: datetime


def next_try(
    tries: int, now: datetime, rng: random.Random, asked: timedelta | None = None
) -> datetime | None:
    """When to try again, or None when it is time to give up.

    Args:
        tries: How many were made, the failed one included; at least 1.
        now: The moment of the failure.
        rng: Spreads retries; never shortens them.
        asked: How long the receiver wants us to wait (``Retry-After``).
    """
    if tries > len(PAUSES):
        return None
    pause = PAUSES[tries - 1] * (1 + rng.uniform(0, JITTER))
    return now + max(pause, min(asked or timedelta(), LONGEST_WAIT))
