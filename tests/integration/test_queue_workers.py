"""Lane workers against a real Valkey, through every outage."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from slow import PATIENT

from dispatcher.domain.delivery import Lane
from dispatcher.queue import lane_worker
from dispatcher.queue.bell import Bell
from dispatcher.queue.connection import close, connect, parse
from dispatcher.queue.embedded import EmbeddedValkey
from dispatcher.queue.lanes import queue_of
from dispatcher.queue.worker import Handlers, LaneWorkers

#: Far more than any stop needs, so that a stop which waits for its end shows.
GRACE = timedelta(seconds=60)
#: Seconds between two polls where the bell alone is to be heard: no test waits so long for anything.
SELDOM = 100.0


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path) as server:
        yield server


@pytest.fixture
def url(valkey: EmbeddedValkey, tmp_path: Path) -> str:
    return valkey.url(tmp_path)


@pytest.fixture
async def redis(url: str) -> AsyncIterator[ArqRedis]:
    pool = connect(parse(url), timeout=1, connections=4)
    yield pool
    await close(pool)


@pytest.fixture
async def bell(url: str) -> AsyncIterator[Bell]:
    it = Bell(url, token=lambda: secrets.token_hex(8))
    yield it
    await it.close()


class Heard:
    """What the handlers were called with; some of it may be told to wait or to fail."""

    def __init__(self) -> None:
        self.expanded: list[str] = []
        self.delivered: list[Lane] = []
        self.cancelled: list[str] = []
        self.running = self.most = 0
        self.release = asyncio.Event()

    def handlers(self) -> Handlers:
        return Handlers(self.expand, self.deliver)

    async def expand(self, event_id: str) -> None:
        if event_id.startswith("bad"):
            raise ValueError("somebody@example.com")
        if event_id.startswith("slow"):
            await self._wait(event_id)
        self.expanded.append(event_id)

    async def deliver(self, lane: Lane) -> None:
        self.delivered.append(lane)

    async def _wait(self, event_id: str) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.append(event_id)
            raise
        finally:
            self.running -= 1


@asynccontextmanager
async def running(
    url: str,
    heard: Heard,
    *,
    concurrency: int = 4,
    revive: Callable[[], Awaitable[object]] | None = None,
) -> AsyncIterator[LaneWorkers]:
    """Workers for all lanes, stopped at the end."""
    lanes = dict.fromkeys(Lane, concurrency)
    workers = LaneWorkers(url, heard.handlers(), concurrency=lanes, revive=revive)
    task = asyncio.create_task(workers.run())
    try:
        yield workers
    finally:
        heard.release.set()
        workers.stop(GRACE)
        await task


async def eventually(condition: Callable[[], bool], seconds: float = 5 * PATIENT) -> bool:
    """Whether it holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True


async def run(redis: Any, command: str) -> None:
    """Run a command as it would be typed."""
    await redis.execute_command(*command.split())


async def test_a_ring_runs_the_handler_soon(url: str, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring reaches its handler without waiting for a poll."""
    monkeypatch.setattr(lane_worker, "POLL_SECONDS", SELDOM)
    heard = Heard()
    async with running(url, heard):
        for number in range(20):
            assert await bell.ring_expand(f"event{number}", Lane.NORMAL)
            assert await eventually(lambda count=number + 1: len(heard.expanded) == count)  # type: ignore[misc]
        assert await bell.ring_deliver(Lane.BULK)
        assert await eventually(lambda: heard.delivered == [Lane.BULK])


async def test_who_is_near_delivers_at_once(url: str) -> None:
    """A worker in the process that rings needs no Redis, and takes no more than there is room for."""
    heard = Heard()
    workers = LaneWorkers(url, heard.handlers(), concurrency={Lane.NORMAL: 1})
    begun = [workers.deliver(lane) for lane in (Lane.NORMAL, Lane.BULK)]
    assert await eventually(lambda: heard.delivered == [Lane.NORMAL])
    workers.stop(GRACE)

    assert [*begun, workers.deliver(Lane.NORMAL)] == [True, False, False]


async def test_nothing_is_left_in_redis_when_the_work_is_done(url: str, bell: Bell, redis: ArqRedis) -> None:
    """Done jobs leave no job, no result and no try behind."""
    heard = Heard()
    async with running(url, heard):
        for number in range(50):
            await bell.ring_expand(f"event{number}", Lane.NORMAL)
        assert await eventually(lambda: len(heard.expanded) == 50)

    assert [key for key in await redis.keys("*") if b"health-check" not in key] == []


async def test_a_ring_before_the_workers_start_is_heard(url: str, bell: Bell) -> None:
    """Jobs wait for a worker that comes later."""
    heard = Heard()
    await bell.ring_expand("event1", Lane.URGENT)

    async with running(url, heard):
        assert await eventually(lambda: heard.expanded == ["event1"])


async def test_a_job_whose_announcement_got_lost_is_found(url: str, redis: ArqRedis) -> None:
    """A job that nobody announced is found by the slow poll."""
    heard = Heard()
    async with running(url, heard):
        await redis.enqueue_job("expand", "first", _queue_name=queue_of(Lane.NORMAL))
        assert await eventually(lambda: heard.expanded == ["first"])
        await redis.enqueue_job("expand", "silent", _queue_name=queue_of(Lane.NORMAL))

        assert await eventually(lambda: heard.expanded == ["first", "silent"])


async def test_urgent_does_not_wait_for_a_busy_bulk_lane(url: str, bell: Bell) -> None:
    """With every bulk slot held, an urgent job runs at once."""
    heard = Heard()
    async with running(url, heard, concurrency=2):
        for number in range(10):
            await bell.ring_expand(f"slow{number}", Lane.BULK)
        assert await eventually(lambda: heard.running == 2)
        await bell.ring_expand("incident", Lane.URGENT)

        assert await eventually(lambda: heard.expanded == ["incident"])


async def test_a_lane_keeps_to_its_concurrency_and_works_off_the_rest(
    url: str, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more run at a time than allowed; as one ends, the next begins without a poll's delay."""
    monkeypatch.setattr(lane_worker, "POLL_SECONDS", SELDOM)
    heard = Heard()
    async with running(url, heard, concurrency=2):
        for number in range(20):
            await bell.ring_expand(f"slow{number}", Lane.BULK)
        assert await eventually(lambda: heard.running == 2)
        heard.release.set()
        assert await eventually(lambda: len(heard.expanded) == 20)

    assert heard.most == 2


async def test_a_flush_in_between_is_survived(url: str, bell: Bell, redis: ArqRedis) -> None:
    """FLUSHALL while a job runs harms neither it nor the next ring."""
    heard = Heard()
    async with running(url, heard):
        await bell.ring_expand("slow1", Lane.NORMAL)
        assert await eventually(lambda: heard.running == 1)
        await redis.flushall()
        heard.release.set()
        assert await eventually(lambda: heard.expanded == ["slow1"])
        assert await bell.ring_expand("event2", Lane.NORMAL)

        assert await eventually(lambda: heard.expanded == ["slow1", "event2"])


async def test_workers_resume_after_redis_was_away(
    valkey: EmbeddedValkey, url: str, bell: Bell, caplog: pytest.LogCaptureFixture
) -> None:
    """Workers outlive Redis by seconds of outage, tell of it once, and go on by themselves."""
    heard = Heard()
    async with running(url, heard) as workers:
        await bell.ring_expand("event1", Lane.URGENT)
        assert await eventually(lambda: heard.expanded == ["event1"])
        with caplog.at_level(logging.INFO):
            valkey.stop()
            assert await eventually(lambda: workers.trouble != "")
            await asyncio.sleep(1.5)
            valkey.start()
            assert await eventually(lambda: workers.trouble == "")
        assert await bell.ring_expand("event2", Lane.URGENT)

        assert await eventually(lambda: heard.expanded == ["event1", "event2"])
    told = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 2
    assert "cannot be used" in told[0]
    assert "works again" in told[1]


async def test_a_running_job_outlives_an_outage_within_the_limit(
    valkey: EmbeddedValkey, url: str, bell: Bell
) -> None:
    """A job on the way is not cancelled when Redis dies, and still counts against its lane's limit."""
    heard = Heard()
    async with running(url, heard, concurrency=2) as workers:
        await bell.ring_expand("slow1", Lane.NORMAL)
        assert await eventually(lambda: heard.running == 1)
        valkey.stop()
        assert await eventually(lambda: workers.trouble != "")
        await asyncio.sleep(0.8)  # longer than a poll, so that every lane's arq worker has ended
        valkey.start()
        assert await eventually(lambda: workers.trouble == "")
        assert await bell.ring_expand("slow2", Lane.NORMAL)
        assert await bell.ring_expand("slow3", Lane.NORMAL)
        await asyncio.sleep(0.7)
        heard.release.set()

        assert await eventually(lambda: sorted(heard.expanded) == ["slow1", "slow2", "slow3"])
    assert heard.most == 2
    assert heard.cancelled == []


async def test_workers_may_start_before_redis(tmp_path: Path) -> None:
    """Workers that start without Redis begin to work when it comes."""
    heard = Heard()
    url = EmbeddedValkey.url(tmp_path)
    bell = Bell(url, token=lambda: secrets.token_hex(8))
    async with running(url, heard) as workers:
        assert await eventually(lambda: workers.trouble != "")
        with EmbeddedValkey(tmp_path):
            assert await eventually(lambda: workers.trouble == "")
            assert await bell.ring_deliver(Lane.URGENT)
            assert await eventually(lambda: heard.delivered == [Lane.URGENT])
            await bell.close()
            heard.release.set()
            workers.stop(GRACE)


async def test_workers_revive_the_embedded_server(
    valkey: EmbeddedValkey, tmp_path: Path, url: str, bell: Bell
) -> None:
    """When the process that owned the embedded server leaves, the workers start another."""
    heard = Heard()
    own = EmbeddedValkey(tmp_path)
    try:
        async with running(url, heard, revive=lambda: asyncio.to_thread(own.start)):
            await bell.ring_expand("event1", Lane.NORMAL)
            assert await eventually(lambda: heard.expanded == ["event1"])
            valkey.stop()
            assert await eventually(lambda: own.owned and EmbeddedValkey.running(tmp_path))
            assert await bell.ring_expand("event2", Lane.NORMAL)

            assert await eventually(lambda: heard.expanded == ["event1", "event2"])
    finally:
        own.stop()


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    ],
)
async def test_a_redis_that_takes_no_writes_is_noticed(
    url: str, redis: ArqRedis, breaks: str, mends: str
) -> None:
    """A full or read-only Redis, which arq bears in silence, is reported and outlived."""
    heard = Heard()
    async with running(url, heard) as workers:
        await asyncio.sleep(0.2)
        await redis.enqueue_job("expand", "first", _queue_name=queue_of(Lane.BULK))
        assert await eventually(lambda: heard.expanded == ["first"])
        await run(redis, breaks)
        assert await eventually(lambda: workers.trouble != "", 7 * PATIENT)
        await run(redis, mends)
        assert await eventually(lambda: workers.trouble == "")
        await redis.enqueue_job("expand", "second", _queue_name=queue_of(Lane.BULK))

        assert await eventually(lambda: heard.expanded == ["first", "second"])


async def test_a_redis_that_evicts_is_left_alone_until_it_is_mended(
    url: str, redis: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it was so at the start or has become so since it was last lost: nothing is taken from it."""
    heard = Heard()
    await run(redis, "CONFIG SET maxmemory-policy allkeys-lru")
    await redis.enqueue_job("expand", "first", _queue_name=queue_of(Lane.BULK))
    async with running(url, heard) as workers:
        assert await eventually(lambda: "maxmemory-policy is allkeys-lru" in workers.trouble)
        await asyncio.sleep(0.6)  # longer than a poll
        untouched = list(heard.expanded)
        await run(redis, "CONFIG SET maxmemory-policy noeviction")
        assert await eventually(lambda: heard.expanded == ["first"])
        assert await eventually(lambda: workers.trouble == "")

        await run(redis, "CONFIG SET maxmemory-policy volatile-ttl")
        await run(redis, "CLIENT KILL TYPE pubsub")  # to the workers the same as a restart
        assert await eventually(lambda: "maxmemory-policy is volatile-ttl" in workers.trouble)
        await asyncio.sleep(0.6)  # the look that was under way
        await redis.enqueue_job("expand", "second", _queue_name=queue_of(Lane.BULK))
        await asyncio.sleep(0.6)
        untouched += heard.expanded[1:]
        await run(redis, "CONFIG SET maxmemory-policy noeviction")
        assert await eventually(lambda: heard.expanded == ["first", "second"])

    assert untouched == []
    assert "Run `redis-cli -s" in caplog.text


async def test_an_error_in_a_handler_ends_neither_worker_nor_secrecy(
    url: str, bell: Bell, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler's error is logged by id, kind and place, without its words; the worker goes on."""
    heard = Heard()
    with caplog.at_level(logging.DEBUG):
        async with running(url, heard):
            for number in range(8):
                await bell.ring_expand(f"bad{number}", Lane.NORMAL)
            await bell.ring_expand("good", Lane.NORMAL)
            assert await eventually(lambda: heard.expanded == ["good"])

    told = [record.message for record in caplog.records if record.name == "dispatcher.queue.worker"]
    assert any("bad0" in line and "ValueError at test_queue_workers.py:" in line for line in told)
    assert "somebody@example.com" not in caplog.text
    assert [record for record in caplog.records if record.name.startswith("arq")] == []


@pytest.mark.parametrize(
    "payload",
    [
        b"\x80\x04\x95 a pickle",
        b'{"f": "expand"}',
        b'{"f": "expand", "a": ["x"], "k": {}, "t": "one", "et": 1}',
        b'{"f": "no_such", "a": [], "k": {}, "t": null, "et": 1}',
        b'{"f": "expand", "a": [], "k": {}, "t": null, "et": 1}',
        b'{"f": "deliver", "a": ["no_such_lane"], "k": {}, "t": null, "et": 1}',
    ],
)
async def test_rubbish_in_the_queue_is_survived(
    url: str, bell: Bell, redis: ArqRedis, payload: bytes
) -> None:
    """Whatever somebody wrote into the queue, the next real ring is heard."""
    heard = Heard()
    await redis.set("arq:job:rubbish", payload)
    await redis.zadd(queue_of(Lane.NORMAL), {"rubbish": 1})

    async with running(url, heard):
        assert await bell.ring_expand("event1", Lane.NORMAL)
        assert await eventually(lambda: heard.expanded == ["event1"])


async def test_stop_waits_for_running_jobs_and_begins_none(url: str, bell: Bell, redis: ArqRedis) -> None:
    """A running job ends within the grace; what waits stays in the queue for another worker."""
    heard = Heard()
    workers = LaneWorkers(url, heard.handlers(), concurrency={Lane.NORMAL: 1})
    task = asyncio.create_task(workers.run())
    await bell.ring_expand("slow1", Lane.NORMAL)
    await bell.ring_expand("event2", Lane.NORMAL)
    assert await eventually(lambda: heard.running == 1)

    workers.stop(GRACE)
    await asyncio.sleep(0.3)
    waited = not task.done()
    heard.release.set()
    await asyncio.wait_for(task, 2 * PATIENT)

    assert waited
    assert heard.expanded == ["slow1"]
    assert heard.cancelled == []
    assert await redis.zcard(queue_of(Lane.NORMAL)) == 1


async def test_stop_cancels_what_outlasts_the_grace(url: str, bell: Bell) -> None:
    """A job that does not end in time is cancelled, and another worker runs it again."""
    heard = Heard()
    workers = LaneWorkers(url, heard.handlers(), concurrency={Lane.NORMAL: 1})
    task = asyncio.create_task(workers.run())
    await bell.ring_expand("slow1", Lane.NORMAL)
    assert await eventually(lambda: heard.running == 1)

    workers.stop(timedelta(seconds=0.3))
    await asyncio.wait_for(task, 2 * PATIENT)

    assert heard.cancelled == ["slow1"]
    heard.release.set()
    async with running(url, heard):
        assert await eventually(lambda: heard.expanded == ["slow1"])


async def test_cancelling_the_run_ends_it_with_its_jobs(url: str, bell: Bell) -> None:
    """Cancelling `run` cancels the jobs and leaves nothing running."""
    heard = Heard()
    workers = LaneWorkers(url, heard.handlers(), concurrency=dict.fromkeys(Lane, 2))
    task = asyncio.create_task(workers.run())
    await bell.ring_expand("slow1", Lane.NORMAL)
    assert await eventually(lambda: heard.running == 1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert heard.cancelled == ["slow1"]
    assert len(asyncio.all_tasks()) == 1


async def test_stop_is_quick_without_redis(tmp_path: Path) -> None:
    """Stopping during an outage takes no longer than it must."""
    heard = Heard()
    url = EmbeddedValkey.url(tmp_path)
    async with running(url, heard) as workers:
        assert await eventually(lambda: workers.trouble != "")
        began = time.monotonic()

    assert time.monotonic() - began < 3 * PATIENT


async def test_stop_is_quick_at_any_moment(url: str) -> None:
    """However soon after the start it comes, even while connections are made, nothing outlasts it."""
    took = []
    for number in range(60):
        workers = LaneWorkers(url, Heard().handlers(), concurrency=dict.fromkeys(Lane, 2))
        task = asyncio.create_task(workers.run())
        await asyncio.sleep(number * 0.0005)
        began = time.monotonic()
        workers.stop(GRACE)
        await task
        took.append(time.monotonic() - began)

    assert max(took) < 2 * PATIENT


async def test_two_worker_processes_share_the_jobs(url: str, bell: Bell) -> None:
    """With two sets of workers every job runs once."""
    heard = Heard()
    async with running(url, heard), running(url, heard):
        for number in range(100):
            await bell.ring_expand(f"event{number}", Lane.NORMAL)
        assert await eventually(lambda: len(heard.expanded) >= 100)
        await asyncio.sleep(0.1)

    assert sorted(heard.expanded) == sorted(f"event{number}" for number in range(100))
