"""A storm: everything is started, faults happen, then calm, then the count."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from proxy import Proxy

from chaos import ground, reading
from chaos.fastclock import FastClock
from chaos.faults import Scene, carry_out
from chaos.ledgers import LedgerSide, postgresql_side, sqlite_side
from chaos.options import Database, Options
from chaos.plan import Plan, make_plan
from chaos.posting import START_SECONDS, Upstream
from chaos.processes import Tended
from chaos.relay import StormyServer
from chaos.report import Report
from chaos.valkey import Valkey, free_port
from chaos.verdict import judge
from chaos.watch import Watch
from dispatcher.flow.tokens import new_token

_SIDES: dict[Database, Callable[[Path], AbstractAsyncContextManager[LedgerSide]]] = {
    "sqlite": sqlite_side,
    "postgresql": postgresql_side,
}
#: Of the time of the storm, how much all sessions together would need for all messages.
BUSY = 0.25
#: By how much more than needed the clocks are put forward, in their own seconds, while nothing is due.
MARGIN = 1.0
TENTHS = 10


async def storm(options: Options, folder: Path) -> Report:
    """One storm, from an empty folder to its report."""
    plan = make_plan(options)
    async with scene_in(folder, options) as scene:
        watching = asyncio.create_task(scene.watch.run())
        try:
            began = time.monotonic()
            posting = asyncio.create_task(scene.upstream.post_all(plan.postings, began))
            try:
                await _blow(scene, plan, began, options.seconds)
                calm = time.monotonic()
                await scene.calm()
                complaints = await _accepted(posting, options)
            finally:
                posting.cancel()
                await asyncio.gather(posting, return_exceptions=True)
            report = await _settle(scene, plan, options)
            report.complaints += complaints
            report.seconds = (calm - began, time.monotonic() - calm)
            report.flow = _flow(scene.server.times, began, calm)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        report.recoveries = scene.watch.seconds
        report.idle = scene.watch.idle
        report.unrecovered = scene.watch.unrecovered
    return report


def _flow(times: list[float], began: float, calm: float) -> list[int]:
    """How many messages came in each tenth of the storm, and after it."""
    parts = [0] * (TENTHS + 1)
    for at in times:
        parts[min(TENTHS, int((at - began) / (calm - began) * TENTHS))] += 1
    return parts


async def _blow(scene: Scene, plan: Plan, began: float, seconds: float) -> None:
    """The storm itself; returns when its time is over and its last fault has ended."""
    async with asyncio.TaskGroup() as faults:
        for fault in plan.faults:
            await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
            faults.create_task(carry_out(scene, fault))
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))


async def _accepted(posting: asyncio.Task[None], options: Options) -> list[str]:
    """Let those who still post get through; what is to be complained of if they do not."""
    done, _ = await asyncio.wait({posting}, timeout=options.calm_seconds)
    if not done:
        return [f"every event is accepted within {options.calm_seconds:g} s of calm: some were not"]
    await posting
    return []


async def _settle(scene: Scene, plan: Plan, options: Options) -> Report:
    """Wait until nothing waits, end everything, and count."""
    waiting = await _quiet(scene, options)
    poison = await reading.poisoned(scene.side)
    if poison:
        await reading.release(scene.root, scene.environment, poison)
        waiting = await _quiet(scene, options)
    living = {worker.pid for worker in scene.workers}
    gone = ({pid for worker in scene.workers for pid in worker.pids} - living) | scene.stopped
    complaints = await _end(scene)
    remarks = _remarks(scene)
    accepted = {
        (ground.SOURCE, ground.event_id(posting)): frozenset(ground.recipients_of(posting.number, options))
        for posting in plan.postings
        if posting.number in scene.upstream.accepted
    }
    rows = await reading.deliveries(scene.side, poison)
    verdict = judge(accepted, rows, scene.server.kept_mail)
    return Report(
        options,
        verdict,
        injected=scene.injected,
        deeds=scene.server.done,
        answers=scene.upstream.answers,
        gone=len(gone),
        lost_answers=scene.server.lost_answers,
        cut_sessions=scene.cut_sessions,
        robbed_alive=sum(reading.alive(worker, gone) for row in rows for worker in row.workers),
        doubled_alive=sum(number for worker, number in verdict.robbed.items() if reading.alive(worker, gone)),
        complaints=complaints + scene.upstream.wrong,
        remarks=remarks,
        waiting=waiting,
        released=len(poison),
    )


async def _quiet(scene: Scene, options: Options) -> int:
    """Wait until nothing waits, moving clocks on while nothing is due; how much still waits at the end."""
    deadline = time.monotonic() + options.calm_seconds
    while True:
        look = await scene.watch.look()
        if not look.waiting or time.monotonic() > deadline:
            return look.waiting
        if not look.work and look.next_due is not None:
            ahead = (look.next_due - scene.clock.microseconds) / 1e6 + MARGIN
            scene.clock.set_offset(0, scene.clock.offset(0) + ahead)
        await asyncio.sleep(0.25)


async def _end(scene: Scene) -> list[str]:
    """Stop every process as its supervisor would; what is to be complained of."""
    parts = [scene.intake, *scene.workers]
    codes = await asyncio.gather(*(part.finish() for part in parts))
    return [
        f"{part.log.stem} ends with 0 when it is told to: it ended with {code}"
        for part, code in zip(parts, codes, strict=True)
        if code
    ]


def _remarks(scene: Scene) -> list[str]:
    """Tracebacks in the logs: no promise is broken by one, but nobody should have to read it."""
    found = []
    for part in (scene.intake, *scene.workers):
        text = part.log.read_text(encoding="utf-8", errors="replace")
        if number := text.count("Traceback (most"):
            last = text[text.index("Traceback (most") :].splitlines()
            what = next((line for line in last[1:] if line and not line.startswith(" ")), "?")
            found.append(f"{part.log.stem} logged {number} tracebacks; the first: {what[:160]}")
    return found


@asynccontextmanager
async def scene_in(folder: Path, options: Options) -> AsyncIterator[Scene]:
    """All parts, started and well; ended at the end, however that comes."""
    root = ground.lay_out(folder / "root", options)
    path = folder / "clock"
    FastClock.make(path, options.rate)
    async with AsyncExitStack() as stack:
        clock = FastClock(path)
        stack.callback(clock.close)
        side = await stack.enter_async_context(_SIDES[options.database](folder))
        valkey = Valkey(folder)
        stack.callback(valkey.kill)
        await valkey.start()
        redis = await stack.enter_async_context(Proxy(("127.0.0.1", valkey.port)))
        sessions = options.workers * options.connections
        pace = BUSY * sessions * options.seconds / options.deliveries
        server = await stack.enter_async_context(StormyServer(options.seed, min(pace, 1.0)))
        relay = await stack.enter_async_context(Proxy(("127.0.0.1", server.port)))
        token, sha256 = new_token(secrets.token_urlsafe)
        environment = _environment(options, folder, side, redis.port, relay.port, sha256)
        port = free_port()
        upstream = Upstream(f"http://127.0.0.1:{port}", token)
        stack.push_async_callback(upstream.close)

        def tended(slot: int, name: str, *arguments: str) -> Tended:
            command = (str(path), str(slot), "--root", str(root), *arguments)
            part = Tended(command, environment, folder / f"{name}.log")
            stack.push_async_callback(part.abandon)
            part.start()
            return part

        intake = tended(0, "intake", "serve", "--port", str(port))
        async with asyncio.timeout(START_SECONDS):
            await upstream.answers_again()
        workers = [tended(slot, f"worker-{slot}", "worker") for slot in range(1, options.workers + 1)]
        async with asyncio.timeout(START_SECONDS):
            while await side.rows("SELECT count(*) FROM workers") != [(len(workers),)]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        watch = Watch(side, clock)
        yield Scene(
            root, environment, clock, side, valkey, redis, server, relay, intake, workers, upstream, watch
        )


def _environment(
    options: Options, folder: Path, side: LedgerSide, redis: int, relay: int, sha256: str
) -> dict[str, str]:
    return {
        "DISPATCHER_STATE_DIR": str(folder / "state"),
        "DISPATCHER_DATABASE_URL": side.url,
        "DISPATCHER_REDIS_URL": f"redis://127.0.0.1:{redis}/0",
        "DISPATCHER_SMTP_URL": f"smtp://127.0.0.1:{relay}",
        "DISPATCHER_API_TOKENS": f"chaos:send+read:{sha256}",
        "DISPATCHER_LEASE_SECONDS": str(options.lease_seconds),
        "DISPATCHER_GRACE_SECONDS": str(options.grace_seconds),
        "DISPATCHER_SMTP_CONNECTIONS": str(options.connections),
    }
