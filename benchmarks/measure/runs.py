"""One event to a crowd, from the request that hands it in to the last 250; several measurements read it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.harness import postgres, roots, sinks, system

#: A run that is slower than this many messages a second is broken.
_SLOWEST = 100.0
#: Of what goes before, uncounted: events, and towns of so many readers, one for each language.
_WARM, _LANGUAGES, _READERS = 5, 9, 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run."""

    recipients: int
    workers: int = 2
    database: str = "sqlite"


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it.

    Attributes:
        seconds: From the request with the event to the last 250.
        first: From the event's acceptance to the moment when the first 250 was seen, in seconds.
        cpu: Seconds of CPU of workers, their Valkey and HTTP interface meanwhile.
        memory: The most memory of each process, in MB.
        instances: Over how many instances the readers were spread.
        sink: Which sink took the messages.
    """

    recipients: int
    seconds: float
    first: float
    cpu: float
    memory: dict[str, float]
    instances: int
    sink: str

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.recipients / self.seconds


def crowd(bench: Bench, plan: Plan) -> Run:
    """The run of this plan; done once.

    Raises:
        Mismatch: The sink or the ledger counted something else than what was to be sent.
    """
    if plan not in bench.runs:
        bench.runs[plan] = _crowd(bench, plan)
    return bench.runs[plan]


def _crowd(bench: Bench, plan: Plan) -> Run:
    with ExitStack() as stack:
        folder = stack.enter_context(bench.place("crowd"))
        root = roots.lay_out(folder / "root")
        instances = roots.crowd(root, plan.recipients)
        lay_out_first(root, 0)
        sink = stack.enter_context(sinks.fastest(folder))
        variables = {}
        if plan.database == "postgresql":
            variables["DISPATCHER_DATABASE_URL"] = stack.enter_context(postgres.database())
        running = stack.enter_context(
            system.running(root, folder / "state", sink.port, workers=plan.workers, variables=variables)
        )
        first_mails(running, sink, 0)
        return once(running, sink, plan.recipients, instances, {"region": "emea"})


def lay_out_first(root: Path, first: int) -> None:
    """A town of each language, from that number on, for `first_mails`."""
    roots.towns(root, _LANGUAGES, _READERS, first=first, region="japan")


def first_mails(running: system.System, sink: sinks.Sink, first: int) -> None:
    """Have the system at rest and its first mails of the type sent, uncounted: the others are warm as well.

    Several events, so that each worker expands some.
    """
    running.settle()
    before = sink.taken()
    for number in range(_WARM):
        running.send(
            running.event("planned-maintenance", [f"town-{first + one}" for one in range(_LANGUAGES)])
        )
        sinks.expect(sink, before + (number + 1) * _LANGUAGES * _READERS, 60)


def once(
    running: system.System,
    sink: sinks.Sink,
    recipients: int,
    instances: int,
    selection: Mapping[str, str] | str = "all",
) -> Run:
    """One event to all instances, or to a region, on a system that runs and sends nothing else.

    Raises:
        Mismatch: The sink or the ledger counted something else.
    """
    event = running.event("planned-maintenance", selection)
    before, cpu = sink.taken(), running.cpu()
    [sent] = running.send(event)
    while sink.taken() == before and time.monotonic() < sent.accepted + 60:
        time.sleep(0.005)
    first = time.monotonic() - sent.accepted
    end = sinks.expect(sink, before + recipients, 60 + recipients / _SLOWEST)
    used = running.cpu() - cpu
    running.all_sent(sent.id, recipients)
    return Run(recipients, end - sent.asked, first, used, running.peak_memory(), instances, sink.name)


def mail_size(bench: Bench) -> float:
    """The mean size in bytes of the mails of such an event, in all languages and zones."""
    if "mail size" not in bench.figures:
        with bench.place("size") as folder, sinks.ours(folder) as sink:
            root = roots.lay_out(folder / "root")
            roots.crowd(root, 180)
            with system.running(root, folder / "state", sink.port) as running:
                once(running, sink, 180, 1)
            bench.figures["mail size"] = sink.mean_size()
    return bench.figures["mail size"]


def as_json(run: Run, plan: Plan) -> dict[str, object]:
    """For the results."""
    return {
        "recipients": plan.recipients,
        "workers": plan.workers,
        "database": plan.database,
        "instances": run.instances,
        "sink": run.sink,
        "seconds": run.seconds,
        "messages_per_second": run.rate,
        "first_after_seconds": run.first,
        "cpu_us_per_message": run.cpu / run.recipients * 1e6,
        "memory_mb": run.memory,
    }
