"""arq's worker for one lane, made to poll when the bell rings instead of all the time.

Polling often enough to be quick (every 20 ms) costs an idle process several per cent of a processor;
arq's default of 0.5 s costs nothing and makes an incident wait. So the worker sleeps until the lane's
channel speaks, or a job of its own ends, and looks by itself twice a second in case a word was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from arq.connections import ArqRedis
from arq.worker import Function, Worker

from dispatcher.domain.delivery import Lane
from dispatcher.queue.connection import REDIS_ERRORS
from dispatcher.queue.lanes import queue_of

#: How late a ring may be heard whose announcement got lost.
POLL_SECONDS = 0.5
#: Above the longest an SMTP transaction may take: 5 min each for MAIL and RCPT, 2 min for DATA's reply and
#: 10 min after the final dot (RFC 5321, 4.5.3.2).
JOB_TIMEOUT = timedelta(minutes=30)
#: Ids read per poll. arq lists running jobs before waiting ones, so this must exceed twice the jobs that
#: all workers together can run, or a full fleet hides what is ready.
QUEUE_READ_LIMIT = 1000
#: arq shrugs off a full or read-only Redis when it claims a job; writing its health does not.
HEALTH_SECONDS = 5


@dataclass(frozen=True, slots=True)
class LaneSignals:
    """How a lane's worker and the rest of the process talk.

    Attributes:
        woken: Set when there may be something to do.
        stopping: Set when no further job may begin.
        polled: Called after each look at the queue that Redis answered; False ends the worker.
    """

    woken: asyncio.Event
    stopping: asyncio.Event
    polled: Callable[[], bool]


class LaneWorker(Worker):
    """One lane's worker; ends with an exception when Redis fails, or quietly when told to stop."""

    def __init__(
        self,
        redis: ArqRedis,
        functions: Sequence[Function],
        lane: Lane,
        concurrency: int,
        signals: LaneSignals,
    ) -> None:
        """Prepare the worker; `main` runs it.

        Args:
            redis: A pool that outlives the worker.
            functions: The jobs it knows; each must bear every failure of its own.
            lane: Whose queue it serves.
            concurrency: At most so many jobs at a time.
            signals: See there.
        """
        super().__init__(
            functions,
            queue_name=queue_of(lane),
            redis_pool=redis,
            handle_signals=False,
            max_jobs=concurrency,
            job_timeout=JOB_TIMEOUT,
            keep_result=0,
            queue_read_limit=QUEUE_READ_LIMIT,
            health_check_interval=HEALTH_SECONDS,
            job_serializer=redis.job_serializer,
            job_deserializer=redis.job_deserializer,
            log_results=False,
        )
        self._signals = signals

    async def main(self) -> None:
        """Look at the queue whenever there may be something in it.

        Raises:
            RedisError: Redis failed. Jobs that run go on: find them in `tasks`.
        """
        while not self._signals.stopping.is_set():
            self._signals.woken.clear()
            await self._poll_iteration()
            if not self._signals.polled():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._signals.woken.wait()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start what is ready; our own running jobs need not be asked for, at four commands each."""
        if not self._signals.stopping.is_set():
            await super().start_jobs([id_ for id_ in job_ids if id_.decode() not in self.tasks])

    async def run_job(self, job_id: str, score: int) -> None:
        """Run a job, then look whether another has waited for its place."""
        try:
            await super().run_job(job_id, score)
        finally:
            # Through the loop, so that arq's own callback has freed the place before the look.
            self.loop.call_soon(self._signals.woken.set)

    async def finish_job(self, *arguments: Any, **named: Any) -> None:
        """Tell Redis that a job ended.

        arq shields this from cancellation. So when a job is cancelled because we stop, and Redis is away,
        nobody is left to hear of the failure, and asyncio would print it with its whole traceback.
        """
        try:
            await super().finish_job(*arguments, **named)
        except REDIS_ERRORS:
            if not self._signals.stopping.is_set():
                raise
