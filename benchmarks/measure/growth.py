"""What grows with the number of recipients, and what must not: memory, and the cost of a message."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.harness import roots, sinks, system
from benchmarks.harness.figures import Goal, Row, Section
from benchmarks.measure.runs import Plan, crowd, first_mails, lay_out_first, once

_SMALL = 10_000
_MILLION = 1_000_000
_MOST_MB = 250.0
#: Readers of one instance: the number of variants grows as the number of recipients does.
_TOWN = 1_000
_SIZES = (1_000, 10_000)
#: The smallest size is measured so often: its second is too short for one look.
_REPEATS = 5


def memory(bench: Bench) -> Section:
    """The most that each process ever held, with 10,000 recipients and with all."""
    sizes = [_SMALL, max(_SMALL, bench.options.recipients)]
    if bench.options.million:
        sizes.append(_MILLION)
    peaks = {size: crowd(bench, Plan(size)).memory for size in dict.fromkeys(sizes)}
    small, large = min(peaks), max(peaks)
    rows = [
        Row(
            f"{name}: peak memory, {large:,} recipients",
            peak,
            "MB",
            peaks[small].get(name) if large > small else None,
            f"with {small:,}" if large > small else "",
            Goal(_MOST_MB, "at most"),
        )
        for name, peak in peaks[large].items()
        if peak > 1
    ]
    return Section(rows, {str(size): found for size, found in peaks.items()})


def cost(bench: Bench) -> Section:
    """CPU a message of one worker and the HTTP interface, once they are warm, by the number of recipients.

    Every instance has 1,000 readers who read the same, so that there are as many variants for each recipient
    at every size; with a fixed number of variants the smallest size would be their measurement.
    """
    # Whole towns: a row must not name more, or fewer, than were sent to.
    most = max(_TOWN, bench.options.recipients // _TOWN * _TOWN)
    sizes = [*_SIZES, most] + ([_MILLION] if bench.options.million else [])
    sizes = sorted(set(sizes))
    found: dict[int, float] = {}
    rates: dict[int, float] = {}
    for size in sizes:
        found[size], rates[size] = _cost(bench, size)
    base = found[sizes[0]]
    worst = max((abs(cost / base - 1) for cost in found.values()), default=0.0)
    rows = [Row(f"CPU a message, {size:,} recipients, one worker", us, "us") for size, us in found.items()]
    rows.append(
        Row(
            f"most that it differs from that at {sizes[0]:,}",
            worst * 100,
            "%",
            goal=Goal(15, "at most"),
            note="" if bench.options.million else f"up to {sizes[-1]:,}; --million goes on to 1,000,000",
        )
    )
    data = {
        "cpu_us_per_message": {str(size): us for size, us in found.items()},
        "messages_per_second": {str(size): rate for size, rate in rates.items()},
    }
    return Section(rows, data)


def _cost(bench: Bench, size: int) -> tuple[float, float]:
    """Microseconds of CPU a message, and messages per second."""
    towns = size // _TOWN
    with bench.place("cost") as folder, sinks.fastest(folder) as sink:
        root = roots.lay_out(folder / "root")
        roots.towns(root, towns, _TOWN, region="emea")
        lay_out_first(root, towns)
        with system.running(root, folder / "state", sink.port) as running:
            first_mails(running, sink, towns)
            repeats = _REPEATS if size <= _SIZES[0] else 1
            runs = [_again(running, sink, towns * _TOWN, towns) for _ in range(repeats)]
    number = sum(run[2] for run in runs)
    return sum(run[0] for run in runs) / number * 1e6, number / sum(run[1] for run in runs)


def _again(running: system.System, sink: sinks.Sink, number: int, towns: int) -> tuple[float, float, int]:
    run = once(running, sink, number, towns, {"region": "emea"})
    return run.cpu, run.seconds, number
