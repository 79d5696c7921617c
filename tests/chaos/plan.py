"""What happens when: events and faults, from the seed alone.

The same options give the same plan; a storm carries it out on the machine's own time, so what each fault
hits may differ from run to run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from chaos.options import Database, Options

Kind = Literal[
    "worker-kill",
    "worker-stop",
    "worker-term",
    "worker-term-twice",
    "clock-jump",
    "intake-kill",
    "redis-flush",
    "redis-restart",
    "redis-full",
    "redis-readonly",
    "redis-stall",
    "redis-cut",
    "relay-down",
    "relay-stall",
    "relay-cut",
    "ledger-lock",
    "ledger-cut",
    "ledger-stall",
]

#: What each kind befalls, and how long it lasts at least and at most, in seconds. Of one target only one
#: fault stands at a time; those of different targets overlap.
KINDS: dict[Kind, tuple[str, float, float]] = {
    "worker-kill": ("worker", 0, 0),
    "worker-stop": ("worker", 1.5, 4),  # on top of the lease
    "worker-term": ("worker", 0, 0),
    "worker-term-twice": ("worker", 0.05, 1),  # between the two signals
    "clock-jump": ("worker", 0, 0),
    "intake-kill": ("intake", 0, 0),
    "redis-flush": ("redis", 0, 0),
    "redis-restart": ("redis", 0.3, 4),
    "redis-full": ("redis", 1, 6),
    "redis-readonly": ("redis", 1, 6),
    "redis-stall": ("redis", 1, 6),
    "redis-cut": ("redis", 0, 0),
    "relay-down": ("relay", 1, 6),
    "relay-stall": ("relay", 1, 5),
    "relay-cut": ("relay", 0, 0),
    "ledger-lock": ("ledger", 0.5, 12),  # a writer waits for ten
    "ledger-cut": ("ledger", 0, 3),
    "ledger-stall": ("ledger", 0.5, 8),
}
_ONLY: dict[Kind, Database] = {
    "ledger-lock": "sqlite",
    "ledger-cut": "postgresql",
    "ledger-stall": "postgresql",
}
#: Seconds between two faults, on the average; less where the storm is too short for one of each kind.
GAP = 2.5
#: From so many seconds on a storm is long.
LONG = 90.0
#: The part of the storm in which events come.
POSTING = 0.85
#: One event in so many is posted by this many clients at once.
CROWD_EVERY, CROWD = 6, 50
#: A jump of a worker's wall clock, in its own seconds.
JUMP = 1800.0
#: Types of the shipped catalogue, and how often each comes: three lanes, and one that is held when uncertain.
TYPES = (
    "unplanned-maintenance",
    "planned-maintenance",
    "planned-maintenance",
    "general-awareness",
    "update-succeeded",
)
HELD_TYPE = "update-succeeded"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        at: Seconds after the storm's beginning.
        number: Which worker; 0 for what there is one of.
        seconds: How long it lasts.
        amount: By how much a clock jumps, in its own seconds.
    """

    at: float
    kind: Kind
    number: int
    seconds: float
    amount: float = 0.0

    @property
    def target(self) -> str:
        """What it befalls: ``worker-2``, ``redis``."""
        target = KINDS[self.kind][0]
        return f"{target}-{self.number}" if target == "worker" else target


@dataclass(frozen=True, slots=True)
class Posting:
    """An event and how it is posted.

    Attributes:
        number: Which event, from 0; it is about the instance of the same number.
        clients: How many post it at the same time.
    """

    at: float
    number: int
    type: str
    clients: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a storm but what is decided per message: that is in `chaos.deeds`."""

    faults: tuple[Fault, ...]
    postings: tuple[Posting, ...]


def make_plan(options: Options) -> Plan:
    """The plan of a storm."""
    # The database is not part of the seed: both storms have all but their own faults in common.
    rng = random.Random(f"{options.seed} plan")
    return Plan(_faults(options, rng), _postings(options, rng))


def _faults(options: Options, rng: random.Random) -> tuple[Fault, ...]:
    kinds = [kind for kind in KINDS if _ONLY.get(kind, options.database) == options.database]
    gap = min(GAP, options.seconds * 0.9 / len(kinds))
    free: dict[str, float] = {}
    faults: list[Fault] = []
    at, hand = 0.0, list[Kind]()
    while True:
        at += rng.uniform(0.3 * gap, 1.7 * gap)
        if at >= options.seconds:
            return tuple(sorted(faults, key=lambda fault: fault.at))
        hand = hand or rng.sample(kinds, len(kinds))  # a deck, so that none is left out by chance
        fault = _fault(hand.pop(), at, options, rng)
        begin = max(fault.at, free.get(fault.target, 0.0))
        begin = min(begin, max(options.seconds - fault.seconds, free.get(fault.target, 0.0)))
        if begin + fault.seconds <= options.seconds:
            faults.append(Fault(begin, fault.kind, fault.number, fault.seconds, fault.amount))
            free[fault.target] = begin + fault.seconds + 0.3


def _fault(kind: Kind, at: float, options: Options, rng: random.Random) -> Fault:
    target, least, most = KINDS[kind]
    number = rng.randrange(options.workers) if target == "worker" else 0
    # In a short storm all is shorter, or there would be no time without an outage.
    seconds = rng.uniform(least, most) * min(1.0, options.seconds / LONG)
    if kind == "worker-stop":
        seconds += options.lease_seconds
    amount = rng.uniform(-JUMP, JUMP)
    return Fault(
        round(at, 3), kind, number, round(seconds, 3), round(amount, 1) if kind == "clock-jump" else 0
    )


def _postings(options: Options, rng: random.Random) -> tuple[Posting, ...]:
    span = options.seconds * POSTING
    times = sorted([0.0, *(rng.uniform(0, span) for _ in range(options.events - 1))])
    return tuple(
        Posting(
            round(at, 3),
            number,
            TYPES[number % len(TYPES)],
            CROWD if number % CROWD_EVERY == CROWD_EVERY - 1 else rng.randint(1, 3),
        )
        for number, at in enumerate(times)
    )
