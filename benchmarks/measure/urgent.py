"""An urgent event while a crowd's bulk mail is under way."""

from __future__ import annotations

import time

from benchmarks.bench import Bench
from benchmarks.harness import roots, sinks, system
from benchmarks.harness.clock import percentile, wait_until
from benchmarks.harness.figures import Goal, Mismatch, Row, Section

PEOPLE = 100
_PAUSE_SECONDS = 0.25
_TOWN = "town-0"


def urgent(bench: Bench) -> Section:
    """Accepted → the last of 100 recipients, one event after the other while bulk mail flows."""
    number = bench.options.recipients
    with bench.place("urgent") as folder, sinks.ours(folder, marker=f"@{_TOWN}.") as sink:
        root = roots.lay_out(folder / "root")
        instances = roots.crowd(root, number)
        roots.towns(root, 1, PEOPLE)
        crowd = [f"crowd-{one + 1}" for one in range(instances)]
        with system.running(root, folder / "state", sink.port, workers=2) as running:
            _warm(running, sink)
            [bulk] = running.send(running.event("general-awareness", crowd))
            if not wait_until(lambda: sink.taken() >= PEOPLE + 500, 60):
                raise Mismatch("no bulk mail was sent within 60 s")
            waited: list[float] = []
            total = PEOPLE + number  # with all urgent events that have gone before
            while sink.taken() < total - 1000:
                waited.append(_one(running, sink, len(waited) + 1) * 1000)
                total += PEOPLE
                time.sleep(_PAUSE_SECONDS)
            sinks.expect(sink, total, 60 + number / 100)
            running.all_sent(bulk.id, number)
    if not waited:
        raise Mismatch("the bulk mail was over before one urgent event was: give more --recipients")
    what = f"urgent during {number:,} bulk: accepted → its last of {PEOPLE}, {len(waited)} events"
    few = f"the worst of {len(waited)}" if len(waited) < 100 else ""
    return Section(
        rows=[
            Row(f"{what}, p50", percentile(waited, 50), "ms"),
            Row(f"{what}, p99", percentile(waited, 99), "ms", goal=Goal(1000, "at most"), note=few),
        ],
        data={"from_acceptance_ms": waited},
    )


def _warm(running: system.System, sink: sinks.OurSink) -> None:
    running.send(running.event("unplanned-maintenance", [_TOWN]))
    sinks.expect(sink, PEOPLE, 30)


def _one(running: system.System, sink: sinks.OurSink, number: int) -> float:
    """Seconds from the acceptance of the `number`th urgent event to its last 250."""
    [sent] = running.send(running.event("unplanned-maintenance", [_TOWN]))
    wanted = PEOPLE * (number + 1)
    if not wait_until(lambda: len(sink.times()) >= wanted, 60, 0.02):
        raise Mismatch(f"an urgent event was not sent within 60 s; {len(sink.times())} of {wanted} were")
    return max(0.0, sink.times()[wanted - 1][0] - sent.accepted)
