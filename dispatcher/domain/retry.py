"""When a delivery that could not be made is tried again.

RFC 5321, section 4.5.4.1, asks for a first retry after some minutes, growing, and for giving up only after
days. The lane decides how soon the first one comes: an incident cannot wait as a newsletter can.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from dispatcher.domain.delivery import Lane

_FIRST = {
    Lane.URGENT: timedelta(seconds=15),
    Lane.NORMAL: timedelta(minutes=5),
    Lane.BULK: timedelta(minutes=5),
}
LONGEST = timedelta(hours=4)
GIVE_UP = timedelta(days=4)
JITTER = 0.2


def next_try(lane: Lane, tries: int, since: datetime, now: datetime, rng: random.Random) -> datetime | None:
    """When to try again, or None when it is time to give up.

    Args:
        lane: The delivery's lane.
        tries: How many tries were made, the failed one included; at least 1.
        since: When the first of them was due.
        now: The moment of the failure.
        rng: Spreads retries, so that what failed together does not come back together.
    """
    if now - since >= GIVE_UP:
        return None
    pause = min(_FIRST[lane] * int(2 ** min(tries - 1, 20)), LONGEST)
    spread: float = rng.uniform(-JITTER, JITTER)
    return now + pause * (1 + spread)
