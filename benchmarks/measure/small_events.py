"""Many small events: as many instances, each with dates of its own and two recipients."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from benchmarks.bench import Bench
from benchmarks.harness import roots, sinks, system
from benchmarks.harness.figures import Goal, Row, Section
from benchmarks.measure.runs import first_mails, lay_out_first

_PEOPLE = 2
#: With texts in nine languages a hundred are what one request may hold.
_BATCH = 100


def small_events(bench: Bench) -> Section:
    """Messages per second from the first request to the last 250, two workers."""
    number = bench.options.small
    with bench.place("small") as folder, sinks.fastest(folder) as sink:
        root = roots.lay_out(folder / "root")
        roots.towns(root, number, _PEOPLE)
        lay_out_first(root, number)
        with system.running(root, folder / "state", sink.port, workers=2) as running:
            first_mails(running, sink, number)
            before = sink.taken()
            base = datetime.now(UTC) + timedelta(days=14)
            events = []
            for one in range(number):
                start = base + timedelta(minutes=7 * one)
                window = {"start": start.isoformat(), "end": (start + timedelta(hours=3)).isoformat()}
                events.append(running.event("planned-maintenance", [f"town-{one}"], **window))
            cpu, began = running.cpu(), time.monotonic()
            sent = [
                one
                for first in range(0, number, _BATCH)
                for one in running.send(*events[first : first + _BATCH])
            ]
            seconds = sinks.expect(sink, before + number * _PEOPLE, 120 + number / 5) - began
            used = running.cpu() - cpu
            for event in sent[:: max(1, number // 50)]:
                running.all_sent(event.id, _PEOPLE)
            memory = running.peak_memory()
    rate = number * _PEOPLE / seconds
    row = Row(
        f"{number:,} instances, each its own dates, {_PEOPLE} recipients each, two workers",
        rate,
        "messages/s",
        bench.figures.get("recipe"),
        "recipe",
        Goal(10, of="ratio"),
        f"in batches of {_BATCH}; every {max(1, number // 50)}th event checked in the ledger",
    )
    data = {"events": number, "messages_per_second": rate, "memory_mb": memory}
    return Section(
        [row, Row("CPU of all its processes an event", used / number * 1e3, "ms")],
        data | {"cpu_ms_per_event": used / number * 1e3},
    )
