"""Mail that waits for the end of an incident: which is held, and when it goes back to the queue."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import (
    ColumnElement,
    Text,
    case,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)

from dispatcher.domain.delivery import Status
from dispatcher.ledger.engine import Database
from dispatcher.ledger.plan_tables import incident_instances
from dispatcher.ledger.schema import IN_TROUBLE, deliveries

_PART = 1000  # rows that go back in one transaction; others want to write meanwhile

# In what an UPDATE returns, SQLAlchemy gives SQLite the bare names of its table's columns; here they would
# mean those of the incidents.
_INSTANCE = literal_column(f"{deliveries.name}.instance", Text)
_INSTANCES = literal_column(f"{deliveries.name}.instances", Text)
# Word for word as the index has it, so that SQLite sees that it will do.
_STANDS = text(f"{incident_instances.name}.restored_at IS NULL")


class Holds:
    """The mail that is held until an incident is over."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def release(self) -> int:
        """Put back what is held for incidents that are over, due now; how many deliveries."""
        held = (text(f"deliveries.{IN_TROUBLE}"), deliveries.c.status == Status.HELD)
        free = (deliveries.c.reason == "incident", ~_hit())
        wanted = select(deliveries.c.id).where(*held, *free).order_by(deliveries.c.id).limit(_PART)
        # Several workers sweep: whoever has locked a row sees to it.
        chosen = wanted.with_for_update(skip_locked=True, of=deliveries).cte("chosen")
        now = self._database.now()
        statement = (
            update(deliveries)
            .where(deliveries.c.id.in_(select(chosen.c.id)))
            .values(
                status=Status.QUEUED,
                reason="incident_over",
                next_try_at=now,
                retry_from=now,
                updated_at=now,
            )
            .returning(deliveries.c.id)  # sqlite3 counts no rows of a statement that begins with WITH
        )
        released = 0
        while True:
            async with self._database.write() as transaction:
                part = len((await transaction.execute(statement)).all())
            released += part
            if part < _PART:
                return released


def affected(waiting: Collection[str]) -> ColumnElement[bool]:
    """Whether an open incident affects a delivery's instance, and its type waits for the end of that."""
    if not waiting:
        return false()
    # A CASE, for it alone promises that the rest is not looked up for the other types.
    return case((deliveries.c.type.in_(sorted(waiting)), _hit()), else_=false())


def waits() -> ColumnElement[bool]:
    """Whether a delivery was held for an incident, and an open one still affects its instance."""
    return case((deliveries.c.reason == "incident", _hit()), else_=false())


def _hit() -> ColumnElement[bool]:
    """Whether an open incident affects one of a delivery's instances; most have one, found by its index."""
    one = exists().where(incident_instances.c.instance == _INSTANCE, _STANDS)
    quoted = literal('"') + incident_instances.c.instance + '"'
    any_of = exists().where(_STANDS, func.replace(_INSTANCES, quoted, "") != _INSTANCES)
    return or_(one, case((_INSTANCES.contains(","), any_of), else_=false()))
