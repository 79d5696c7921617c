"""The keys that sign links in mails: every process of a fleet reads the same ones."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.link import SECRET_BYTES, LinkKey
from dispatcher.ledger.engine import Database, upsert
from dispatcher.ledger.schema import link_keys


class LinkKeys:
    """The keys in the ledger, numbered from 1. A key is never removed: links of old mails must work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Mapping[str, LinkKey]:
        """Every key, by its id."""
        async with self._database.read() as connection:
            return await _all(connection)

    async def newest(self) -> LinkKey:
        """The key that signs; the first who asks for it makes it."""
        async with self._database.read() as connection:
            known = await _all(connection)
        return _last(known) if known else await self._add("1")

    async def rotate(self) -> LinkKey:
        """A new key, which signs from now on; the older ones go on verifying.

        Of several who ask at the same time, each gets the same new key.
        """
        return await self._add(str(int((await self.newest()).id) + 1))

    async def _add(self, number: str) -> LinkKey:
        """The key of that number: made here, or by whoever was first."""
        row = {
            "id": number,
            "secret": self._database.token(SECRET_BYTES),
            "created_at": self._database.now(),
        }
        async with self._database.write() as transaction:
            statement = upsert(transaction, link_keys).values(row)
            await transaction.execute(statement.on_conflict_do_nothing(index_elements=["id"]))
        async with self._database.read() as connection:
            return (await _all(connection))[number]


async def _all(connection: AsyncConnection) -> Mapping[str, LinkKey]:
    rows = await connection.execute(select(link_keys.c.id, link_keys.c.secret))
    return {row.id: LinkKey(row.id, bytes.fromhex(row.secret)) for row in rows}


def _last(keys: Mapping[str, LinkKey]) -> LinkKey:
    return max(keys.values(), key=lambda key: int(key.id))
