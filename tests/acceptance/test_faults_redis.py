"""Redis forgets, fills up, hangs or goes away, and so does the database; real processes go on."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fleet import SECONDS, Fleet, Played, Process, Scenario, chosen, honest, open_fleet, playing, told, until
from postgres_server import PostgresServer
from proxy import Proxy
from slow import PATIENT
from web_service import FIELDS, STRUCTURED, TOKEN, cloud_event

from dispatcher.domain.delivery import Lane, Status
from dispatcher.queue.connection import close, connect, parse
from dispatcher.queue.lanes import queue_of

# The first test waits for the scenarios of all.
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    # A socket that another test left behind may be collected while these wait; it is no fault of theirs.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": STRUCTURED}
ADA = "ada@contoso.example"
#: Events that come in while the database is lost.
SMALL = 11
#: The sweep leaves a new event to the bell for 3 seconds and comes every 2; it expands and delivers in turn.
WITHOUT_BELL_SECONDS = (3 + 2 + 2) * PATIENT
#: So long does the sweep wait: what is quicker was the bell's doing.
WITH_BELL_SECONDS = 3


@dataclass
class Town:
    """An installation with a worker whose Redis can be harmed."""

    fleet: Fleet
    worker: Process
    events: int = 0

    async def post(self, url: str) -> httpx.Response:
        """Post a new event."""
        self.events += 1
        async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=30) as http:
            return await http.post("/v1/events", json=cloud_event())

    async def submit(self) -> None:
        """Submit a new event from here."""
        self.events += 1
        await self.fleet.accept()

    def send(self) -> Process:
        """Send a new event with a command."""
        self.events += 1
        return self.fleet.run("send", "planned-maintenance", "--instance", "contoso-prod", "--sample")

    async def quick(self) -> bool:
        """Whether a new event is mailed as fast as usual."""
        began = time.monotonic()
        before = len(self.fleet.server.kept)
        await self.submit()
        await until(lambda: len(self.fleet.server.kept) > before)
        return time.monotonic() - began < WITH_BELL_SECONDS

    async def tell_redis(self, command: str) -> object:
        """Run a command as it would be typed, over a connection of its own."""
        redis = connect(parse(self.fleet.environment["DISPATCHER_REDIS_URL"]), timeout=5, connections=1)
        try:
            return await redis.execute_command(*command.split())  # type: ignore[no-untyped-call]
        finally:
            await close(redis)

    async def harm(self, how: str) -> None:
        """Do something to Redis: send it a signal, start it again empty, or run a command."""
        valkey = self.fleet.valkey
        if how.startswith("SIG"):
            assert valkey._process is not None
            valkey._process.send_signal(signal.Signals[how])
        elif how == "start":
            valkey.start()
        else:
            await self.tell_redis(how)

    async def assert_each_was_mailed_once(self) -> None:
        """Every event of all those that were accepted so far."""
        await until(lambda: self.fleet.all_in(Status.SENT, number=self.events))
        rows = await self.fleet.deliveries()

        assert len(rows) == self.events
        assert sorted(self.fleet.copies()[ADA]) == sorted(row.message_id for row in rows)
        assert not any(row.uncertain for row in rows)
        assert self.worker.running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Played]:
    """The scenarios of this run: all of them wait for sweeps and outages."""
    folder = tmp_path_factory.mktemp("redis")
    urls = {name: f"sqlite:///{folder}/{name}.db" for name in chosen(request, SCENARIOS)}
    async with playing(SCENARIOS, urls, folder) as tasks:
        yield tasks


async def _town(fleet: Fleet) -> Town:
    """Once its worker works."""
    fleet.people([ADA])
    [worker] = await fleet.workers(1)
    return Town(fleet, worker)


async def _forgetful(how: Sequence[str], fleet: Fleet) -> None:
    """Redis loses a job that no worker has seen."""
    town = await _town(fleet)
    await fleet.suspend(town.worker)
    await town.submit()
    jobs = [await town.tell_redis(f"ZCARD {queue_of(Lane.NORMAL)}")]
    for step in how:
        await town.harm(step)
    jobs.append(await town.tell_redis(f"ZCARD {queue_of(Lane.NORMAL)}"))
    town.worker.send(signal.SIGCONT)
    took = await until(lambda: fleet.all_in(Status.SENT, number=town.events))
    await until(town.quick)

    assert jobs == [1, 0]
    assert took < WITHOUT_BELL_SECONDS
    await town.assert_each_was_mailed_once()


async def _useless(breaks: str, mends: str, fleet: Fleet) -> None:
    """Redis takes nothing for a while."""
    (_, url), town = await asyncio.gather(fleet.serve(), _town(fleet))
    await town.harm(breaks)
    try:
        answer = await town.post(url)
        sending = town.send()
        code = await sending.ended()
        took = await until(lambda: fleet.all_in(Status.SENT, number=town.events))
    finally:
        await town.harm(mends)
    await until(town.quick)

    assert answer.status_code == 202
    assert (code, "Warning: no worker could be woken" in sending.printed) == (0, True), sending.printed
    assert took < WITHOUT_BELL_SECONDS
    await town.assert_each_was_mailed_once()


SCENARIOS: Mapping[str, Scenario] = {
    "flushed": partial(_forgetful, ("FLUSHALL",)),
    "restarted-empty": partial(_forgetful, ("SIGKILL", "start")),
    "full": partial(_useless, "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "read-only": partial(_useless, "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    "silent": partial(_useless, "SIGSTOP", "SIGCONT"),
    "gone": partial(_useless, "SIGKILL", "start"),
}


@pytest.mark.parametrize("scenario", ["flushed", "restarted-empty"])
async def test_a_redis_that_forgets(played: Played, scenario: str) -> None:
    """A job that Redis forgot is done by the sweep; then the bell is heard as before."""
    await played[scenario]


@pytest.mark.parametrize("scenario", ["full", "read-only", "silent", "gone"])
async def test_a_redis_that_is_of_no_use(played: Played, scenario: str) -> None:
    """Events are taken and mailed without it, with a warning; then the bell is heard as before."""
    await played[scenario]


@pytest.mark.asyncio(loop_scope="function")
async def test_a_database_that_goes_away(postgres: PostgresServer, postgres_url: str, tmp_path: Path) -> None:
    """Nothing is accepted meanwhile, and whoever asks is told when to come again; then all goes on."""
    people = [f"person{number}@contoso.example" for number in range(300)]
    async with (
        Proxy.postgresql(postgres.directory) as proxy,
        open_fleet(postgres_url, tmp_path / "fleet") as fleet,
    ):
        name = postgres_url.partition("@/")[2].partition("?")[0]
        fleet.environment["DISPATCHER_DATABASE_URL"] = f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}"
        fleet.people(people)
        fleet.people([ADA], instance="fabrikam")
        fleet.server.script("DOT", delay=0.05)  # so that mail is on its way all the time
        worker = fleet.worker()
        _, url = await fleet.serve()
        async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=60) as http:
            assert (await http.post("/v1/events", json=cloud_event())).status_code == 202
            await until(lambda: len(fleet.server.kept) > 50)
            await _lose_the_database(fleet, proxy, worker, http)
        await until(lambda: fleet.all_in(Status.SENT, number=len(people) + SMALL))
        rows = await fleet.deliveries()

        assert len(rows) == len(people) + SMALL
        assert honest(rows, fleet.copies())
        assert {told(row)[-1] for row in rows} == {"accepted"}
        assert worker.running


async def _lose_the_database(fleet: Fleet, proxy: Proxy, worker: Process, http: httpx.AsyncClient) -> None:
    """For a while, and at a moment when many events come in; each is posted again afterwards."""
    data = {"instances": ["fabrikam"], "fields": FIELDS}
    *small, later = [cloud_event(f"SMALL-{number}", data=data) for number in range(SMALL)]
    # The worst moment: the commit has happened, and nobody hears of it.
    lost = proxy.once(b"COMMIT;", "cut", passed=True)
    racing = [asyncio.create_task(http.post("/v1/events", json=event)) for event in small]
    await asyncio.wait_for(lost.wait(), SECONDS)
    await proxy.refuse()
    proxy.cut()
    raced = await asyncio.gather(*racing)
    refused = [await http.post("/v1/events", json=later) for _ in range(3)]
    await worker.says("Waiting for it")
    await asyncio.sleep(2)
    nothing = await fleet.app.ledger.events.reference(later["source"], later["id"])
    await proxy.restore()
    again = [await http.post("/v1/events", json=event) for event in (*small, later)]

    assert {(answer.status_code, "Retry-After" in answer.headers) for answer in refused} == {(503, True)}
    assert nothing is None
    assert {answer.status_code for answer in raced} <= {202, 503}
    assert {answer.status_code for answer in again} == {202}
    for first, second in zip(raced, again, strict=False):
        assert first.status_code == 503 or first.json() == second.json()
