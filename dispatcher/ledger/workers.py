"""Workers: which processes are there to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from dispatcher.ledger.engine import Database, upsert
from dispatcher.ledger.schema import workers

_FORGOTTEN = timedelta(days=1)  # a worker that was not seen for so long leaves the list

#: A worker reports every five seconds; one that missed three reports is taken for dead.
ALIVE_WITHIN = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a worker process says of itself.

    Attributes:
        id: Its own, new at each start.
        version: Of Dispatcher.
        relay: How its SMTP server is: see `dispatcher.domain.circuit.Look`; with ``rates``, how many messages
            a second that took in the last minute, by lane. None if nothing was said.
        stale: Outcomes that were refused, because somebody else had the delivery by then.
    """

    id: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    relay: Mapping[str, Any] | None = None
    stale: int = 0


class Workers:
    """The workers that report to the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def heartbeat(self, worker: Heartbeat) -> None:
        """Say that the worker was alive at its `Heartbeat.seen_at`."""
        row = {
            "id": worker.id,
            "host": worker.host,
            "pid": worker.pid,
            "version": worker.version,
            "started_at": worker.started_at,
            "seen_at": worker.seen_at,
            "relay": worker.relay,
            "stale": worker.stale,
        }
        async with self._database.write() as transaction:
            statement = upsert(transaction, workers).values(row)
            await transaction.execute(
                statement.on_conflict_do_update(
                    index_elements=["id"],
                    set_={name: statement.excluded[name] for name in ("seen_at", "relay", "stale")},
                )
            )
            await transaction.execute(delete(workers).where(workers.c.seen_at < worker.seen_at - _FORGOTTEN))

    async def alive(self, within: timedelta) -> Sequence[Heartbeat]:
        """The workers that were seen in the last `within`, in the order in which they started."""
        query = (
            select(workers)
            .where(workers.c.seen_at >= self._database.now() - within)
            .order_by(workers.c.started_at, workers.c.id)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [Heartbeat(*row) for row in rows]

    async def reports(self) -> Sequence[tuple[str, datetime]]:
        """Who reported in the last days, and when they did so last."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(workers.c.id, workers.c.seen_at))).all()
        return [(row.id, row.seen_at) for row in rows]

    async def remove(self, id: str) -> None:  # noqa: A002 - the column's name
        """Take a worker that stops off the list."""
        async with self._database.write() as transaction:
            await transaction.execute(delete(workers).where(workers.c.id == id))
