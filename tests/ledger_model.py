"""What the ledger promises of a delivery, as a plain state machine without a database.

Written from the rules, not from the statements: tests let it and a real ledger go through the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dispatcher.domain.delivery import DUE, Lane, OnUncertain, Outcome, Status

SUSPECT, POISON = 2, 3
AT_ONCE = {"", "lease_expired", "relay_unreachable"}


@dataclass
class Row:
    """A delivery.

    Attributes:
        attempts: The status and reason of each, oldest first.
        address: Whom it goes to, folded.
        late: True while the outcome of the last claim is still believed although its lease has lapsed;
            that it was cancelled, or is over, changes nothing about what happened.
    """

    id: str
    event: str
    lane: Lane
    on_uncertain: OnUncertain
    created_at: datetime
    expires_at: datetime | None
    next_try_at: datetime | None
    retry_from: datetime | None = None
    status: Status = Status.QUEUED
    reason: str = ""
    tries: int = 0
    fence: int = 0
    crashes: int = 0
    uncertain: bool = False
    worker: str | None = None
    lease_until: datetime | None = None
    attempts: list[tuple[Status, str]] = field(default_factory=list)
    late: bool = False
    address: str = ""

    @property
    def key(self) -> tuple[datetime, str]:
        """Where it stands in the queue."""
        assert self.next_try_at is not None
        return self.next_try_at, self.id

    def move(self, status: Status, reason: str, next_try_at: datetime | None = None) -> None:
        """Nobody has it any more."""
        self.status, self.reason, self.next_try_at = status, reason, next_try_at
        self.worker = self.lease_until = None
        self.late = self.late and status in {Status.CANCELLED, Status.EXPIRED, Status.SUPPRESSED}

    def has(self, fence: int) -> bool:
        """Whether a claim with that fence still holds."""
        return self.status is Status.SENDING and self.fence == fence


@dataclass
class Model:
    """All deliveries, the events that were cancelled, and the readers who opted out of their type."""

    rows: dict[str, Row] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)

    def due(self, lane: Lane, now: datetime) -> list[Row]:
        """What could be sent, in the order in which it is."""
        waiting = [row for row in self.rows.values() if row.lane is lane and row.next_try_at is not None]
        return sorted((row for row in waiting if row.key[0] <= now), key=lambda row: row.key)

    def claim(
        self, worker: str, until: datetime, due: tuple[Lane, int], now: datetime, touched: Collection[str]
    ) -> list[Row]:
        """What the worker gets.

        Args:
            worker: Its id.
            until: When its lease ends.
            due: The lane, and how many at most.
            now: The time.
            touched: The ids of what the ledger took; among suspects that are due at one moment, any will do.
        """
        lane, limit = due
        while True:
            waiting = self.due(lane, now)
            suspects = [row for row in waiting if row.crashes >= SUSPECT]
            busy = [row for row in self.rows.values() if row.worker == worker and row.lane is lane]
            if any(row.crashes >= SUSPECT for row in busy):
                suspects = []
            suspects.sort(key=lambda row: (row.key[0], row.id not in touched))
            usual = [row for row in waiting if row.crashes < SUSPECT]
            taken = suspects[:1] + usual[: limit - len(suspects[:1])]
            handed = [row for row in taken if not self._bar(row, now)]
            for row in handed:
                row.move(Status.SENDING, "")
                row.fence, row.tries = row.fence + 1, row.tries + 1
                row.worker, row.lease_until = worker, until
            if handed or not taken:
                return handed

    def _bar(self, row: Row, now: datetime) -> bool:
        if row.event in self.cancelled:
            row.move(Status.CANCELLED, "cancelled")
        elif row.expires_at is not None and row.expires_at <= now:
            row.move(Status.EXPIRED, "expired")
        elif row.address in self.stopped:
            row.move(Status.SUPPRESSED, "opted_out")
        else:
            return False
        return True

    def record(
        self, key: str, fence: int, outcome: Outcome, next_try_at: datetime | None, at: tuple[datetime, int]
    ) -> bool:
        """Whether the outcome is believed; `at` is the time, and the tries before the claim's own."""
        row = self.rows[key]
        if not (row.has(fence) or (row.late and row.fence == fence)):
            return False
        status, due = outcome.status, None
        if status is Status.DEFERRED:
            status, due = (Status.DEFERRED, next_try_at) if next_try_at else (Status.FAILED, None)
        if status is Status.UNCERTAIN:
            row.uncertain = True
            again = next_try_at is not None and row.on_uncertain is OnUncertain.RESEND
            status, due = (Status.UNCERTAIN, next_try_at) if again else (Status.HELD, None)
        row.move(status, outcome.reason, due)
        now, before = at
        row.retry_from = (row.retry_from or row.created_at) if before else now
        row.crashes = 0
        row.attempts.append((outcome.status, outcome.reason))
        return True

    def give_back(self, key: str, fence: int, reason: str, now: datetime) -> bool:
        """Whether it was theirs to give."""
        row = self.rows[key]
        if not row.has(fence):
            return False
        row.tries -= 1
        row.move(Status.DEFERRED if row.tries else Status.QUEUED, reason, now)
        return True

    def recover(self, leases: Collection[tuple[str, datetime]], now: datetime) -> tuple[int, set[str]]:
        """How many were taken from workers that went away, and which of them were set aside."""
        lost = [row for row in self.rows.values() if (row.worker, row.lease_until) in leases]
        poison = set()
        for row in lost:
            row.crashes += 1
            row.uncertain = True
            row.attempts.append((Status.UNCERTAIN, "lease_expired"))
            if row.crashes >= POISON:
                poison.add(row.id)
                row.move(Status.HELD, "poison")
            elif row.on_uncertain is OnUncertain.HOLD:
                row.move(Status.HELD, "lease_expired")
            else:
                row.move(Status.UNCERTAIN, "lease_expired", now)
            row.late = True
        return len(lost), poison

    def cancel(self, event: str) -> int:
        """How many waited."""
        waiting = [row for row in self.rows.values() if row.event == event and row.status in DUE]
        for row in waiting:
            row.move(Status.CANCELLED, "cancelled")
        return len(waiting)

    def requeue(self, wanted: Status, event: str | None, reason: str, now: datetime) -> int:
        """How many went back."""
        found = [row for row in self.rows.values() if row.status is wanted and event in {None, row.event}]
        for row in found:
            row.move(Status.QUEUED, reason, now)
            row.tries = row.crashes = 0
            row.retry_from = now
        return len(found)

    def due_at_once(self, now: datetime) -> int:
        """How many waited although nothing had put them off."""
        waiting = [row for row in self.rows.values() if row.next_try_at is not None and row.key[0] > now]
        ahead = [row for row in waiting if row.status is Status.QUEUED or row.reason in AT_ONCE]
        for row in ahead:
            row.next_try_at = now
        return len(ahead)

    def held(self) -> set[tuple[str | None, datetime | None]]:
        """Every lease under which something is being sent."""
        return {(row.worker, row.lease_until) for row in self.rows.values() if row.status is Status.SENDING}

    def numbers(self, rows: Sequence[Status]) -> dict[Status, int]:
        """How many stand in each of these states, those without any left out."""
        found = [row.status for row in self.rows.values()]
        return {status: found.count(status) for status in rows if status in found}
