"""``make bench``: every row of the table, against the recipe and its peers in the same run.

Figures are of this machine; ratios of this run are what travels. What the sink took, what the ledger says and
what was to be sent must be the same, or the measurement fails, and the whole with exit code 1. A goal that is
not met fails nothing.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.bench import Bench, Options
from benchmarks.harness import machine, results, sinks
from benchmarks.harness.clock import timed
from benchmarks.harness.figures import Section
from benchmarks.harness.publish import publish
from benchmarks.measure.end_to_end import end_to_end, peers
from benchmarks.measure.growth import cost, memory
from benchmarks.measure.intake import intake
from benchmarks.measure.latency import idle
from benchmarks.measure.lists import lists
from benchmarks.measure.render import render
from benchmarks.measure.round_trip import round_trip
from benchmarks.measure.runs import as_json
from benchmarks.measure.small_events import small_events
from benchmarks.measure.stages import stages
from benchmarks.measure.urgent import urgent
from benchmarks.measure.workers import workers

RESULTS = Path(__file__).parent / "results.json"
PART = RESULTS.with_name("results-part.json")
PLOT = RESULTS.with_suffix(".svg")
#: In this order: what others are compared with comes first.
MEASUREMENTS: dict[str, Callable[[Bench], Section]] = {
    "peers": peers,
    "end-to-end": end_to_end,
    "idle": idle,
    "urgent": urgent,
    "render": render,
    "small-events": small_events,
    "round-trip": round_trip,
    "intake": intake,
    "memory": memory,
    "cost": cost,
    "workers": workers,
    "lists": lists,
    "stages": stages,
}
#: Only when asked for: a profiler slows down what it looks at.
_EXTRA = {"stages"}
#: Measurements that are compared with the peers.
_COMPARED = {"end-to-end", "small-events"}
#: Sizes of which there may be none.
_MAY_BE_NONE = {"postgres"}
_HELP = {
    "recipients": "of the one event, and of the bulk mail that urgent mail overtakes",
    "postgres": "of the same on PostgreSQL; 0 leaves it out",
    "peers": "that each of the peers sends to",
    "events": "over HTTP, one a request; ten times as many in batches",
    "small": "events, each about an instance of its own with two recipients",
    "idle": "events while nothing else is to be done",
    "files": "recipient files that are read",
}


def _size(least: int) -> Callable[[str], int]:
    """Reads a number that is not below `least`; commas may stand in it, as the table writes it."""

    def read(text: str) -> int:
        with suppress(ValueError):
            if (number := int(text.replace(",", ""))) >= least:
                return number
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} on")

    return read


def options_of(arguments: list[str]) -> Options:
    """The sizes that the command line asks for."""
    parser = argparse.ArgumentParser(prog="make bench BENCH=…", description=__doc__)
    for name, words in _HELP.items():
        default = getattr(Options(), name)
        least = 0 if name in _MAY_BE_NONE else 1
        parser.add_argument(
            f"--{name}", type=_size(least), default=default, metavar="N", help=f"{words} ({default:,})"
        )
    parser.add_argument(
        "--million", action="store_true", help="memory and cost up to 1,000,000 recipients; takes long"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=sorted(MEASUREMENTS),
        metavar="NAME",
        help=f"one measurement, into {PART.name}; repeatable: {', '.join(MEASUREMENTS)}",
    )
    parser.add_argument(
        "--publish", action="store_true", help="alone: put the last run's figures into docs/performance.md"
    )
    given = vars(parser.parse_args(arguments))
    if given.pop("publish"):
        parser.error("--publish stands alone")
    return Options(**given | {"only": tuple(given["only"])})


def run(options: Options, folder: Path) -> dict[str, Section]:
    """All measurements that are asked for, in their order."""
    bench = Bench(options, folder)
    wanted = set(options.only) or set(MEASUREMENTS) - _EXTRA
    wanted |= {"peers"} if wanted & _COMPARED else set()
    console, sections = Console(stderr=True, highlight=False), {}
    for name, measure in MEASUREMENTS.items():
        if name not in wanted:
            continue
        with timed() as seconds:
            try:
                section = measure(bench)
            except Exception as error:  # noqa: BLE001 - the others are worth having
                section = Section(failure=f"{type(error).__name__}: {error}")
                traceback.print_exc()
            section.seconds = seconds()
        sections[name] = section
        console.print(f"{name}: {'failed' if section.failure else 'done'} after {section.seconds:.0f} s")
    # Several measurements share them, and the plot wants all.
    sections["runs"] = Section(data={"all": [as_json(made, plan) for plan, made in bench.runs.items()]})
    return sections


def main() -> int:
    """Run, print the table, keep the results and the plot beside this file; or publish those of before."""
    if sys.argv[1:] == ["--publish"]:
        publish(RESULTS, PART, PLOT)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that what was started is ended
    options = options_of(sys.argv[1:])
    began = datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="dispatcher-bench-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # smtp-sink runs as somebody else
        tools = [name for name in ("smtp-sink", "smtp-source") if sinks.program(name)]
        described = machine.describe(folder, tools or ["asyncio sink"])
        sections = run(options, folder)
    found = results.as_json(sections, described, asdict(options), began)
    results.show(sections, described)
    # A look at a part must not take the place of a whole run.
    written = PART if options.only else RESULTS
    written.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if not options.only:
        _plot(found)
    failed = [name for name, section in sections.items() if section.failure]
    print(
        f"{found['seconds']:.0f} s; {written.name} written"
        + (f"; failed: {', '.join(failed)}" * bool(failed))
    )
    return 1 if failed else 0


def _plot(found: dict[str, object]) -> None:
    try:
        from benchmarks.harness.plot import draw  # noqa: PLC0415 - without its library there is still a table
    except ImportError as error:
        print(f"No plot: {error}. Install the extra `bench`.")
        return
    draw(found, PLOT)


if __name__ == "__main__":
    raise SystemExit(main())
