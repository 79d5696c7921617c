"""Incidents: what was said of each, and what it comes to.

An event's statement is entered in the transaction that accepts the event, and the incident is added up anew
from all of them there and then (`dispatcher.domain.incident.account`). So ledger and events cannot differ,
and no order of arrival is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.incident import OVERTAKEN, Account, Incident, Obligation, Says, Statement
from dispatcher.errors import NotFound
from dispatcher.ledger.columns import storable
from dispatcher.ledger.engine import Database, upsert
from dispatcher.ledger.ids import new_ids
from dispatcher.ledger.obligations import obligation_of, obligation_row
from dispatcher.ledger.plan_tables import incident_instances, incident_statements, incidents, obligations
from dispatcher.ledger.schema import events

_OPEN = incidents.c.opened_at.is_not(None) & incidents.c.resolved_at.is_(None)

#: Adds up what was said of one incident.
Rules = Callable[[Sequence[Statement]], Account]


class Incidents:
    """The incidents in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enter(
        self, transaction: AsyncConnection, statements: Sequence[Statement], rules: Rules
    ) -> None:
        """Keep what events said, and what their incidents come to by it; in the events' own transaction."""
        keys = sorted({statement.incident for statement in statements})
        for key in keys:  # one order everywhere, so that no two wait for each other
            own = [statement for statement in statements if statement.incident == key]
            await _lock(transaction, own[0])
            await transaction.execute(
                upsert(transaction, incident_statements).on_conflict_do_nothing(
                    index_elements=["incident", "event"]
                ),
                [_statement_row(statement) for statement in own],
            )
            await self._add_up(transaction, key, rules)

    async def withdrawn(self, rules: Rules) -> Sequence[str]:
        """Let cancelled events say nothing any more; the keys of the incidents that they spoke of."""
        table = incident_statements
        cancelled = select(events.c.id).where(events.c.cancelled_at.is_not(None))
        query = select(table.c.incident, table.c.event).where(table.c.event.in_(cancelled))
        async with self._database.read() as connection:
            if not (await connection.execute(query.limit(1))).first():
                return []
        async with self._database.write() as transaction:
            rows = (await transaction.execute(query)).all()
            keys = sorted({row.incident for row in rows})
            for key in keys:
                await transaction.execute(select(incidents.c.key).where(_is(key)).with_for_update())
                gone = [row.event for row in rows if row.incident == key]
                await transaction.execute(
                    delete(table).where(table.c.incident == key, table.c.event.in_(gone))
                )
                await self._add_up(transaction, key, rules)
        return keys

    async def open(self) -> Sequence[Incident]:
        """Those that last, by their keys."""
        return await self._load(select(incidents).where(_OPEN).order_by(incidents.c.key))

    async def get(self, key: str) -> Incident:
        """The incident of that thread or name.

        Raises:
            NotFound: Nobody ever said that there is one.
        """
        known = _is(storable(key)) & incidents.c.opened_at.is_not(None)
        found = await self._load(select(incidents).where(known))
        if not found:
            raise NotFound(f"There is no incident {key!r}. Its key is the thread of its events.")
        return found[0]

    async def statements(self, key: str) -> Sequence[Statement]:
        """What was said of an incident and not withdrawn, in that order."""
        async with self._database.read() as connection:
            return await _said(connection, storable(key))

    async def extent(self) -> Mapping[str, int]:
        """How many instances each open incident affects."""
        # Grouped by what is no bare column, or SQLite reads all that ever were in the order of the key.
        key = func.coalesce(incident_instances.c.incident, "")
        affected = incident_instances.c.restored_at.is_(None)
        query = select(key, func.count()).where(affected).group_by(text("1"))
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def _add_up(self, transaction: AsyncConnection, key: str, rules: Rules) -> None:
        said = await _said(transaction, key)
        if not said:
            await _forget(transaction, key, self._database.now())
            return
        made = rules(said)
        one = made.incident
        changed = {"said_at": one.said_at, "opened_at": one.opened_at, "resolved_at": one.resolved_at}
        await transaction.execute(
            update(incidents).where(_is(key)).values(type=one.type, event=one.event, **changed)
        )
        await _affect(transaction, one)
        await self._owe(transaction, key, made.obligations)

    async def _owe(self, transaction: AsyncConnection, key: str, wanted: Sequence[Obligation]) -> None:
        rows = await transaction.execute(select(obligations).where(obligations.c.incident == key))
        there = {_name(known): known for known in map(obligation_of, rows)}
        ids = new_ids("obl_", self._database.now(), self._database.token)
        added = [obligation_row(one, next(ids)) for one in wanted if _name(one) not in there]
        if added:
            await transaction.execute(insert(obligations), added)
        kept = {_name(one): one for one in wanted}
        changed = [change for name, known in there.items() if (change := _change(known, kept.get(name)))]
        if changed:
            await transaction.execute(_SETTLE, changed)

    async def _load(self, query: Select[Any]) -> Sequence[Incident]:
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            found = []
            for row in rows:
                affected = select(incident_instances.c.instance, incident_instances.c.restored_at).where(
                    incident_instances.c.incident == row.key
                )
                places = await connection.execute(affected.order_by(incident_instances.c.instance))
                found.append(_incident(row, {place.instance: place.restored_at for place in places}))
        return found


_SETTLE = (
    update(obligations)
    .where(obligations.c.id == bindparam("key"))
    .values(
        due_at=bindparam("due"),
        made_at=bindparam("made"),
        met_at=bindparam("met"),
        met_by=bindparam("by"),
        ended=bindparam("why"),
    )
)


def _is(key: str) -> Any:
    return incidents.c.key == key


async def _lock(transaction: AsyncConnection, first: Statement) -> None:
    """See that the incident has a row, and let nobody else add it up until the transaction ends."""
    row = {
        "key": first.incident,
        "type": first.type,
        "event": first.event,
        "said_at": first.said_at,
        "opened_at": None,
        "resolved_at": None,
    }
    statement = upsert(transaction, incidents).values(row)
    await transaction.execute(
        statement.on_conflict_do_update(index_elements=["key"], set_={"key": statement.excluded.key})
    )


async def _said(connection: AsyncConnection, key: str) -> Sequence[Statement]:
    query = (
        select(incident_statements)
        .join(events, events.c.id == incident_statements.c.event)
        .where(incident_statements.c.incident == key, events.c.cancelled_at.is_(None))
        .order_by(incident_statements.c.said_at, incident_statements.c.event)
    )
    return [_statement(row) for row in await connection.execute(query)]


async def _affect(transaction: AsyncConnection, incident: Incident) -> None:
    table = incident_instances
    rows = await transaction.execute(
        select(table.c.instance, table.c.restored_at).where(table.c.incident == incident.key)
    )
    there = {row.instance: row.restored_at for row in rows}
    new = [name for name in incident.affected if name not in there]
    if new:
        places = [
            {"incident": incident.key, "instance": name, "restored_at": incident.affected[name]}
            for name in sorted(new)
        ]
        await transaction.execute(insert(table), places)
    changed = {
        name for name, since in there.items() if incident.affected.get(name, incident.said_at) != since
    }
    if changed:
        statement = (
            update(table)
            .where(table.c.incident == incident.key, table.c.instance == bindparam("place"))
            .values(restored_at=bindparam("since"))
        )
        await transaction.execute(
            statement,
            [
                # What affected it was withdrawn, if it is affected no more.
                {"place": name, "since": incident.affected.get(name, incident.said_at)}
                for name in sorted(changed)
            ],
        )


async def _forget(transaction: AsyncConnection, key: str, now: datetime) -> None:
    """Nothing that was said of the incident holds any more."""
    await transaction.execute(update(incidents).where(_is(key)).values(opened_at=None, resolved_at=None))
    affected = (incident_instances.c.incident == key) & incident_instances.c.restored_at.is_(None)
    await transaction.execute(update(incident_instances).where(affected).values(restored_at=now))
    owed = (obligations.c.incident == key) & obligations.c.met_at.is_(None) & obligations.c.ended.is_(None)
    await transaction.execute(update(obligations).where(owed).values(ended=OVERTAKEN))


def _name(one: Obligation) -> tuple[str, str, str]:
    return one.cadence, one.step, one.made_by


def _change(known: Obligation, wanted: Obligation | None) -> dict[str, Any] | None:
    """What becomes of an obligation; None if it stays as it is. When a settled one was due is history."""
    if wanted is None:
        if not known.owed:
            return None
        due, made, met, by, why = known.due_at, known.made_at, None, None, OVERTAKEN
    else:
        due = wanted.due_at if known.owed else known.due_at
        made, met, by, why = wanted.made_at, wanted.met_at, wanted.met_by, wanted.ended
    if (due, made, met, by, why) == (known.due_at, known.made_at, known.met_at, known.met_by, known.ended):
        return None
    return {"key": known.id, "due": due, "made": made, "met": met, "by": by, "why": why or None}


def _statement_row(one: Statement) -> dict[str, Any]:
    return {
        "incident": one.incident,
        "event": one.event,
        "type": one.type,
        "says": one.says.value,
        "said_at": one.said_at,
        "resolved_at": one.resolved_at,
        "next_update_at": one.next_update_at,
        "instances": list(one.instances),
    }


def _statement(row: Any) -> Statement:
    return Statement(
        row.incident,
        row.event,
        row.type,
        Says(row.says),
        row.said_at,
        row.resolved_at,
        row.next_update_at,
        tuple(row.instances),
    )


def _incident(row: Any, affected: Mapping[str, datetime | None]) -> Incident:
    return Incident(row.key, row.type, row.event, row.said_at, row.opened_at, row.resolved_at, affected)
