"""Events that come while processes are killed, told to stop, or many at once; real processes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from fleet import Fleet, open_fleet, reached, smtp_url, told, until
from slow import PATIENT
from smtp_server import SmtpServer
from web_service import STRUCTURED, TOKEN, cloud_event

from dispatcher.domain.delivery import Lane, Status
from dispatcher.ledger.workers import ALIVE_WITHIN

# Several processes are started in each test: on a machine with other things to do that takes minutes.
pytestmark = pytest.mark.timeout(300)

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": STRUCTURED}
KILLED = -signal.SIGKILL


@pytest.fixture
async def fleet(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    """An installation on SQLite."""
    async with open_fleet(sqlite_url, tmp_path / "fleet") as opened:
        yield opened


@asynccontextmanager
async def mute_redis() -> AsyncIterator[str]:
    """The URL of something that takes connections and never says a word."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(1000):
                pass
        writer.transport.abort()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()


async def test_kill_between_commit_and_enqueue(fleet: Fleet) -> None:
    """What was committed is mailed although nobody was told: neither by `send`, nor by `serve`."""
    fleet.people(["ada@contoso.example"])
    async with mute_redis() as mute, httpx.AsyncClient(headers=HEADERS) as http:
        serving, url = await fleet.serve(DISPATCHER_REDIS_URL=mute)
        sending = fleet.run(
            "send", "planned-maintenance", "--instance", "contoso-prod", "--sample", DISPATCHER_REDIS_URL=mute
        )
        await until(lambda: _events(fleet, 1))
        codes = [await sending.kill()]
        posting = asyncio.create_task(http.post(f"{url}/v1/events", json=cloud_event()))
        await until(lambda: _events(fleet, 2))
        codes.append(await serving.kill())
        with pytest.raises(httpx.TransportError):
            await posting

    worker = fleet.worker()
    await until(lambda: len(fleet.server.kept) == 2)
    await until(lambda: fleet.all_in(Status.SENT))

    assert codes == [KILLED, KILLED]
    assert sending.printed == ""
    assert worker.running
    assert [len(ids) for ids in fleet.copies().values()] == [2]


async def _events(fleet: Fleet, number: int) -> bool:
    return len(await fleet.app.ledger.events.list()) == number


async def test_told_to_stop_in_the_middle_of_data(fleet: Fleet) -> None:
    """What has begun is finished, the rest goes back untried; told twice, a worker leaves at once."""
    fleet.people(f"person{number}@contoso.example" for number in range(30))
    slow = fleet.server.script("DOT", action="hang", keep=True, times=1)
    event = await fleet.accept()
    polite = fleet.worker(DISPATCHER_SMTP_CONNECTIONS="1")
    await reached(slow)
    polite.send(signal.SIGTERM)
    await polite.says("Stopping")
    slow.released.set()
    codes = [await polite.ended()]
    rows = await fleet.rows(event)
    kept = fleet.copies()
    fleet.server.clear()
    hung = fleet.server.script("DOT", action="hang")
    rash = fleet.worker(DISPATCHER_SMTP_CONNECTIONS="1")
    await reached(hung)
    rash.send(signal.SIGTERM)
    await rash.says("Stopping")
    began = time.monotonic()
    rash.send(signal.SIGTERM)
    codes.append(await rash.ended())
    took = time.monotonic() - began

    assert codes == [0, -signal.SIGTERM]
    assert took < 2 * PATIENT
    [(address, [_])] = kept.items()
    sent = rows.pop(address)
    assert (sent.status, told(sent), sent.uncertain) == (Status.SENT, ["accepted"], False)
    assert {(row.status, row.tries, told(row) == []) for row in rows.values()} == {(Status.QUEUED, 0, True)}


async def test_one_event_posted_by_many_and_sent_by_two(database_url: str, tmp_path: Path) -> None:
    """Fifty posts at once to two processes are one event; two workers send its 400 mails once each."""
    async with open_fleet(database_url, tmp_path / "fleet") as fleet:
        await _crowded(fleet)


async def _crowded(fleet: Fleet) -> None:
    """Two workers with a server each, so that it shows who sent what."""
    people = [f"person{number}@contoso.example" for number in range(400)]
    fleet.people(people)
    async with SmtpServer() as other, httpx.AsyncClient(headers=HEADERS, timeout=30) as http:
        # Nobody's first mails get an answer until each of the two has begun.
        dots = [one.script("DOT", action="hang", keep=True) for one in (fleet.server, other)]
        fleet.worker()
        fleet.worker(DISPATCHER_SMTP_URL=smtp_url(other))
        _, first = await fleet.serve()
        _, second = await fleet.serve()
        await until(lambda: _working(fleet, 2))
        answers = await asyncio.gather(
            *(http.post(f"{url}/v1/events", json=cloud_event()) for url in (first, second) * 25)
        )

        async def both_begun() -> bool:
            await fleet.app.bell.ring_deliver(Lane.NORMAL)
            return all(dot.reached.is_set() for dot in dots)

        await until(both_begun)
        for dot in dots:
            dot.released.set()
        await until(lambda: fleet.all_in(Status.SENT, number=400))
        rows, copies = await fleet.rows(), fleet.copies(other)

        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["event"] for answer in answers}) == 1
        assert sum("Dispatcher-Duplicate" not in answer.headers for answer in answers) == 1
        assert await _events(fleet, 1)
        assert copies == {row.address: [row.message_id] for row in rows.values()}
        assert set(copies) == set(people)
        assert {(row.tries, row.uncertain) for row in rows.values()} == {(1, False)}


async def _working(fleet: Fleet, number: int) -> bool:
    return len(await fleet.app.ledger.workers.alive(ALIVE_WITHIN)) == number
