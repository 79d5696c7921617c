"""The connection to the database: its address, its pool, and transactions that mean what they say."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from dispatcher.errors import Problem, SettingsInvalid
from dispatcher.ledger.faults import translated
from dispatcher.ledger.local_disk import MOUNTINFO, refuse_network
from dispatcher.ledger.turns import Turns
from dispatcher.settings import Secret

BUSY_SECONDS = 10  # how long a writer waits for another process before it says that SQLite is locked
TURN_SECONDS = 1.0  # how long it waits for a turn, which takes milliseconds, before it asks SQLite itself
CONNECT_SECONDS = 10  # a PostgreSQL server that has not answered by then is as good as down
COMMAND_SECONDS = 60  # far above any statement here; ends a wait on a dead network
POOL = 10  # connections per process; PostgreSQL's default limit is 100 for all of them
_T = TypeVar("_T")
_SETTING = "DISPATCHER_DATABASE_URL"
_SHAPES = "write sqlite:////absolute/path.db or postgresql://user:password@host/name"
_PRAGMAS = (
    f"busy_timeout={BUSY_SECONDS * 1000}",
    "synchronous=FULL",  # a commit is on the disk before anybody hears of it
    "foreign_keys=ON",
    "cache_size=-8000",  # kB, of each connection
    "journal_size_limit=67108864",  # bytes; gives back the disk that one large expansion took
)


class Database:
    """A pool of connections to one database.

    Attributes:
        place: Where it is, for messages; never the password.
        path: SQLite's file; an empty string for PostgreSQL.
        dialect: ``sqlite`` or ``postgresql``.
        many_writers: Whether transactions that write can run side by side.
        now: The clock.
        token: Gives n random bytes as hexadecimal digits.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], datetime],
        token: Callable[[int], str],
        mountinfo: Path = MOUNTINFO,
    ) -> None:
        address = _address(url)
        self.now, self.token = clock, token
        self.dialect = address.get_backend_name()
        self.many_writers = self.dialect != "sqlite"
        if self.dialect == "sqlite":
            self.path = str(address.database)
            refuse_network(self.path, mountinfo)
            self.place = f"at {self.path}"
            self.engine = _sqlite_engine(address)
            self._reader = self.engine
            self._turns = Turns(Path(f"{self.path}-turn"), TURN_SECONDS)
            self._turn: Callable[[], AbstractAsyncContextManager[object]] = self._turns.taken
            self._end_turns: Callable[[], None] = self._turns.close
        else:
            self.path = ""
            self.place = f"at {_server(address)}"
            self.engine = _postgresql_engine(address)
            self._reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
            writers = asyncio.Semaphore(POOL)
            self._turn, self._end_turns = lambda: writers, lambda: None
        self._writer = self.engine.execution_options(dispatcher_begin="IMMEDIATE")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; each statement sees what is committed when it starts.

        Raises:
            ServiceUnreachable: The database cannot be had.
        """
        with translated(self.place):
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed, on the disk, at the end of the block; undone by any exception.

        Raises:
            ServiceUnreachable: The database cannot be had, or is full, locked or read-only.
        """
        with translated(self.place):
            async with self._turn(), self._writer.begin() as connection:
                yield connection

    async def at_once(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """A transaction of SQLite in one call of its thread: committed, on the disk, when this returns.

        Who writes keeps all others waiting. By `write` that lasts as long as the loop, and whoever has the
        interpreter, take to come round after each statement; by this, only as long as SQLite is at it.

        Args:
            work: Carried out in the thread, without a word to the loop; undone if it raises.

        Raises:
            ServiceUnreachable: The database cannot be had, or is full, locked or read-only.
        """
        with translated(self.place):
            async with self._turns.in_order(), self.engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                whole = _Whole(work, self._turns)
                try:
                    # It has no public way to carry out more than one statement.
                    done: _T = await driver._execute(whole, driver._conn)  # noqa: SLF001 - see above
                except asyncio.CancelledError:
                    whole.given_up = True
                    raise
                return done

    async def close(self) -> None:
        """Give back every connection."""
        await self.engine.dispose()
        self._end_turns()


class _Whole(Generic[_T]):
    """A transaction from its turn to its end, for SQLite's thread.

    Attributes:
        given_up: Whether nobody waits for it any more; then it is undone, if it is not too late.
    """

    def __init__(self, work: Callable[[sqlite3.Connection], _T], turns: Turns) -> None:
        self._work = work
        self._turns = turns
        self.given_up = False

    def __call__(self, database: sqlite3.Connection) -> _T:
        with self._turns.held():
            database.execute("BEGIN IMMEDIATE")
            try:
                done = self._work(database)
                self._go_on()
                database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    database.rollback()
                raise
        return done

    def _go_on(self) -> None:
        if self.given_up:
            raise sqlite3.InterfaceError("nobody waits for this transaction any more")


def upsert(connection: AsyncConnection, table: Table) -> Any:
    """An INSERT that understands ``on_conflict_do_…``; both dialects have it, core SQL has not."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def _address(url: str) -> URL:
    """The URL, checked.

    Raises:
        SettingsInvalid: It names no database that the ledger can use. The text holds no part of it,
            because a password may stand anywhere in a mistyped one.
    """
    plain = url.reveal() if isinstance(url, Secret) else url
    try:
        address = make_url(plain)
        backend = address.get_backend_name()
    except (ArgumentError, ValueError):
        raise SettingsInvalid(Problem(_SETTING, "is no database URL", _SHAPES)) from None
    if backend == "postgres":
        backend, address = "postgresql", address.set(drivername="postgresql")
    if backend not in {"sqlite", "postgresql"}:
        raise SettingsInvalid(Problem(_SETTING, "names neither SQLite nor PostgreSQL", _SHAPES))
    if backend == "sqlite" and address.database in {None, "", ":memory:"}:
        problem = "names no file; the ledger must outlive the process"
        raise SettingsInvalid(Problem(_SETTING, problem, _SHAPES))
    if backend == "sqlite" and address.query:
        problem = "has options after a question mark; the ledger sets SQLite's options itself"
        raise SettingsInvalid(Problem(_SETTING, problem, _SHAPES))
    return address.set(drivername=backend)


def _server(address: URL) -> str:
    hosts = address.query.get("host") or address.host or "localhost"
    host = hosts if isinstance(hosts, str) else ",".join(hosts)
    port = f":{address.port}" if address.port else ""
    return f"{host}{port}/{address.database or ''}"


def _sqlite_engine(address: URL) -> AsyncEngine:
    engine = create_async_engine(
        address.set(drivername="sqlite+aiosqlite"),
        pool_size=POOL,
        # The one that was used last knows the file best: what another one wrote makes its pages stale.
        pool_use_lifo=True,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver must not open transactions by itself: it would do so late, and as a reader.
        connection.isolation_level = None
        cursor = connection.cursor()
        try:
            for pragma in _PRAGMAS:
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
        except BaseException:
            connection.close()  # nobody else would
            raise

    @event.listens_for(engine.sync_engine, "invalidate")
    def undo(connection: Any, _record: Any, _error: Any) -> None:
        # A call was cancelled. Closing alone would leave SQLite's lock with the connection until its last
        # cursor is collected, which a traceback may put off for ever.
        with suppress(Exception):
            connection.rollback()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes the lock at once: one that has read first cannot always become a writer.
        # A reader needs no transaction: each of its statements is one by itself.
        mode = connection.get_execution_options().get("dispatcher_begin")
        if mode:
            _begin(connection, mode)

    return engine


def _begin(connection: Connection, mode: str) -> None:
    """Begin a transaction by one call of the driver's thread; as a statement with a cursor it takes three."""
    adapted: Any = connection.connection.dbapi_connection
    try:
        adapted.run_async(lambda driver: driver.execute_fetchall(f"BEGIN {mode}"))
    except asyncio.CancelledError as error:
        connection.invalidate(error)  # the lock may still be had
        raise


def _postgresql_engine(address: URL) -> AsyncEngine:
    dsn = address.render_as_string(hide_password=False)

    async def connect(*_: Any, **__: Any) -> Any:
        import asyncpg  # noqa: PLC0415 - only who uses PostgreSQL pays for its driver

        # The driver reads the whole URL itself: it knows sslmode, passfile and lists of hosts.
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            server_settings={"application_name": "dispatcher", "jit": "off"},
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=POOL,
        max_overflow=5,  # readers come on top of the writers
        pool_pre_ping=True,  # a restart of the server must not cost a recorded outcome
        hide_parameters=True,
    )


async def ping(database: Database) -> None:
    """Read one row.

    Raises:
        ServiceUnreachable: The database cannot be had.
    """
    async with database.read() as connection:
        await connection.execute(text("SELECT version_num FROM alembic_version"))
