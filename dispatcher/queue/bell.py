"""The bell that wakes workers. What they are to do stands in the ledger; a ring may be lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from dispatcher.domain.delivery import Lane
from dispatcher.errors import ServiceUnreachable
from dispatcher.queue.connection import REDIS_ERRORS, close, connect, explain, forget_idle, parse
from dispatcher.queue.lanes import DELIVER, EXPAND, channel_of, queue_of
from dispatcher.queue.outage import Outage

#: Intake waits for a ring, so it must be short; a healthy Redis answers in a millisecond.
RING_SECONDS = 1.0
#: After a failure nobody waits again for so long.
QUIET_SECONDS = 1.0
#: Jobs of `deliver` that may wait in a lane: each drains whatever is due, so more would find nothing.
WAITING_DELIVERS = 4
#: Connections per process; a ring holds one for about a millisecond.
CONNECTIONS = 16
#: `depth` looks for jobs already begun among so many of the oldest.
BEGUN_AMONG = 1000


_T = TypeVar("_T")


class Bell:
    """Wakes workers, and never raises because Redis is down.

    Attributes:
        trouble: Why the last ring failed, fit for a user; empty while all is well.
        near: Where a worker runs in this process, it hears from here at once which lane has something to
            deliver; the others hear it through Redis.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is connected before the first ring.

        Args:
            url: As `dispatcher.queue.connection.parse` takes it.
            token: Gives a fresh random word for each job's id: arq drops a job whose id it has seen.
            monotonic: Seconds that only ever rise.

        Raises:
            SettingsInvalid: The URL cannot be used.
        """
        self._address = parse(url)
        self._outage = Outage(self._address)
        self._token = token
        self._monotonic = monotonic
        self._quiet_until = float("-inf")
        self._redis: ArqRedis | None = None
        self._ringing: dict[Lane, asyncio.Lock] = {}
        self._coming: dict[Lane, asyncio.Task[bool]] = {}
        self.near: Callable[[Lane], object] = lambda lane: None  # noqa: ARG005 - nobody is near

    @property
    def trouble(self) -> str:  # noqa: D102 - an attribute of the class, told there
        return self._outage.text

    async def ring_expand(self, event_id: str, lane: Lane) -> bool:
        """Have a worker expand an event.

        Returns:
            True if a job waits for it; False if Redis could not be had, and `trouble` says why.
        """
        return await self._try(lambda redis: self._ring(redis, lane, EXPAND, event_id))

    async def ring_deliver(self, lane: Lane) -> bool:
        """Have a worker deliver what is due in a lane, unless enough of them are about to.

        Those who ask while the bell is being rung for that lane have it rung once more for all of them.

        Returns:
            True if a job waits that will begin after this call; False if Redis could not be had, and
            `trouble` says why.
        """
        self.near(lane)
        if self._monotonic() < self._quiet_until:
            return False
        ring = self._coming.get(lane)
        if ring is None:
            ring = self._coming[lane] = asyncio.create_task(self._ring_next(lane))
        return await asyncio.shield(ring)

    async def _ring_next(self, lane: Lane) -> bool:
        async with self._ringing.setdefault(lane, asyncio.Lock()):
            del self._coming[lane]  # who asks from now on may have stored what this ring is too early for
            return await self._try(lambda redis: self._ring_deliver(redis, lane))

    async def depth(self, lane: Lane) -> int:
        """How many jobs wait in a lane, those already begun left out.

        Raises:
            ServiceUnreachable: Redis could not be had; a made-up zero would be a lie.
        """
        try:
            async with asyncio.timeout(RING_SECONDS):
                return await self._twice(lambda redis: _depth(redis, lane))
        except REDIS_ERRORS as error:
            raise ServiceUnreachable("redis", explain(self._address, error)) from error

    async def close(self) -> None:
        """Close the connections; a later ring would open new ones."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await close(redis)

    def _pool(self) -> ArqRedis:
        if self._redis is None:
            self._redis = connect(self._address, timeout=RING_SECONDS, connections=CONNECTIONS)
        return self._redis

    async def _try(self, ring: Callable[[ArqRedis], Awaitable[None]]) -> bool:
        now = self._monotonic()
        if now < self._quiet_until:
            return False
        if self.trouble:
            # One caller tries whether Redis is back; those who come meanwhile are not held up.
            self._quiet_until = now + QUIET_SECONDS
        try:
            async with asyncio.timeout(RING_SECONDS):
                await self._twice(ring)
        except REDIS_ERRORS as error:
            self._quiet_until = self._monotonic() + QUIET_SECONDS
            self._outage.begins("bell", error)
            return False
        self._quiet_until = float("-inf")
        self._outage.ends("bell")
        return True

    async def _twice(self, ask: Callable[[ArqRedis], Awaitable[_T]]) -> _T:
        """Ask, and once more if that failed: an idle connection is only found dead by using it."""
        redis = self._pool()
        try:
            return await ask(redis)
        except (RedisConnectionError, ReadOnlyError):
            await forget_idle(redis)
            return await ask(redis)

    async def _ring(self, redis: ArqRedis, lane: Lane, job: str, argument: str) -> None:
        queue = queue_of(lane)
        if await redis.enqueue_job(job, argument, _job_id=self._token(), _queue_name=queue) is None:
            # Our ids are new, so this is never "already there": the connection was lost (redis-py
            # reports that as a failed WATCH) and nothing was put on the queue.
            raise RedisConnectionError("the connection was lost")
        await redis.publish(channel_of(lane), b"")

    async def _ring_deliver(self, redis: ArqRedis, lane: Lane) -> None:
        if not await _enough_wait(redis, lane):
            await self._ring(redis, lane, DELIVER, lane.value)


async def _depth(redis: ArqRedis, lane: Lane) -> int:
    total = int(await redis.zcard(queue_of(lane)))
    oldest = await redis.zrange(queue_of(lane), 0, BEGUN_AMONG - 1)
    return max(0, total - await _begun(redis, oldest))


async def _enough_wait(redis: ArqRedis, lane: Lane) -> bool:
    """Whether the newest jobs are enough and none of them has begun.

    The queue's length will not do: arq leaves a job in the queue until it has ended, and the jobs of a
    worker that was killed for as long again as a job may take.
    """
    newest = await redis.zrange(queue_of(lane), -WAITING_DELIVERS, -1)
    return len(newest) >= WAITING_DELIVERS and await _begun(redis, newest) == 0


async def _begun(redis: ArqRedis, ids: list[bytes]) -> int:
    """How many of the jobs some worker has begun."""
    if not ids:
        return 0
    return int(await redis.exists(*(in_progress_key_prefix.encode() + id_ for id_ in ids)))
