"""Workers that are killed, suspended, or end themselves: what they had is taken over; real processes."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import pytest
import pytest_asyncio
from fleet import (
    HELD_TYPE,
    SECONDS,
    TAKEN_OVER_SECONDS,
    Fleet,
    Played,
    Process,
    chosen,
    honest,
    playing,
    reached,
    told,
    until,
)
from postgres_server import PostgresServer

from dispatcher.domain.delivery import Status
from dispatcher.ledger.workers import ALIVE_WITHIN
from dispatcher.watchdog import EXIT_CODE

# The first test waits for the longest scenario of all.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

KILLED = -signal.SIGKILL
#: Where their mail is when the worker is killed: at RCPT, answered with 250, or at RCPT in a session that has
#: heard a 250; the mail of the last two is rather held than sent twice.
BEFORE, AFTER, NEXT = "before@contoso.example", "after@contoso.example", "next@contoso.example"
HELD, HELD_NEXT = "held@fabrikam.example", "held.next@fabrikam.example"
POISON = "poison@contoso.example"
#: The program, except that it ends its process whenever it is about to send to one address: the first time
#: by a hang, then by a crash.
DEADLY = f"""
import functools, os, signal, time
from dispatcher import watchdog
from dispatcher.smtp.relay import Relay
marker, send = MARKER, Relay.send
def hang():
    time.sleep(600)
async def deadly(self, envelope, **choices):
    if envelope.recipient == {POISON!r}:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            os.kill(os.getpid(), signal.SIGKILL)
        hang()
    return await send(self, envelope, **choices)
Relay.send = deadly
import dispatcher.worker
dispatcher.worker.Watchdog = functools.partial(watchdog.Watchdog, patience=8)
from dispatcher.cli.main import main
main()
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(
    request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Played]:
    """The scenarios of this run: all of them wait for leases to run out."""
    folder = tmp_path_factory.mktemp("leases")
    urls = {name: f"sqlite:///{folder}/{name}.db" for name in chosen(request, SCENARIOS)}
    databases = {name: f"faults_{number}" for number, name in enumerate(urls) if name.endswith("postgresql")}
    for name, database in databases.items():
        await postgres.run(f"CREATE DATABASE {database}")
        urls[name] = postgres.url(database)
    try:
        async with playing(SCENARIOS, urls, folder) as tasks:
            yield tasks
    finally:
        for database in databases.values():
            await postgres.run(f"DROP DATABASE {database} WITH (FORCE)")


@asynccontextmanager
async def no_outcome_can_be_committed(url: str) -> AsyncIterator[None]:
    """Within the block whoever would write an attempt waits."""
    if url.startswith("sqlite"):
        with _locked(url.removeprefix("sqlite:///")):
            yield
        return
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@contextmanager
def _locked(path: str) -> Iterator[None]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


async def _killed(fleet: Fleet) -> None:
    """A worker is killed with mail in every state while another is there."""
    code, second, event = await _kill(fleet)
    took = await until(lambda: fleet.all_in(Status.SENT, Status.HELD, number=5))
    rows, copies = await fleet.rows(), fleet.copies()
    release = fleet.run("release", rows[HELD].id)
    released = await release.ended()
    await until(lambda: fleet.all_in(Status.SENT, event=event))

    assert code == KILLED
    assert second.running
    assert took < TAKEN_OVER_SECONDS
    assert copies.keys() == {BEFORE, AFTER, NEXT, HELD}
    assert [len(copies[one]) for one in (BEFORE, AFTER, NEXT, HELD)] == [1, 2, 1, 1]
    assert honest((rows[one] for one in copies), copies)
    for one in (BEFORE, AFTER, NEXT):
        assert (rows[one].uncertain, told(rows[one])) == (True, ["lease_expired", "accepted"])
    for one in (HELD, HELD_NEXT):
        assert (rows[one].status, rows[one].uncertain) == (Status.HELD, True)
        assert told(rows[one]) == ["lease_expired"]
    assert released == 0, release.printed
    assert fleet.copies()[HELD] == [rows[HELD].message_id] * 2


async def _kill(fleet: Fleet) -> tuple[int, Process, str]:
    """Kill the one worker before DATA of some and after the 250 of others, and before it could commit them.

    Returns:
        Its exit code, the other worker, and the event whose mail is rather held than sent twice.
    """
    server = fleet.server
    at_rcpt = server.script("RCPT", BEFORE, action="hang", times=1)
    dots = [server.script("DOT", one, action="hang", keep=True, times=1) for one in (AFTER, HELD)]
    turns = [server.script("RCPT", one, action="hang", times=1) for one in (NEXT, HELD_NEXT)]
    fleet.people([BEFORE, AFTER])
    fleet.people([HELD], instance="fabrikam")
    event = await fleet.accept(HELD_TYPE, instance="fabrikam")
    await fleet.accept()
    # With three sessions that are not reserved.
    first = fleet.worker(DISPATCHER_SMTP_CONNECTIONS="5")
    await reached(at_rcpt, *dots)
    # These wait for a session, so their turn shows that the worker has heard a 250.
    fleet.people([NEXT])
    fleet.people([HELD_NEXT], instance="fabrikam")
    await fleet.accept()
    await fleet.accept(HELD_TYPE, instance="fabrikam")
    await until(lambda: fleet.all_in(Status.SENDING, number=5))
    [second] = await fleet.workers(1)
    async with no_outcome_can_be_committed(fleet.url):
        for dot in dots:
            dot.released.set()
        await reached(*turns)
        return await first.kill(), second, event


async def _suspended(fleet: Fleet) -> None:
    """A worker is suspended at a final dot until another has sent its mail."""
    address = "ada@contoso.example"
    fleet.people([address])
    dot = fleet.server.script("DOT", action="hang", keep=True, times=1)
    event = await fleet.accept()
    first = fleet.worker()
    await reached(dot)
    second = fleet.worker()
    await fleet.suspend(first)
    await until(lambda: fleet.all_in(Status.SENT))
    dot.released.set()
    first.send(signal.SIGCONT)
    await until(lambda: _stale(fleet, first))
    row = (await fleet.rows(event))[address]

    assert first.running
    assert second.running
    assert not await _stale(fleet, second)
    assert (row.status, row.uncertain, row.tries) == (Status.SENT, True, 2)
    assert told(row) == ["lease_expired", "accepted"]
    assert fleet.copies() == {address: [row.message_id] * 2}


async def _stale(fleet: Fleet, process: Process) -> int:
    """How many outcomes of that worker were refused, as it says itself."""
    alive = await fleet.app.ledger.workers.alive(ALIVE_WITHIN)
    return sum(worker.stale for worker in alive if worker.pid == process.popen.pid)


async def _deadly(fleet: Fleet) -> None:
    """Two workers, started again whenever they end, and one recipient who ends them."""
    others = [f"person{number}@contoso.example" for number in range(20)]
    fleet.people([*others, POISON])
    event = await fleet.accept()
    code = DEADLY.replace("MARKER", repr(str(fleet.folder / "marker")))
    running = [fleet.run("worker", code=code) for _ in range(2)]
    ended: list[Process] = []

    async def over() -> bool:
        for number, process in enumerate(running):
            if not process.running:
                ended.append(process)
                running[number] = fleet.run("worker", code=code)
        return await fleet.all_in(Status.SENT, Status.HELD, event=event, number=21)

    await until(over, seconds=3 * SECONDS)
    rows, copies = await fleet.rows(event), fleet.copies()
    listing = fleet.run("deliveries", "--status", "held", "--json")
    listed = await listing.ended()
    codes = [await process.ended() for process in ended]
    poison = rows.pop(POISON)

    assert (poison.status, poison.reason, poison.next_try_at) == (Status.HELD, "poison", None)
    assert told(poison) == ["lease_expired"] * 3
    assert POISON not in copies
    assert {row.status for row in rows.values()} == {Status.SENT}
    assert set(rows) == set(others)
    assert honest(rows.values(), copies)
    assert codes == [EXIT_CODE, KILLED, KILLED]
    assert "has not come round for 8 seconds" in ended[0].printed
    assert "in hang\n" in ended[0].printed
    assert listed == 0, listing.printed
    assert [row["id"] for row in json.loads(listing.printed)] == [poison.id]


SCENARIOS = {
    "killed-sqlite": _killed,
    "killed-postgresql": _killed,
    "suspended-sqlite": _suspended,
    "suspended-postgresql": _suspended,
    "poison": _deadly,
}


@pytest.mark.parametrize("scenario", ["killed-sqlite", "killed-postgresql"])
async def test_kill_before_data_and_after_250(played: Played, scenario: str) -> None:
    """Another worker has it soon; a second copy is marked, and not sent where it is unwanted."""
    await played[scenario]


@pytest.mark.parametrize("scenario", ["suspended-sqlite", "suspended-postgresql"])
async def test_suspended_past_its_lease(played: Played, scenario: str) -> None:
    """Whoever wakes up to find that another has sent its mail changes nothing any more, and is counted."""
    await played[scenario]


@pytest.mark.parametrize("scenario", ["poison"])
async def test_poison_and_a_worker_that_hangs(played: Played, scenario: str) -> None:
    """What ends three workers in a row is held and shown; a worker that hangs ends itself and says where."""
    await played[scenario]
