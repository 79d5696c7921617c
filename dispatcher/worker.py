"""A worker process: jobs of all lanes, the sweep, and a heartbeat in the ledger."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dispatcher import __version__
from dispatcher.app import App, redis_url
from dispatcher.domain.circuit import State
from dispatcher.domain.delivery import Lane
from dispatcher.domain.pace import Pace
from dispatcher.errors import DispatcherError, ServiceUnreachable
from dispatcher.flow.attempt import Terms
from dispatcher.flow.deliver import Deliver
from dispatcher.flow.incidents import Books
from dispatcher.flow.patience import for_at_most
from dispatcher.flow.present import moment_json
from dispatcher.flow.remind import Remind
from dispatcher.flow.schedule import Schedule
from dispatcher.flow.sweep import Sweep, Sweeper, Watches
from dispatcher.flow.webhooks import Webhooks
from dispatcher.ledger.workers import Heartbeat
from dispatcher.queue.worker import Handlers, LaneWorkers
from dispatcher.settings import RelayAddress, Settings
from dispatcher.smtp.domains import PARKED
from dispatcher.smtp.relay import Relay
from dispatcher.watchdog import Watchdog

if TYPE_CHECKING:
    from dispatcher.upstream import Upstream

SWEEP_SECONDS = 2.0
#: Between two looks for steps of plans that are due; a question that an index answers.
SCHEDULE_SECONDS = 2.0
#: Between two looks for what customers are owed and do not have.
OWED_SECONDS = 10.0
#: Between two looks for messages to upstream.
WEBHOOK_SECONDS = 2.0
PROBE_SECONDS = 3
HEARTBEAT_SECONDS = 5.0
#: How long to wait at the end for the ledger to forget this worker.
LAST_SECONDS = 1.0
#: Of all SMTP sessions, those that only urgent mail may use.
RESERVED = 2
#: How long a thread keeps the interpreter while another wants it. Mails are rendered in a thread; at Python's
#: 5 ms each reply of the SMTP server, and each statement while the ledger is locked, would wait so long.
SWITCH_SECONDS = 0.0005
#: Jobs at a time. One drains a lane; the others expand events meanwhile.
CONCURRENCY = {Lane.URGENT: 6, Lane.NORMAL: 4, Lane.BULK: 3}

_log = logging.getLogger(__name__)


class Worker:
    """One worker process' work, until it is told to stop."""

    def __init__(
        self, app: App, relay: RelayAddress, revive: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        """Put the parts together; nothing happens before `run`.

        Args:
            app: The open application.
            relay: The SMTP server.
            revive: Starts the embedded Valkey again where it is gone.
        """
        self._app = app
        self._id = f"{socket.gethostname()}-{os.getpid()}-{app.rng.getrandbits(32):08x}"
        sessions = app.settings.smtp_connections
        reserved = min(RESERVED, sessions // 2)
        self._address = relay
        self._relay = Relay(relay, connections=sessions - reserved, reserved=reserved)
        limits = app.settings.smtp_domains
        self._relay.limit(limits)
        lease = timedelta(seconds=app.settings.lease_seconds)
        # Those that wait for their domain's turn must not keep others from the sessions.
        terms = Terms(self._id, lease, sessions + (PARKED if limits else 0), app.clock, app.rng)
        self._deliver = Deliver(
            app.project.catalogue, app.ledger, self._relay, terms, app.settings.public_url
        )
        watches = Watches(app.clock, time.monotonic)
        self._watchdog = Watchdog()
        self._pace = Pace[Lane](time.monotonic)
        self._told = State.CLOSED
        self._lanes = LaneWorkers(
            redis_url(app.settings),
            Handlers(expand=app.expand, deliver=self._deliver),
            concurrency=CONCURRENCY,
            revive=revive,
        )
        app.expand.worker = self._id
        app.bell.near = self._lanes.deliver
        sweeper = Sweeper(self._id, app.expand, self._deliver, lambda: bool(self._lanes.trouble))
        self._sweep = Sweep(app.ledger, app.bell, watches, lease, sweeper)
        app.expand.gone = lambda: self._sweep.gone
        project = app.project
        self._webhooks = Webhooks(app.ledger, _upstream(app.settings), app.clock, app.rng)
        self._books = Books(project.catalogue, project.recipients, app.ledger.incidents)
        self._remind = Remind(project.catalogue, project.recipients, app.ledger, app.submit, app.clock)
        self._schedule = Schedule(project.catalogue, project.recipients, app.ledger, app.submit, app.clock)

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; then claim nothing more and finish what is on the way.

        Raises:
            ServiceUnreachable: The ledger cannot be had at the start.
        """
        sys.setswitchinterval(SWITCH_SECONDS)
        started = self._app.clock()
        await self._beat(started)
        background = [
            asyncio.create_task(
                self._every(SWEEP_SECONDS, lambda: self._round(started), self._watchdog.alive)
            ),
            # Ten thousand steps of one hour take seconds; leases are looked after meanwhile.
            asyncio.create_task(self._every(SCHEDULE_SECONDS, self._schedule)),
            asyncio.create_task(self._every(OWED_SECONDS, self._books.withdrawn)),
            asyncio.create_task(self._every(OWED_SECONDS, self._remind)),
            # A receiver may take its time.
            asyncio.create_task(self._every(WEBHOOK_SECONDS, self._webhooks)),
            asyncio.create_task(self._every(HEARTBEAT_SECONDS, lambda: self._beat(started))),
        ]
        self._watchdog.start()
        lanes = asyncio.create_task(self._lanes.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await self._probe()
            on_ready()
            await asyncio.wait({lanes, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self._deliver.stop()
            self._app.expand.stop()
            self._schedule.stop()
            grace = timedelta(seconds=self._app.settings.grace_seconds)
            self._lanes.stop(grace)
            await asyncio.gather(lanes, self._sweep.end(grace))
            for task in background:
                task.cancel()
            await asyncio.gather(stopping, *background, return_exceptions=True)
            self._watchdog.stop()
            await self._relay.close()
            await self._webhooks.close()
            # Others see by its age that it is gone, so this is worth no wait for a ledger that is away.
            await for_at_most(LAST_SECONDS, self._app.ledger.workers.remove(self._id))

    async def _probe(self) -> None:
        """Say so if the SMTP server cannot be reached; mail waits for it."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._relay.probe()
        except ServiceUnreachable as error:
            _log.warning("%s", error)
        except TimeoutError:
            _log.warning("The SMTP server has not answered within %d seconds; mail waits.", PROBE_SECONDS)

    async def _round(self, started: datetime) -> None:
        await self._sweep()
        if self._relay.look().state is not self._told:  # who watches need not wait for the next heartbeat
            await self._beat(started)

    async def _beat(self, started: datetime) -> None:
        now = self._app.clock()
        self._told = self._relay.look().state
        host, pid = socket.gethostname(), os.getpid()
        await self._app.ledger.workers.heartbeat(
            Heartbeat(
                self._id,
                host,
                pid,
                __version__,
                started,
                now,
                self._relay_now(now),
                self._deliver.tally.stale,
            )
        )

    def _relay_now(self, now: datetime) -> dict[str, Any]:
        """How the SMTP server is, and how many messages a second it took lately, for the heartbeat."""
        look = self._relay.look()
        since = now - timedelta(seconds=look.seconds)
        paces = self._pace.read(self._deliver.tally.sent)
        rates = {lane.value: round(rate, 2) for lane, rate in paces.items()}
        words = {"address": str(self._address), "circuit": look.state.value, "why": look.why, "rates": rates}
        return words if look.state is State.CLOSED else words | {"since": moment_json(since) or ""}

    async def _every(
        self, seconds: float, work: Callable[[], Awaitable[object]], done: Callable[[], None] = lambda: None
    ) -> None:
        """Do it again and again; a ledger that is away is waited for."""
        away = False
        while True:
            try:
                await work()
                away = False
            except DispatcherError as error:
                if not away:
                    _log.error("%s", error)
                away = True
            except Exception:  # noqa: BLE001 - see below
                # Whatever it is, the next round may find it gone; without sweeps nothing is ever retried.
                _log.exception("a round of %s failed", work)
            done()
            await asyncio.sleep(seconds)


def _upstream(settings: Settings) -> Upstream | None:
    """Who is told of decisions, if anybody is."""
    if settings.webhook_url is None:
        return None
    from dispatcher.upstream import Upstream  # noqa: PLC0415 - few have one, and its library is large

    return Upstream(settings.webhook_url, settings.webhook_secrets)
