"""How soon the first message of an event leaves when nothing else is to be done."""

from __future__ import annotations

import random
import time

from benchmarks.bench import Bench
from benchmarks.harness import roots, sinks, system
from benchmarks.harness.clock import percentile, wait_until
from benchmarks.harness.figures import Goal, Mismatch, Row, Section

_PEOPLE = 4
#: Not counted: templates are compiled, sessions opened.
_WARM = 5


def idle(bench: Bench) -> Section:
    """Accepted → first 250, one event at a time, with a pause of random length between two."""
    number = bench.options.idle
    pause = random.Random(4)
    with bench.place("idle") as folder, sinks.ours(folder, marker="@") as sink:
        root = roots.lay_out(folder / "root")
        roots.towns(root, 1, _PEOPLE)
        with system.running(root, folder / "state", sink.port, workers=1) as running:
            asked, accepted = [], []
            for one in range(number + _WARM):
                before = sink.taken()
                [sent] = running.send(running.event("unplanned-maintenance", ["town-0"]))
                if not wait_until(lambda: sink.taken() >= before + _PEOPLE, 30, 0.002):  # noqa: B023
                    raise Mismatch(f"event {one + 1} of an idle system was not sent within 30 s")
                first = sink.times()[before][0]
                if one >= _WARM:
                    asked.append((first - sent.asked) * 1000)
                    # Work goes on while the answer travels: what was sent before it arrived took no time.
                    accepted.append(max(0.0, first - sent.accepted) * 1000)
                time.sleep(pause.uniform(0.05, 0.15))
            running.all_sent(sent.id, _PEOPLE)
        if sink.taken() != (number + _WARM) * _PEOPLE:
            raise Mismatch(f"the sink took {sink.taken()} messages of {(number + _WARM) * _PEOPLE}")
    what = f"idle: accepted → first 250, {number} events"
    return Section(
        rows=[
            Row(f"{what}, p50", percentile(accepted, 50), "ms", goal=Goal(50, "at most")),
            Row(f"{what}, p99", percentile(accepted, 99), "ms", goal=Goal(150, "at most")),
            Row("the same from the request on, p50", percentile(asked, 50), "ms"),
            Row("the same from the request on, p99", percentile(asked, 99), "ms"),
        ],
        data={"from_acceptance_ms": accepted, "from_request_ms": asked},
    )
