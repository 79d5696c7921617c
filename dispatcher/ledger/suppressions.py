"""Suppressions: who wants no more mail of which optional type, since when, and how we know."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Text, case, exists, false, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.address import folded
from dispatcher.ledger.columns import storable
from dispatcher.ledger.engine import Database, upsert
from dispatcher.ledger.schema import deliveries, suppressions

#: How an opt-out came about; see `dispatcher.ledger.schema.ORIGINS`.
Origin = Literal["one-click", "page", "operator"]

# In what an UPDATE returns, SQLAlchemy gives SQLite the bare names of its table's columns; here they would
# mean those of the suppressions.
_DELIVERY_FOLDED = literal_column(f"{deliveries.name}.folded", Text)
_DELIVERY_TYPE = literal_column(f"{deliveries.name}.type", Text)
_STANDING = suppressions.c.lifted_at.is_(None)


@dataclass(frozen=True, slots=True)
class Suppression:
    """One opt-out.

    Attributes:
        address: As it was spelt; addresses compare without regard to case.
        type: The key of a communication type.
        lifted_at: Since when it holds no more, or None while it stands.
    """

    address: str
    type: str
    origin: Origin
    created_at: datetime
    lifted_at: datetime | None


class Suppressions:
    """The opt-outs in the ledger; doing one thing twice changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, address: str, types: Collection[str], origin: Origin) -> int:
        """Let the address get no more mail of those types; how many opt-outs are new.

        What is being sent at this moment is not called back.
        """
        async with self._database.write() as transaction:
            return await self._add(transaction, address, types, origin)

    async def lift(self, address: str, types: Collection[str] | None = None) -> Sequence[str]:
        """Let the address get mail of those types, or of all, again; the types that it had opted out of.

        Mail that was suppressed meanwhile is not sent after all.
        """
        async with self._database.write() as transaction:
            return await self._lift(transaction, address, types)

    async def choose(self, address: str, *, stop: Collection[str], keep: Collection[str]) -> None:
        """Record what a reader chose among types, all of it or nothing."""
        async with self._database.write() as transaction:
            await self._add(transaction, address, stop, "page")
            await self._lift(transaction, address, keep)

    async def standing(
        self, address: str | None = None, type_: str | None = None
    ) -> Mapping[tuple[str, str], Suppression]:
        """The opt-outs that stand, of an address or a type where one is given, by folded address and type."""
        found = await self._list(address, type_, _STANDING)
        return {(folded(one.address), one.type): one for one in found}

    async def list(self, address: str | None = None, type_: str | None = None) -> Sequence[Suppression]:
        """All opt-outs, lifted ones too, of an address or a type where one is given, the oldest first."""
        return await self._list(address, type_)

    async def _list(
        self, address: str | None, type_: str | None, *conditions: ColumnElement[bool]
    ) -> Sequence[Suppression]:
        query = select(suppressions).where(*conditions).order_by(suppressions.c.id)
        if address is not None:
            query = query.where(suppressions.c.folded == folded(storable(address)))
        if type_ is not None:
            query = query.where(suppressions.c.type == storable(type_))
        async with self._database.read() as connection:
            return [_suppression(row) for row in await connection.execute(query)]

    async def _add(
        self, transaction: AsyncConnection, address: str, types: Collection[str], origin: Origin
    ) -> int:
        now, added = self._database.now(), 0
        for type_ in sorted(types):  # one order everywhere, so that no two wait for each other
            row = {
                "address": storable(address),
                "folded": folded(storable(address)),
                "type": storable(type_),
                "origin": origin,
                "created_at": now,
            }
            statement = upsert(transaction, suppressions).values(row)
            done = await transaction.execute(
                statement.on_conflict_do_nothing(
                    index_elements=["folded", "type"], index_where=suppressions.c.lifted_at.is_(None)
                )
            )
            added += done.rowcount
        return added

    async def _lift(
        self, transaction: AsyncConnection, address: str, types: Collection[str] | None
    ) -> Sequence[str]:
        whose = suppressions.c.folded == folded(storable(address))
        statement = update(suppressions).where(whose, _STANDING).values(lifted_at=self._database.now())
        if types is not None:
            statement = statement.where(suppressions.c.type.in_(sorted(types)))
        return sorted((await transaction.scalars(statement.returning(suppressions.c.type))).all())


def opted_out(optional: Collection[str]) -> ColumnElement[bool]:
    """Whether a delivery's reader opted out of its type; mail that nobody can opt out of asks nothing."""
    if not optional:
        return false()
    standing = exists().where(
        suppressions.c.folded == _DELIVERY_FOLDED,
        suppressions.c.type == _DELIVERY_TYPE,
        suppressions.c.lifted_at.is_(None),
    )
    # A CASE, for it alone promises that the rest is not looked up for the other types.
    return case((deliveries.c.type.in_(sorted(optional)), standing), else_=false())


def _suppression(row: Any) -> Suppression:
    return Suppression(row.address, row.type, row.origin, row.created_at, row.lifted_at)
