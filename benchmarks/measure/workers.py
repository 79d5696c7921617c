"""One worker, two, and eight that a slow relay keeps waiting."""

from __future__ import annotations

import time

from benchmarks.bench import Bench
from benchmarks.harness import roots, sinks, system
from benchmarks.harness.clock import wait_until
from benchmarks.harness.figures import Goal, Mismatch, Row, Section
from benchmarks.measure.runs import Plan, crowd

_FLEET = 8
#: What the slow relay takes for each message, and the connections of each worker: the relay is the limit.
_DELAY_MS = 50.0
_CONNECTIONS = 4
_EACH = 400


def workers(bench: Bench) -> Section:
    """Messages per second of two workers against one, and of eight against a relay that takes its time."""
    size = min(20_000, bench.options.recipients)
    one, two = (crowd(bench, Plan(size, workers=number)).rate for number in (1, 2))
    single, fleet = _slow(bench, 1), _slow(bench, _FLEET)
    each = f"{_CONNECTIONS} connections a worker, half of them for urgent mail"
    relay = f"a relay that takes {_DELAY_MS:g} ms a message, {each}"
    return Section(
        rows=[
            Row(
                f"two workers, one event, {size:,} recipients",
                two,
                "messages/s",
                one,
                "one worker",
                Goal(1.7, of="ratio"),
                "the sink, the HTTP process and Valkey share the same cores",
            ),
            Row(
                f"{_FLEET} workers, {relay}",
                fleet,
                "messages/s",
                single,
                "one worker",
                Goal(_FLEET * 0.85, of="ratio"),
                "between a tenth and three quarters of the messages",
            ),
        ],
        data={"one": one, "two": two, "slow_relay": {"1": single, str(_FLEET): fleet}},
    )


def _slow(bench: Bench, number: int) -> float:
    """Messages per second while all workers are at it: neither the beginning nor the end counts."""
    people = _EACH * number
    with bench.place("slow") as folder, sinks.ours(folder, marker="@", delay=_DELAY_MS) as sink:
        root = roots.lay_out(folder / "root")
        roots.towns(root, 1, people)
        variables = {"DISPATCHER_SMTP_CONNECTIONS": str(_CONNECTIONS)}
        with system.running(
            root, folder / "state", sink.port, workers=number, variables=variables
        ) as running:
            running.settle()
            [sent] = running.send(running.event("planned-maintenance", "all"))
            if not wait_until(lambda: sink.taken() >= people, 120):
                raise Mismatch(f"the {sink.name} took {sink.taken():,} of {people:,} messages in 120 s")
            running.all_sent(sent.id, people)
            time.sleep(0.3)
        moments = [moment for moment, _ in sink.times()]
    if len(moments) != people:
        raise Mismatch(f"the {sink.name} took {len(moments):,} messages; {people:,} were to be sent")
    first, last = people // 10, people * 3 // 4
    return (last - first) / (moments[last] - moments[first])
