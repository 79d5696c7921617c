"""A worker process' share of every lane, kept going through outages of Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from arq.connections import ArqRedis
from arq.worker import Function, func
from redis.exceptions import ReadOnlyError

from dispatcher.domain.delivery import Lane
from dispatcher.errors import ServiceUnreachable
from dispatcher.queue.connection import check, close, connect, forget_idle, parse
from dispatcher.queue.lane_worker import LaneSignals, LaneWorker
from dispatcher.queue.lanes import DELIVER, EXPAND, channel_of
from dispatcher.queue.outage import Outage

logger = logging.getLogger(__name__)

#: Seconds between tries while Redis is away: the first, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
#: Seconds to wait for a connection or a reply.
REDIS_TIMEOUT = 3.0
#: Seconds that the listener waits for a word before it sees whether its connection is well.
LISTEN_SECONDS = 10.0
#: Seconds that cancelled jobs have to put their things in order.
CANCEL_SECONDS = 5.0
#: Before Python 3.12 `asyncio.wait_for`, which redis-py uses to write, now and then swallows a cancellation.
CANCEL_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Handlers:
    """What is done when the bell rings.

    Both may be called for what is already done, and several times at once: the ledger sorts it out. They
    must return within `dispatcher.queue.lane_worker.JOB_TIMEOUT` or are cancelled.

    Attributes:
        expand: Given an event's id.
        deliver: Given the lane of which to deliver what is due.
    """

    expand: Callable[[str], Awaitable[object]]
    deliver: Callable[[Lane], Awaitable[object]]


class LaneWorkers:
    """One arq worker per lane in the running event loop, so that no lane waits for another's jobs."""

    def __init__(
        self,
        url: str,
        handlers: Handlers,
        *,
        concurrency: Mapping[Lane, int],
        revive: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Nothing happens before `run`.

        Args:
            url: As `dispatcher.queue.connection.parse` takes it.
            handlers: The work.
            concurrency: For each lane to be served, how many jobs may run at a time.
            revive: Called before each try to connect; starts the embedded server where it is gone.

        Raises:
            SettingsInvalid: The URL cannot be used.
        """
        self._address = parse(url)
        self._outage = Outage(self._address)
        self._handlers = handlers
        self._concurrency = dict(concurrency)
        self._revive = revive
        # Jobs outlive the arq worker that began them when Redis fails; the limit holds for all of them.
        self._slots = {lane: asyncio.Semaphore(count) for lane, count in self._concurrency.items()}
        self._woken = {lane: asyncio.Event() for lane in self._concurrency}
        # Redis was asked, since it was last lost, whether it keeps what it is given.
        self._trusted = asyncio.Event()
        self._stopping = asyncio.Event()
        self._grace = timedelta(0)
        self._jobs: set[asyncio.Task[Any]] = set()

    @property
    def trouble(self) -> str:
        """Why Redis cannot be had, fit for a user; empty while all is well."""
        return self._outage.text

    def stop(self, grace: timedelta) -> None:
        """Begin no further job, and let `run` return once the running ones have ended.

        Args:
            grace: How long they have; then they are cancelled and stay queued for another worker.
        """
        self._grace = grace
        self._stopping.set()
        self._trusted.set()
        for woken in self._woken.values():
            woken.set()

    def deliver(self, lane: Lane) -> bool:
        """Deliver what is due in a lane, without Redis; False if there is no room for a job, or no time."""
        slots = self._slots.get(lane)
        if slots is None or slots.locked() or self._stopping.is_set():
            return False
        job = self._bear(lane, f"{DELIVER} {lane.value!r}", lambda: self._handlers.deliver(lane))
        self._keep_through(asyncio.create_task(job))
        return True

    async def run(self) -> None:
        """Serve the lanes until `stop` is called. Redis failing is survived; cancelling is heeded."""
        # arq tells of every job at INFO, arguments and all; ours are ids, but nobody needs two lines each.
        logging.getLogger("arq").setLevel(logging.WARNING)
        # Per job one connection while arq starts or ends it, per lane one that polls, one that listens.
        connections = sum(self._concurrency.values()) + len(self._concurrency) + 2
        redis = connect(self._address, timeout=REDIS_TIMEOUT, connections=connections)
        listener = asyncio.create_task(self._keep("listener", lambda: self._listen(redis)))
        lanes = {
            asyncio.create_task(self._keep(lane, self._server(redis, lane))) for lane in self._concurrency
        }
        try:
            await self._stopping.wait()
            await self._let_end(lanes)
        finally:
            await _cancel({listener, *lanes}, again=CANCEL_AGAIN_SECONDS)
            await _cancel(self._jobs)
            await close(redis)

    async def _let_end(self, lanes: set[asyncio.Task[None]]) -> None:
        """Give what runs its grace: first the looks at the queues, which hand their jobs over to us."""
        deadline = time.monotonic() + self._grace.total_seconds()
        for tasks in (lanes, self._jobs):
            if tasks:
                await asyncio.wait(set(tasks), timeout=max(0.0, deadline - time.monotonic()))
        if self._jobs:
            logger.warning("%d jobs did not end within %s and are cancelled.", len(self._jobs), self._grace)

    async def _keep(self, part: str, attempt: Callable[[], Awaitable[None]]) -> None:
        """Begin a part again each time it fails, with growing pauses."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                await attempt()
            except Exception as error:  # noqa: BLE001 - whatever is in Redis, the worker lives on
                pause = FIRST_PAUSE if self._outage.begins(part, error) else pause
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()
                pause = min(2 * pause, LONGEST_PAUSE)

    def _server(self, redis: ArqRedis, lane: Lane) -> Callable[[], Awaitable[None]]:
        signals = LaneSignals(self._woken[lane], self._stopping, lambda: self._polled(lane))
        functions = self._functions(lane)

        async def serve() -> None:
            await self._trusted.wait()
            worker = LaneWorker(redis, functions, lane, self._concurrency[lane], signals)
            try:
                await worker.main()
            except ReadOnlyError:
                await forget_idle(redis)
                raise
            finally:
                self._adopt(worker)

        return serve

    def _polled(self, lane: Lane) -> bool:
        """Note that Redis answered; False if it must be asked first whether it may be used."""
        self._outage.ends(lane)
        return self._trusted.is_set()

    def _adopt(self, worker: LaneWorker) -> None:
        """See the jobs of a worker that ended through: a mail may be on the wire."""
        for task in worker.tasks.values():
            self._keep_through(task)

    def _keep_through(self, task: asyncio.Task[Any]) -> None:
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        task.add_done_callback(_retrieve)

    async def _listen(self, redis: ArqRedis) -> None:
        """Wake a lane's worker whenever the lane's channel speaks; see first what Redis has become."""
        if not self._stopping.is_set():
            self._trusted.clear()
        if self._revive is not None:
            await self._revive()
        await check(redis, self._address)
        self._trusted.set()
        lanes = {channel_of(lane).encode(): lane for lane in self._concurrency}
        async with redis.pubsub() as channels:
            await channels.subscribe(*lanes)
            self._outage.ends("listener")
            for woken in self._woken.values():
                woken.set()  # rings while nobody listened
            while True:
                message = await channels.get_message(timeout=LISTEN_SECONDS)
                if message is not None and message["channel"] in lanes:
                    self._woken[lanes[message["channel"]]].set()

    def _functions(self, lane: Lane) -> tuple[Function, ...]:
        # arq hands its context by the name `ctx`; we have no use for it.
        async def expand(ctx: dict[Any, Any], event_id: str) -> None:  # noqa: ARG001
            await self._bear(lane, f"{EXPAND} {event_id!r:.64}", lambda: self._handlers.expand(event_id))

        async def deliver(ctx: dict[Any, Any], name: str) -> None:  # noqa: ARG001
            await self._bear(lane, f"{DELIVER} {name!r:.64}", lambda: self._handlers.deliver(Lane(name)))

        return func(expand, name=EXPAND), func(deliver, name=DELIVER)

    async def _bear(self, lane: Lane, job: str, handle: Callable[[], Awaitable[object]]) -> None:
        """Run a handler within the lane's limit; tell of its error without the words, which may be data."""
        async with self._slots[lane]:
            try:
                await handle()
            except ServiceUnreachable as error:
                logger.error("job %s waits: %s", job, error)  # noqa: TRY400 - the text says it all
            except Exception as error:  # noqa: BLE001 - the ledger still has it; the sweeper rings again
                logger.error("job %s failed: %s at %s", job, type(error).__name__, _place(error))  # noqa: TRY400


async def _cancel(tasks: set[asyncio.Task[Any]], again: float = CANCEL_SECONDS) -> None:
    """Cancel them and wait, though not for ever, until they have put their things in order.

    Args:
        tasks: Which.
        again: Seconds after which those that have not ended are cancelled once more.
    """
    deadline = time.monotonic() + CANCEL_SECONDS
    left = set(tasks)
    while left and time.monotonic() < deadline:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=again)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take a job's error note: arq could not tell Redis that it ended, which the outage explains."""
    if not task.cancelled():
        task.exception()


def _place(error: BaseException) -> str:
    """``module.py:12``, where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
