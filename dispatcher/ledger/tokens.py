"""API tokens: only their hashes are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from dispatcher.errors import InvalidInput, NotFound, Problem
from dispatcher.ledger.columns import storable
from dispatcher.ledger.engine import Database
from dispatcher.ledger.schema import tokens
from dispatcher.settings import TokenEntry


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the ledger knows it.

    Attributes:
        sha256: Of the token's text, 64 hexadecimal digits.
        revoked_at: Since when it is refused, or None while it is in force.
    """

    name: str
    sha256: str = field(repr=False)
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


class Tokens:
    """The API tokens in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, name: str, sha256: str, scopes: Iterable[str]) -> None:
        """Put a token in force.

        Raises:
            InvalidInput: A token in force has that name, or a token had that hash.
        """
        row = {
            "name": storable(name),
            "sha256": sha256,
            "scopes": sorted(scopes),
            "created_at": self._database.now(),
        }
        try:
            async with self._database.write() as transaction:
                await transaction.execute(insert(tokens), row)
        except IntegrityError:
            problem = Problem(
                "token", f"the name {name!r} is taken", "revoke that token first, or take another name"
            )
            raise InvalidInput(problem) from None

    async def list(self) -> Sequence[Token]:
        """All tokens, revoked ones too, in the order in which they were added."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(tokens).order_by(tokens.c.id))).all()
        return [
            Token(
                name=row.name,
                sha256=row.sha256,
                scopes=frozenset(row.scopes),
                created_at=row.created_at,
                revoked_at=row.revoked_at,
                last_used_at=row.last_used_at,
            )
            for row in rows
        ]

    async def active(self) -> Sequence[TokenEntry]:
        """The tokens in force."""
        return [
            TokenEntry(token.name, token.scopes, token.sha256)
            for token in await self.list()
            if token.revoked_at is None
        ]

    async def revoke(self, name: str) -> None:
        """Refuse the token from now on; its name is free again.

        Raises:
            NotFound: No token of that name is in force.
        """
        statement = (
            update(tokens)
            .where(tokens.c.name == storable(name), tokens.c.revoked_at.is_(None))
            .values(revoked_at=self._database.now())
        )
        async with self._database.write() as transaction:
            if not (await transaction.execute(statement)).rowcount:
                raise NotFound(f"There is no token {name!r} in force. List them to see their names.")

    async def used(self, sha256: str) -> None:
        """Note that the token with that hash was used now; call it sparingly, it is a commit."""
        statement = update(tokens).where(tokens.c.sha256 == sha256).values(last_used_at=self._database.now())
        async with self._database.write() as transaction:
            await transaction.execute(statement)
