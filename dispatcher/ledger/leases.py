"""Leases: what is being sent by whom, and what becomes of it when nobody renews."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Update, case, insert, literal_column, or_, select, update

from dispatcher.domain.delivery import Lane, Status
from dispatcher.ledger.engine import Database
from dispatcher.ledger.outcomes import SETTLE, abandoned, attempt_row, gone
from dispatcher.ledger.schema import attempts, deliveries, workers

_RECOVER = 500  # rows in one transaction
_LEASES = 100  # leases named in one statement
# Not a parameter: only then does SQLite see that the partial index on leases will do.
_SENDING = deliveries.c.status == literal_column(f"'{Status.SENDING}'")
_RECOVERED = (
    deliveries.c.id,
    deliveries.c.on_uncertain,
    deliveries.c.worker,
    deliveries.c.crashes,
    deliveries.c.retry_from,
)


@dataclass(frozen=True, slots=True)
class Lease:
    """What a worker claimed or renewed together.

    Attributes:
        worker: The worker's id.
        until: Changes with every renewal, and that is all that others may read from it: it is the
            worker's own clock, which need not agree with theirs.
    """

    worker: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was taken from workers that went away.

    Attributes:
        deliveries: How many deliveries.
        poison: The ids of those that were set aside, because each worker that had them went away.
    """

    deliveries: int = 0
    poison: tuple[str, ...] = ()


class Leases:
    """The leases in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def held(self, worker: str) -> Sequence[Lease]:
        """Every lease under which something is being sent, seen in a transaction that wrote.

        It says on the way that `worker` is alive. While the ledger can be read but not written (a locked
        file, a full disk, a standby) nobody can renew: whoever could look meanwhile would take the living
        for dead.

        Raises:
            ServiceUnreachable: It cannot be written.
        """
        alive = update(workers).where(workers.c.id == worker).values(seen_at=self._database.now())
        query = select(deliveries.c.worker, deliveries.c.lease_until).where(_SENDING).distinct()
        async with self._database.write() as transaction:
            await transaction.execute(alive)
            rows = (await transaction.execute(query)).all()
        return [Lease(row.worker, row.lease_until) for row in rows]

    async def recover(self, lapsed: Collection[Lease]) -> Recovered:
        """Settle what is being sent under leases that nobody renews; renewed ones are left alone.

        Nobody can know whether those mails arrived: each gets an attempt that says so, and is due now or
        `Status.HELD`, as its type wants it. One that did so to several workers in a row is held.
        """
        total, poison = 0, list[str]()
        leases = list(lapsed)
        for start in range(0, len(leases), _LEASES):
            part = leases[start : start + _LEASES]
            while rows := await self._settle(part):
                total += len(rows)
                poison += [row["key"] for row in rows if row["new_reason"] == "poison"]
        return Recovered(total, tuple(poison))

    async def _settle(self, lapsed: Sequence[Lease]) -> Sequence[dict[str, Any]]:
        """One transaction's worth; nothing if all is done, or another process is at it."""
        now = self._database.now()
        theirs = or_(
            *((deliveries.c.worker == one.worker) & (deliveries.c.lease_until == one.until) for one in lapsed)
        )
        query = (
            select(
                deliveries.c.id,
                deliveries.c.on_uncertain,
                deliveries.c.worker,
                deliveries.c.crashes,
                deliveries.c.retry_from,
            )
            .where(_SENDING, theirs)
            .limit(_RECOVER)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as transaction:
            rows = (await transaction.execute(query)).all()
            settled = [abandoned(row, now) for row in rows]
            if settled:
                await transaction.execute(SETTLE, settled)
                await transaction.execute(
                    insert(attempts), [attempt_row(row.id, gone(row.worker), now) for row in rows]
                )
        return settled


def undone(lease: Lease, lane: Lane, now: datetime) -> Update:
    """Gives back what was claimed under a lease that its worker never heard of: due, as if it had not been.

    The worker asked, the ledger committed, and the answer was lost. Nobody knows those claims, so nothing
    was begun under them; only until somebody takes them for a dead worker's can they be told.
    """
    theirs = (deliveries.c.worker == lease.worker) & (deliveries.c.lease_until == lease.until)
    before = case((deliveries.c.tries > 1, Status.DEFERRED.value), else_=Status.QUEUED.value)
    return (
        update(deliveries)
        .where(_SENDING, deliveries.c.lane == lane, theirs)
        .values(status=before, tries=deliveries.c.tries - 1, next_try_at=now, lease_until=None, worker=None)
    )
