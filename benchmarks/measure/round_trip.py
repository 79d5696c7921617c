"""A relay that is 40 ms away: what one worker sends over it, and aiosmtplib over as many connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.harness import roots, sinks, system
from benchmarks.harness.figures import Goal, Row, Section
from benchmarks.harness.sink import Counts
from benchmarks.measure.runs import mail_size, once
from benchmarks.peers import sendmail

MILLISECONDS = 40
_CONNECTIONS = 8
_MESSAGES = 1_000


def round_trip(bench: Bench) -> Section:
    """Messages per second through a proxy that holds everything back for 20 ms each way."""
    size = mail_size(bench)
    with ExitStack() as stack:
        folder = stack.enter_context(bench.place("far"))
        sink = stack.enter_context(sinks.fastest(folder))
        root = roots.lay_out(folder / "root")
        roots.towns(root, 1, _MESSAGES)
        with _proxy(folder, sink, "ours") as (port, counts):
            variables = {"DISPATCHER_SMTP_CONNECTIONS": str(_CONNECTIONS)}
            with system.running(root, folder / "state", port, variables=variables) as running:
                run = once(running, sink, _MESSAGES, 1)
            sessions = counts.read()[3]
        with _proxy(folder, sink, "theirs") as (port, _):
            theirs = sendmail.rate(port, max(100, _MESSAGES // 4), size, sessions)
    row = Row(
        f"{MILLISECONDS} ms round trip, {sessions} connections, one worker, {_MESSAGES:,} recipients",
        run.rate,
        "messages/s",
        theirs,
        "aiosmtplib.sendmail over as many kept connections",
        Goal(1.8, of="ratio"),
        f"at most {_CONNECTIONS} by the settings; those that it really opened are compared",
    )
    return Section([row], {"ours": run.rate, "aiosmtplib": theirs, "sessions": sessions})


@contextmanager
def _proxy(folder: Path, sink: sinks.Sink, name: str) -> Iterator[tuple[int, Counts]]:
    """The proxy in front of a sink: its port, and how many connections it has seen."""
    counts = folder / f"proxy-{name}"
    shared = Counts(counts)
    arguments = [str(sink.port), str(MILLISECONDS), str(counts)]
    with sinks.helper("benchmarks.harness.delay", arguments) as port:
        yield port, shared
