"""Each kind of fault, done to the scene of a storm."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from proxy import Proxy

from chaos.fastclock import FastClock
from chaos.ledgers import LedgerSide
from chaos.plan import Fault, Kind
from chaos.posting import START_SECONDS, Upstream
from chaos.processes import Tended
from chaos.relay import StormyServer
from chaos.valkey import Valkey
from chaos.watch import Watch


@dataclass(slots=True)
class Scene:
    """All that can be hurt.

    Attributes:
        root: The program's root.
        environment: The program's settings.
        injected: How many faults of which kind have really happened; one that met a process that was just
            being started has not.
        stopped: The pids of workers that were suspended.
        cut_sessions: SMTP sessions that the faults of the relay's proxy ended.
    """

    root: Path
    environment: dict[str, str]
    clock: FastClock
    side: LedgerSide
    valkey: Valkey
    redis: Proxy
    server: StormyServer
    relay: Proxy
    intake: Tended
    workers: list[Tended]
    upstream: Upstream
    watch: Watch
    injected: Counter[str] = field(default_factory=Counter)
    stopped: set[int] = field(default_factory=set)
    cut_sessions: int = 0

    async def calm(self) -> None:
        """End everything that is wrong."""
        self.server.moody = False
        for worker in self.workers:
            worker.signal(signal.SIGCONT)
        for proxy in filter(None, (self.redis, self.relay, self.side.proxy)):
            await proxy.restore()
        await self.valkey.mended()
        for slot in range(1, len(self.workers) + 1):
            self.clock.set_offset(slot, 0.0)


async def carry_out(scene: Scene, fault: Fault) -> None:
    """Let one fault happen, from its beginning to its end."""
    if await _DO[fault.kind](scene, fault):
        scene.injected[fault.kind] += 1


async def _worker_signal(scene: Scene, fault: Fault, number: int) -> int | None:
    pid = scene.workers[fault.number].signal(number)
    if pid is not None:
        scene.watch.worker_gone(fault.kind, pid)
    return pid


async def _kill(scene: Scene, fault: Fault) -> bool:
    return await _worker_signal(scene, fault, signal.SIGKILL) is not None


async def _term(scene: Scene, fault: Fault) -> bool:
    return await _worker_signal(scene, fault, signal.SIGTERM) is not None


async def _term_twice(scene: Scene, fault: Fault) -> bool:
    worker = scene.workers[fault.number]
    pid = await _worker_signal(scene, fault, signal.SIGTERM)
    await asyncio.sleep(fault.seconds)
    if pid is None or worker.pid != pid:
        return pid is not None
    worker.signal(signal.SIGTERM)
    return True


async def _stop(scene: Scene, fault: Fault) -> bool:
    pid = await _worker_signal(scene, fault, signal.SIGSTOP)
    if pid is None:
        return False
    scene.stopped.add(pid)
    await asyncio.sleep(fault.seconds)
    scene.workers[fault.number].signal(signal.SIGCONT)
    return True


async def _jump(scene: Scene, fault: Fault) -> bool:
    slot = fault.number + 1
    scene.clock.set_offset(slot, fault.amount)
    scene.watch.outage_over(fault.kind)
    return True


async def _kill_intake(scene: Scene, fault: Fault) -> bool:
    if scene.intake.signal(signal.SIGKILL) is None:
        return False
    async with asyncio.timeout(START_SECONDS):
        scene.watch.took(fault.kind, await scene.upstream.answers_again())
    return True


async def _flush(scene: Scene, fault: Fault) -> bool:
    done = await scene.valkey.command("FLUSHALL")
    scene.watch.outage_over(fault.kind)
    return done


async def _restart(scene: Scene, fault: Fault) -> bool:
    scene.valkey.kill()
    await asyncio.sleep(fault.seconds)
    await scene.valkey.start()
    scene.watch.outage_over(fault.kind)
    return True


def _refusing(begin: Callable[[Valkey], Awaitable[bool]]) -> Callable[[Scene, Fault], Awaitable[bool]]:
    async def do(scene: Scene, fault: Fault) -> bool:
        done = await begin(scene.valkey)
        await asyncio.sleep(fault.seconds)
        await scene.valkey.mended()
        scene.watch.outage_over(fault.kind)
        return done

    return do


def _proxied(
    which: Callable[[Scene], Proxy | None], begin: Callable[[Proxy], Awaitable[None]]
) -> Callable[[Scene, Fault], Awaitable[bool]]:
    async def do(scene: Scene, fault: Fault) -> bool:
        proxy = which(scene)
        assert proxy is not None
        before = proxy.open
        await begin(proxy)
        await asyncio.sleep(fault.seconds)
        await proxy.restore()
        if fault.kind in {"relay-cut", "relay-down"}:
            scene.cut_sessions += before
        scene.watch.outage_over(fault.kind)
        return True

    return do


async def _lock(scene: Scene, fault: Fault) -> bool:
    await scene.side.lock(fault.seconds)
    scene.watch.outage_over(fault.kind)
    return True


async def _stall(proxy: Proxy) -> None:
    proxy.stall()


async def _cut(proxy: Proxy) -> None:
    proxy.cut()


async def _cut_and_refuse(proxy: Proxy) -> None:
    await proxy.refuse()
    proxy.cut()


_DO: dict[Kind, Callable[[Scene, Fault], Awaitable[bool]]] = {
    "worker-kill": _kill,
    "worker-stop": _stop,
    "worker-term": _term,
    "worker-term-twice": _term_twice,
    "clock-jump": _jump,
    "intake-kill": _kill_intake,
    "redis-flush": _flush,
    "redis-restart": _restart,
    "redis-full": _refusing(Valkey.full),
    "redis-readonly": _refusing(Valkey.read_only),
    "redis-stall": _proxied(lambda scene: scene.redis, _stall),
    "redis-cut": _proxied(lambda scene: scene.redis, _cut),
    "relay-down": _proxied(lambda scene: scene.relay, _cut_and_refuse),
    "relay-stall": _proxied(lambda scene: scene.relay, _stall),
    "relay-cut": _proxied(lambda scene: scene.relay, _cut),
    "ledger-lock": _lock,
    "ledger-cut": _proxied(lambda scene: scene.side.proxy, _cut_and_refuse),
    "ledger-stall": _proxied(lambda scene: scene.side.proxy, _stall),
}
