"""Real parts that tests share: a clock that stands still, PostgreSQL, a ledger on each database."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
from clock import Clock
from hangs import (  # noqa: F401 - pytest looks for its hooks here
    pytest_configure,
    pytest_exception_interact,
    pytest_handlecrashitem,
    pytest_runtest_protocol,
    pytest_sessionfinish,
)
from postgres_server import PostgresServer, running
from program import CONTOSO, PROJECT
from way import Way, open_way

from dispatcher.ledger import Ledger

_numbers = count(1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests."""
    with running() as server:
        yield server


@pytest.fixture
async def postgres_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """A database of the test's own, empty."""
    name = f"test_{next(_numbers)}"
    await postgres.run(f"CREATE DATABASE {name}")
    yield postgres.url(name)
    await postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file of the test's own, not there yet."""
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn, empty."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
async def ledger(database_url: str, clock: Clock) -> AsyncIterator[Ledger]:
    """An empty ledger on each kind of database in turn."""
    opened = await Ledger.open(database_url, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_ledger(sqlite_url: str, clock: Clock) -> AsyncIterator[Ledger]:
    """An empty ledger on SQLite."""
    opened = await Ledger.open(sqlite_url, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Catalogue and templates as shipped, one instance as the contract has it, and a bare one."""
    folder = tmp_path_factory.mktemp("root")
    shutil.copyfile(PROJECT / "catalogue.yaml", folder / "catalogue.yaml")
    shutil.copytree(PROJECT / "templates", folder / "templates")
    (folder / "recipients").mkdir()
    (folder / "recipients" / "contoso-prod.yaml").write_text(CONTOSO, encoding="utf-8")
    bare = "instance: bare\nregion: japan\nadmins: [only@bare.example]\n"
    (folder / "recipients" / "bare.yaml").write_text(bare, encoding="utf-8")
    return folder


@pytest.fixture
async def way(ledger: Ledger, clock: Clock, tmp_path: Path) -> AsyncIterator[Way]:
    """The way of an event, on each kind of database in turn."""
    async with open_way(ledger, clock, tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _words_of_the_log() -> None:
    """Commands in this process silence some for as long as it lives, also those of a module's fixture."""
    for name in ("dispatcher.queue.outage", "dispatcher.files", "dispatcher.mail"):
        logging.getLogger(name).setLevel(logging.NOTSET)
