"""The database of a storm: a look at it past the program, and its own faults."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from postgres_server import running
from proxy import Proxy

Rows = Sequence[tuple[Any, ...]]


class LedgerSide(Protocol):
    """What a storm needs of a database.

    Attributes:
        url: For ``DISPATCHER_DATABASE_URL``.
        proxy: What stands in front of it, if anything does.
    """

    url: str
    proxy: Proxy | None

    async def rows(self, query: str) -> Rows:
        """What a query gives, asked past the program and past the proxy."""
        ...

    async def lock(self, seconds: float) -> None:
        """Hold the lock that writers need for so long."""
        ...


class Sqlite:
    """A file."""

    proxy: Proxy | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self.url = f"sqlite:///{path}"

    async def rows(self, query: str) -> Rows:
        return await asyncio.to_thread(self._rows, query)

    def _rows(self, query: str) -> Rows:
        with closing(sqlite3.connect(self._path, timeout=30)) as connection:
            return connection.execute(query).fetchall()

    async def lock(self, seconds: float) -> None:
        await asyncio.to_thread(self._lock, seconds)

    def _lock(self, seconds: float) -> None:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                time.sleep(seconds)
            finally:
                connection.execute("ROLLBACK")


class Postgresql:
    """A server behind a proxy; looked at past it."""

    def __init__(self, proxy: Proxy, name: str, direct: asyncpg.Connection) -> None:
        self.proxy: Proxy | None = proxy
        self.url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}"
        self._direct = direct
        self._turn = asyncio.Lock()

    async def rows(self, query: str) -> Rows:
        async with self._turn:
            return [tuple(row) for row in await self._direct.fetch(query)]

    async def lock(self, seconds: float) -> None:
        raise NotImplementedError("PostgreSQL has no such lock")


@asynccontextmanager
async def sqlite_side(folder: Path) -> AsyncIterator[Sqlite]:
    """A file in `folder`, made by the program."""
    yield Sqlite(folder / "ledger.db")


@asynccontextmanager
async def postgresql_side(_folder: Path) -> AsyncIterator[Postgresql]:
    """A server of its own for the block, with an empty database."""
    server_block = running()
    server = await asyncio.to_thread(server_block.__enter__)
    try:
        await server.run("CREATE DATABASE chaos")
        direct = await asyncpg.connect(server.url("chaos"))
        try:
            async with Proxy.postgresql(server.directory) as proxy:
                yield Postgresql(proxy, "chaos", direct)
        finally:
            with suppress(OSError, asyncpg.PostgresError):
                await direct.close(timeout=5)
    finally:
        await asyncio.to_thread(server_block.__exit__, None, None, None)
