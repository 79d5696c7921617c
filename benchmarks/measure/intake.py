"""Events over HTTP, one process that takes them, the client on the same machine."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import orjson

from benchmarks.bench import Bench
from benchmarks.harness import http_client, roots, sinks, system
from benchmarks.harness.figures import Goal, Mismatch, Row, Section

_CONNECTIONS, _BATCH_CONNECTIONS = 16, 2
#: Not counted: connections and templates of the process that takes them.
_WARM = 100
#: The most that one request may hold.
_BATCH = 1_000
_TIMES = 10


def intake(bench: Bench) -> Section:
    """Events per second: one a request, and 1,000 a request.

    Nobody is mailed about them, so that a worker has next to nothing to do with what is measured: the type's
    mail is sent only where there is downtime, and these have none.
    """
    number = bench.options.events
    with bench.place("intake") as folder, sinks.ours(folder) as sink:
        root = roots.lay_out(folder / "root")
        roots.towns(root, 20, 5)
        state = folder / "state"
        with system.running(root, state, sink.port) as running:
            bodies = _bodies(running, _WARM + number, 1)
            _post(running, bodies[:_WARM], 1)
            cpu = running.cpu()
            single = number / _post(running, bodies[_WARM:], 1)
            used = running.cpu() - cpu
            batches = number * _TIMES / _post(running, _bodies(running, number * _TIMES, _BATCH), _BATCH)
            memory = running.peak_memory()
        events = _events(state / "ledger.db")
    wanted = _WARM + number + number * _TIMES
    if events != wanted:
        raise Mismatch(f"the ledger has {events:,} events; {wanted:,} were accepted")
    return Section(
        rows=[
            Row(
                f"{number:,} events over HTTP, one a request, nobody to be mailed",
                single,
                "events/s",
                goal=Goal(500),
                note=f"{_CONNECTIONS} connections",
            ),
            Row(
                f"{number * _TIMES:,} events, {_BATCH:,} a request, nobody to be mailed",
                batches,
                "events/s",
                goal=Goal(10_000),
                note=f"{_BATCH_CONNECTIONS} connections",
            ),
        ],
        data={
            "single_per_second": single,
            "batches_per_second": batches,
            "cpu_ms_per_single": used / number * 1e3,
            "memory_mb": memory,
        },
    )


def _bodies(running: system.System, number: int, batch: int) -> list[bytes]:
    events = [running.event("security-update", [f"town-{one % 20}"], downtime=False) for one in range(number)]
    if batch == 1:
        return [orjson.dumps(event) for event in events]
    return [orjson.dumps(events[first : first + batch]) for first in range(0, number, batch)]


def _post(running: system.System, bodies: list[bytes], batch: int) -> float:
    kind = f"application/cloudevents{'-batch' if batch > 1 else ''}+json"
    connections = _CONNECTIONS if batch == 1 else _BATCH_CONNECTIONS
    return http_client.post(running.port, "/v1/events", kind, bodies, connections)


def _events(ledger: Path) -> int:
    connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    try:
        [number] = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(number)
    finally:
        connection.close()
