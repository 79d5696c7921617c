"""Group commit: what several callers want written at one time goes into one transaction.

A transaction waits for its turn and for the disk, however little it writes. Whoever comes while one is under
way goes with the next; nobody waits to be joined.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger.engine import Database

#: What one transaction carries at most, as `Asked.weight` counts: it is short enough for others to wait for.
MOST = 2000

A = TypeVar("A")
C = TypeVar("C")


@dataclass(slots=True, eq=False)
class _Asked(Generic[A, C]):
    what: A
    weight: int
    name: Hashable
    came: asyncio.Future[C]


class GroupCommit(Generic[A, C]):
    """Writes what it is asked to, in the order in which it is asked."""

    def __init__(
        self,
        database: Database,
        write: Callable[[AsyncConnection, Sequence[A]], Awaitable[Sequence[C | Exception]]],
    ) -> None:
        """Nothing is written before the first call.

        Args:
            database: Where.
            write: Writes all of it within a transaction; gives for each what came of it, or an error that is
                its own and hurts no other. If it raises, each is tried alone. Doing it again must change
                nothing.
        """
        self._database = database
        self._write = write
        self._waiting: list[_Asked[A, C]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, what: A, *, weight: int = 1, name: Hashable = None) -> C:
        """Have it written.

        Args:
            what: What is to be written.
            weight: How much it is.
            name: Two of one name never go together.

        Raises:
            ServiceUnreachable: The database cannot be had; nothing of it was kept.
        """
        asked: _Asked[A, C] = _Asked(what, weight, name, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._task is None or self._task.done():
            # A task of its own: who gives up waiting takes nobody else's transaction along.
            self._task = asyncio.create_task(self._work())
        return await asked.came

    async def _work(self) -> None:
        try:
            while group := self._next():
                await self._settle(group)
        finally:
            for asked in self._waiting:
                asked.came.cancel()
            self._waiting.clear()

    def _next(self) -> list[_Asked[A, C]]:
        """The first that wait, as many as may go together."""
        group: list[_Asked[A, C]] = []
        names: set[Hashable] = set()
        weight = 0
        while self._waiting:
            asked = self._waiting[0]
            weight += asked.weight
            if group and (weight > MOST or (asked.name is not None and asked.name in names)):
                break
            self._waiting.pop(0)
            if not asked.came.cancelled():
                names.add(asked.name)
                group.append(asked)
        return group

    async def _settle(self, group: Sequence[_Asked[A, C]]) -> None:
        try:
            found = await self._written(group)
        except BaseException:
            for asked in group:
                asked.came.cancel()
            raise
        for asked, came in zip(group, found, strict=True):
            if asked.came.done():
                continue
            if isinstance(came, Exception):
                asked.came.set_exception(came)
            else:
                asked.came.set_result(came)

    async def _written(self, group: Sequence[_Asked[A, C]]) -> Sequence[C | Exception]:
        try:
            async with self._database.write() as transaction:
                return await self._write(transaction, [asked.what for asked in group])
        except ServiceUnreachable as error:
            return [error] * len(group)
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
            if len(group) == 1:
                return [error]
            return [came for asked in group for came in await self._written([asked])]
