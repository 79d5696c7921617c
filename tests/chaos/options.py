"""What a storm is asked for."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Database = Literal["sqlite", "postgresql"]

#: Recipients of one event, where there are enough deliveries to make up ten events.
RECIPIENTS = 500
FEWEST_EVENTS = 10


@dataclass(frozen=True, slots=True)
class Options:
    """One storm.

    Attributes:
        seconds: How long faults happen; what comes before and after is not counted.
        deliveries: How many mails flow meanwhile.
        rate: How many seconds of the program's wall clock pass in one of ours, so that retries that wait
            for minutes and hours come in time.
        lease_seconds: ``DISPATCHER_LEASE_SECONDS``; ours, for leases are judged on monotonic clocks.
        connections: ``DISPATCHER_SMTP_CONNECTIONS`` of each worker.
        calm_seconds: How long the rest may take once all faults have ended.
    """

    database: Database
    seed: int
    seconds: float = 120.0
    deliveries: int = 20_000
    workers: int = 3
    rate: float = 60.0
    lease_seconds: int = 5
    grace_seconds: int = 5
    connections: int = 8
    calm_seconds: float = 240.0

    @property
    def events(self) -> int:
        """How many events make these deliveries."""
        return max(FEWEST_EVENTS, self.deliveries // RECIPIENTS)

    @property
    def recipients(self) -> int:
        """How many recipients each event has; rounded up, so that there are never too few deliveries."""
        return -(-self.deliveries // self.events)


def from_environment(environment: Mapping[str, str] = os.environ) -> list[Options]:
    """The storms that ``CHAOS_SECONDS``, ``_SEED``, ``_DELIVERIES`` and ``_DATABASE`` ask for.

    Raises:
        ValueError: A variable says what is not possible.
    """
    seed = environment.get("CHAOS_SEED", "")
    number = int(seed) if seed else random.SystemRandom().randrange(1_000_000)
    seconds = float(environment.get("CHAOS_SECONDS", "") or 120)
    deliveries = int(environment.get("CHAOS_DELIVERIES", "") or 20_000)
    if seconds < 10 or deliveries < FEWEST_EVENTS:
        raise ValueError("CHAOS_SECONDS must be at least 10 and CHAOS_DELIVERIES at least 10")
    wanted = environment.get("CHAOS_DATABASE", "") or "both"
    if wanted not in {"both", *get_args(Database)}:
        raise ValueError(f"CHAOS_DATABASE is {wanted!r}; it may be sqlite, postgresql or both")
    return [
        Options(database, number, seconds, deliveries)
        for database in get_args(Database)
        if wanted in {"both", database}
    ]
