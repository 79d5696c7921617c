"""The bell against a real Valkey: it rings, and bears every way in which Redis can fail."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from slow import PATIENT

from dispatcher.domain.delivery import Lane
from dispatcher.errors import ServiceUnreachable, SettingsInvalid
from dispatcher.queue.bell import WAITING_DELIVERS, Bell
from dispatcher.queue.connection import check, close, connect, parse, refuse_evicting
from dispatcher.queue.embedded import EmbeddedValkey
from dispatcher.queue.lanes import queue_of


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


def make_bell(url: str, *, clock: list[float] | None = None) -> Bell:
    """A bell with countable ids, and, if asked, a clock that the test moves."""
    numbers = itertools.count()
    monotonic = time.monotonic if clock is None else lambda: clock[0]
    return Bell(url, token=lambda: f"job{next(numbers)}", monotonic=monotonic)


async def run(redis: Any, command: str) -> None:
    """Run a command as it would be typed."""
    await redis.execute_command(*command.split())


@pytest.fixture
async def bell(url: str) -> AsyncIterator[Bell]:
    it = make_bell(url)
    yield it
    await it.close()


async def test_each_ring_to_expand_is_a_job_of_its_own(bell: Bell, redis: ArqRedis) -> None:
    """Two rings for one event are two jobs in the event's lane, each with only its id."""
    rung = [await bell.ring_expand("event1", Lane.URGENT) for _ in range(2)]

    jobs = await redis.queued_jobs(queue_name="dispatcher:queue:urgent")
    assert rung == [True, True]
    assert [(job.function, *job.args, job.kwargs) for job in jobs] == [("expand", "event1", {})] * 2
    assert await bell.depth(Lane.URGENT) == 2
    assert await bell.depth(Lane.BULK) == 0


async def test_few_delivers_wait_per_lane(bell: Bell) -> None:
    """A lane with enough waiting jobs gets no more, and other lanes are none the worse."""
    rung = [await bell.ring_deliver(Lane.BULK) for _ in range(50)]

    assert all(rung)
    assert await bell.depth(Lane.BULK) == WAITING_DELIVERS
    assert await bell.ring_deliver(Lane.URGENT)
    assert await bell.depth(Lane.URGENT) == 1


async def test_jobs_of_a_killed_worker_do_not_silence_the_bell(bell: Bell, redis: ArqRedis) -> None:
    """Jobs that were begun count as busy, not as waiting, however many are left behind."""
    for number in range(WAITING_DELIVERS):
        await bell.ring_deliver(Lane.NORMAL)
        await redis.set(f"{in_progress_key_prefix}job{number}", b"1")
    left = await bell.depth(Lane.NORMAL)

    assert left == 0
    assert await bell.ring_deliver(Lane.NORMAL)
    assert await bell.depth(Lane.NORMAL) == 1


async def test_a_flush_loses_only_the_jobs(bell: Bell, redis: ArqRedis) -> None:
    """After FLUSHALL the next ring works as the first did."""
    await bell.ring_expand("event1", Lane.NORMAL)
    await redis.flushall()

    assert await bell.depth(Lane.NORMAL) == 0
    assert await bell.ring_expand("event1", Lane.NORMAL)
    assert await bell.depth(Lane.NORMAL) == 1


async def test_without_redis_a_ring_is_refused_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With Redis down a ring returns False quickly, says why, and logs the outage once."""
    bell = make_bell(EmbeddedValkey.url(tmp_path))
    began = time.monotonic()

    with caplog.at_level(logging.INFO):
        rung = [await bell.ring_expand("event1", Lane.URGENT) for _ in range(100)]
    took = time.monotonic() - began

    assert not any(rung)
    assert took < 3 * PATIENT  # a second for each would be 100
    assert "valkey.sock" in bell.trouble
    assert len(caplog.records) == 1
    with pytest.raises(ServiceUnreachable, match=r"valkey\.sock"):
        await bell.depth(Lane.URGENT)
    await bell.close()


async def test_a_redis_that_hangs_holds_nobody_for_long() -> None:
    """With a server that never answers, a hundred callers together wait a second, later ones not at all."""
    held: list[asyncio.StreamWriter] = []

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clock = [0.0]
    bell = make_bell(f"redis://127.0.0.1:{port}", clock=clock)

    began = time.monotonic()
    together = await asyncio.gather(*(bell.ring_deliver(Lane.URGENT) for _ in range(100)))
    waited = time.monotonic() - began
    asked = len(held)
    later = await bell.ring_deliver(Lane.URGENT)
    not_asked = len(held) == asked
    clock[0] = 1.5
    began = time.monotonic()
    one = asyncio.create_task(bell.ring_deliver(Lane.URGENT))
    await asyncio.sleep(0)
    others = [await bell.ring_deliver(Lane.URGENT) for _ in range(20)]
    others_waited = time.monotonic() - began
    tried = await one

    assert not any([*together, later, *others, tried])
    assert waited < 5 * PATIENT
    assert not_asked
    assert len(held) > asked  # as is seen once the pause is over
    assert others_waited < 0.9 * PATIENT  # and 20 for all
    assert f"127.0.0.1:{port} does not answer in time" in bell.trouble
    await bell.close()
    for writer in held:
        writer.close()
    server.close()
    await server.wait_closed()


async def test_who_asks_during_a_ring_is_rung_for_after_it(bell: Bell, redis: ArqRedis) -> None:
    """A hundred who ask at once cost two rings at most, and what they stored is seen by the second."""
    first = asyncio.create_task(bell.ring_deliver(Lane.NORMAL))
    await asyncio.sleep(0)
    rung = await asyncio.gather(*(bell.ring_deliver(Lane.NORMAL) for _ in range(100)))
    await first

    assert all(rung)
    assert 1 <= await redis.zcard(queue_of(Lane.NORMAL)) <= 2


async def test_the_bell_comes_back_with_redis(tmp_path: Path) -> None:
    """A second after a failure the bell tries again, over connections that died meanwhile."""
    clock = [0.0]
    bell = make_bell(EmbeddedValkey.url(tmp_path), clock=clock)

    with EmbeddedValkey(tmp_path):
        before = await bell.ring_deliver(Lane.URGENT)
    during = await bell.ring_deliver(Lane.URGENT)
    with EmbeddedValkey(tmp_path):
        too_early = await bell.ring_deliver(Lane.URGENT)
        clock[0] = 1.1
        after = await bell.ring_deliver(Lane.URGENT)
        trouble = bell.trouble
        await bell.close()

    assert (before, during, too_early, after) == (True, False, False, True)
    assert trouble == ""


async def test_a_restart_between_two_rings_goes_unnoticed(tmp_path: Path) -> None:
    """Connections that a restart has closed are replaced, not reported."""
    bell = make_bell(EmbeddedValkey.url(tmp_path))

    with EmbeddedValkey(tmp_path):
        before = await bell.ring_expand("event1", Lane.URGENT)
    with EmbeddedValkey(tmp_path):
        after = await bell.ring_expand("event2", Lane.URGENT)
    with EmbeddedValkey(tmp_path):
        depth = await bell.depth(Lane.URGENT)
        await bell.close()

    assert (before, after, depth) == (True, True, 0)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("CONFIG SET maxmemory 1", "is full"),
        ("REPLICAOF 127.0.0.1 1", "read-only replica"),
        ("CONFIG SET requirepass s3cret", "log-in"),
    ],
)
async def test_a_redis_that_refuses_is_reported(
    bell: Bell, redis: ArqRedis, command: str, words: str
) -> None:
    """A full, read-only or locked Redis makes the ring False and says which."""
    await run(redis, command)

    assert not await bell.ring_expand("event1", Lane.NORMAL)
    assert words in bell.trouble


async def test_a_percent_encoded_password_opens(url: str, redis: ArqRedis) -> None:
    """The password's odd characters arrive as they are meant; a wrong one is refused, unseen."""
    await redis.config_set("requirepass", "p@ss:w/r%d")
    good = make_bell(url.replace("unix://", "unix://:p%40ss%3Aw%2Fr%25d@"))
    bad = make_bell(url.replace("unix://", "unix://:wr%40ng@"))

    assert await good.ring_expand("event1", Lane.NORMAL)
    assert not await bad.ring_expand("event1", Lane.NORMAL)
    assert "log-in" in bad.trouble
    assert "wr@ng" not in bad.trouble
    await good.close()
    await bad.close()


async def test_a_redis_that_evicts_is_refused(url: str, redis: ArqRedis) -> None:
    """Any policy but noeviction is refused together with the command that sets it right."""
    await redis.config_set("maxmemory-policy", "allkeys-lru")

    with pytest.raises(SettingsInvalid) as refused:
        await refuse_evicting(url)
    path = parse(url).path
    await redis.config_set("maxmemory-policy", "noeviction")
    await refuse_evicting(url)

    assert str(refused.value) == (
        f"DISPATCHER_REDIS_URL: Redis at unix socket {path} may throw queued jobs away: its maxmemory-policy "
        f"is allkeys-lru. Run `redis-cli -s {path} CONFIG SET maxmemory-policy noeviction` and write it into "
        "its configuration, or name another Redis."
    )


async def test_a_redis_that_forbids_the_question_is_accepted(url: str, redis: ArqRedis) -> None:
    """The rights that our own advice names are enough to ring, and CONFIG is not among them."""
    rights = "on >s3cret ~dispatcher:* ~arq:* &dispatcher:* +@all -@dangerous"
    await run(redis, f"ACL SETUSER limited {rights}")
    limited = url.replace("unix://", "unix://limited:s3cret@")
    pool = connect(parse(limited), timeout=1, connections=2)
    bell = make_bell(limited)

    await check(pool, parse(limited))

    assert await bell.ring_deliver(Lane.URGENT)
    assert await redis.zcard(queue_of(Lane.URGENT)) == 1
    await bell.close()
    await close(pool)


async def test_a_check_without_redis_says_so(tmp_path: Path) -> None:
    """A check of a Redis that is not there names the place."""
    address = parse(EmbeddedValkey.url(tmp_path))
    pool = connect(address, timeout=1, connections=1)

    with pytest.raises(ServiceUnreachable, match=r"valkey\.sock") as refused:
        await check(pool, address)
    await refuse_evicting(EmbeddedValkey.url(tmp_path))  # it may be a good one, once it is there

    assert refused.value.service == "redis"
    await close(pool)
