"""Obligations: what somebody of the service's own people must send, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select, text, update

from dispatcher.domain.incident import Obligation
from dispatcher.ledger.columns import storable
from dispatcher.ledger.engine import Database
from dispatcher.ledger.plan_tables import obligations

# As the index has it word for word, so that SQLite sees that it will do.
_OWED = text("obligations.met_at IS NULL AND obligations.ended IS NULL")


class Obligations:
    """The obligations in the ledger; `dispatcher.ledger.incidents` makes and settles them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def owed(self) -> Sequence[Obligation]:
        """What is owed, what is late first."""
        return await self._load(select(obligations).where(_OWED))

    async def overdue(self) -> Sequence[Obligation]:
        """What is late at this moment, the latest first."""
        return await self._load(select(obligations).where(_OWED, obligations.c.due_at < self._database.now()))

    async def of(self, incident: str) -> Sequence[Obligation]:
        """All that ever was owed for an incident."""
        return await self._load(select(obligations).where(obligations.c.incident == storable(incident)))

    async def reminded(self, one: Obligation) -> bool:
        """Note that a reminder was sent; False if somebody else has noted it, or it is owed no more."""
        same = (obligations.c.id == one.id) & (obligations.c.reminders == one.reminders)
        noted = {"reminders": one.reminders + 1, "reminded_at": self._database.now()}
        async with self._database.write() as transaction:
            done = await transaction.execute(update(obligations).where(same, _OWED).values(**noted))
            return bool(done.rowcount)

    async def _load(self, query: Select[Any]) -> Sequence[Obligation]:
        query = query.order_by(obligations.c.due_at, obligations.c.id)
        async with self._database.read() as connection:
            return [obligation_of(row) for row in await connection.execute(query)]


def obligation_of(row: Any) -> Obligation:
    """The obligation of a row."""
    return Obligation(
        cadence=row.cadence,
        step=row.step,
        owes=row.owes,
        incident=row.incident,
        made_by=row.made_by,
        made_at=row.made_at,
        due_at=row.due_at,
        met_at=row.met_at,
        met_by=row.met_by,
        ended=row.ended or "",
        id=row.id,
        reminded_at=row.reminded_at,
        reminders=row.reminders,
    )


def obligation_row(one: Obligation, id: str) -> dict[str, Any]:  # noqa: A002 - the column's name
    """The row of a new obligation."""
    return {
        "id": id,
        "cadence": one.cadence,
        "step": one.step,
        "owes": one.owes,
        "incident": one.incident,
        "made_by": one.made_by,
        "made_at": one.made_at,
        "due_at": one.due_at,
        "met_at": one.met_at,
        "met_by": one.met_by,
        "ended": one.ended or None,
        "reminded_at": None,
        "reminders": 0,
    }
