"""The bench's own arithmetic: order statistics, verdicts, roots and the form of what it writes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.__main__ import options_of
from benchmarks.bench import Bench, Options
from benchmarks.harness import publish, results, roots, system
from benchmarks.harness.clock import percentile
from benchmarks.harness.figures import Goal, Row, Section
from benchmarks.harness.sink import Book, Counts
from benchmarks.measure import growth, runs
from benchmarks.measure.lists import lists
from dispatcher.files.source import MAX_BYTES

ROWS = [
    Row("fast enough", 300.0, "messages/s", 10.0, "the recipe", Goal(25, of="ratio")),
    Row("too late", 151.0, "ms", goal=Goal(150, "at most")),
    Row("only told", 12.0, "us"),
    Row("nothing to compare with", 300.0, "messages/s", goal=Goal(25, of="ratio")),
]


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 2), (75, 3), (99, 4), (100, 4)])
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    """The nearest rank counts; nothing is interpolated, and the order does not matter."""
    assert percentile([3, 1, 4, 2], percent) == value


def test_there_is_no_percentile_of_nothing() -> None:
    """A measurement without values fails rather than showing a figure."""
    with pytest.raises(ValueError, match="99th percentile of 0 values"):
        percentile([], 99)


def test_a_row_is_held_to_its_goal() -> None:
    """A goal is of the figure or of the ratio; without either there is no verdict."""
    assert [row.met for row in ROWS] == [True, False, None, None]
    assert [row.ratio for row in ROWS] == [30.0, None, None, None]


def test_the_table_shows_figure_ratio_goal_and_verdict() -> None:
    """What is printed names each of them, and a measurement that failed."""
    sections = {"end-to-end": Section(rows=ROWS), "idle": Section(failure="Mismatch: 4 of 5 messages")}
    console = Console(file=io.StringIO(), width=160)

    console.print(results.table(sections))

    assert isinstance(console.file, io.StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert "fast enough 300 messages/s 30 × ≥ 25 × met × the recipe" in lines
    assert "too late 151 ms ≤ 150 ms not met" in lines
    assert "failed: Mismatch: 4 of 5 messages" in lines


def test_results_have_the_form_that_their_readers_expect() -> None:
    """What is written is plain JSON with every key of every row; what lacks one is told."""
    sections = {"end-to-end": Section(rows=ROWS, data={"runs": [1.5]}, seconds=2.0)}
    written = results.as_json(sections, {"cores": 2}, {"recipients": 10}, "2027-03-01T09:30:00+00:00")

    read = json.loads(json.dumps(written))
    assert results.problems(read) == []
    del read["measurements"]["end-to-end"]["rows"][0]["met"], read["machine"]
    assert results.problems(read) == ["machine is missing", "end-to-end: fast enough: met is missing"]


def test_figures_take_the_place_of_older_ones() -> None:
    """What is published stands between the marks of a page, and the rest of it stays."""
    sections = {"end-to-end": Section(rows=ROWS[:2])}
    machine = {
        "processor": "P",
        "cores": 2,
        "memory_gb": 8,
        "system": "Linux",
        "disk": "ext4",
        "python": "3.11",
        "sqlite": "3.40.1",
        "load_before": 0.1,
        "commit": "1a2b3c4",
    }
    run = results.as_json(sections, machine | {"tools": ["smtp-sink"]}, {}, "2027-03-01T09:30:00+00:00")
    page = "Before\n<!-- figures -->\nold\n<!-- end -->\nafter <!-- end -->\n"

    text = publish.replaced(page, "figures", publish.figures(json.loads(json.dumps(run))))

    assert "| fast enough | 300 messages/s | 30 × the recipe | ≥ 25 × | yes |\n" in text
    assert "| too late | 151 ms |  | ≤ 150 ms | **no** |\n<!-- end -->\nafter" in text
    assert text.startswith("Before\n<!-- figures -->\nMeasured on 2027-03-01")
    assert "SQLite 3.40.1, smtp-sink; load before 0.1, commit 1a2b3c4.\n" in text
    assert "old" not in text


def test_a_crowd_fills_as_few_files_as_may_be(tmp_path: Path) -> None:
    """Every reader is there once, in all languages and zones, and each file is as large as it may be."""
    root = roots.lay_out(tmp_path / "root")

    number = roots.crowd(root, 40_000)

    files = sorted((root / "recipients").glob("*.yaml"))
    sizes = [file.stat().st_size for file in files]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert len(files) == number
    assert max(sizes) <= MAX_BYTES
    assert sorted(sizes)[1] > MAX_BYTES - 1000
    assert text.count("@crowd.example") == 40_000
    assert all(f"language: {one}," in text for one in roots.LANGUAGES)
    assert all(f"time_zone: {one}}}" in text for one in roots.ZONES)


def test_a_sink_counts_across_processes(tmp_path: Path) -> None:
    """What a sink has taken is read through the same file; the times of marked recipients are kept."""
    times = io.StringIO()
    book = Book(Counts(tmp_path / "counts"), times, b"@town-0.", 0.0)

    book.session(1)
    book.session(1)
    book.session(-1)
    book.taken(100, b"p1@town-0.example")
    book.taken(50, b"p1@town-1.example")

    assert Counts(tmp_path / "counts").read() == (2, 150, 1, 2)
    assert times.getvalue().split()[1:] == ["p1@town-0.example"]


def test_sizes_are_read_as_the_table_writes_them() -> None:
    """Commas may stand in a number, and only what is optional may be left out by 0."""
    options = options_of(["--recipients", "20,000", "--postgres", "0", "--only", "idle", "--only", "lists"])

    assert options == Options(recipients=20_000, postgres=0, only=("idle", "lists"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipients", "0"], "'0' is no number from 1 on"),
        (["--idle", "-3"], "'-3' is no number from 1 on"),
        (["--files", "many"], "'many' is no number from 1 on"),
        (["--postgres", "-1"], "'-1' is no number from 0 on"),
        (["--only", "idel"], "invalid choice: 'idel'"),
        (["--publish", "--files", "3"], "--publish stands alone"),
    ],
)
def test_sizes_that_measure_nothing_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything runs, with the option, what was given and what may be."""
    with pytest.raises(SystemExit, match="2"):
        options_of(arguments)

    assert words in capsys.readouterr().err


def test_without_a_whole_run_there_is_nothing_to_publish(tmp_path: Path) -> None:
    """The way out is named, rather than a file that is missing."""
    with pytest.raises(SystemExit, match="comes from `make bench` without --only"):
        publish.publish(tmp_path / "results.json", tmp_path / "part.json", tmp_path / "results.svg")


def test_one_recipient_file_is_enough_to_measure(tmp_path: Path) -> None:
    """The smallest size works as the others do."""
    section = lists(Bench(Options(files=1), tmp_path))

    assert [row.figure > 0 for row in section.rows] == [True, True, True]


def test_the_cost_is_told_for_as_many_as_were_sent_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers come in towns of 1,000: a row names whole towns, not what the option said."""
    asked: list[int] = []

    def measured(_: Bench, size: int) -> tuple[float, float]:
        asked.append(size)
        return 100.0, 10.0

    monkeypatch.setattr(growth, "_cost", measured)

    section = growth.cost(Bench(Options(recipients=25_500), tmp_path))

    assert asked == [1_000, 10_000, 25_000]
    assert "25,000 recipients" in section.rows[2].what


def test_memory_is_not_compared_with_itself(tmp_path: Path) -> None:
    """Without a larger size there is a figure and a goal, but no ratio."""
    bench = Bench(Options(recipients=500), tmp_path)
    bench.runs[runs.Plan(10_000)] = runs.Run(10_000, 1.0, 0.1, 1.0, {"serve": 120.0}, 1, "smtp-sink")

    [row] = growth.memory(bench).rows

    assert (row.ratio, row.against, row.met) == (None, "", True)


def test_the_cpu_of_what_a_process_started_counts(tmp_path: Path) -> None:
    """As the Valkey of a worker does."""
    work = "sum(range(10**7)); print(flush=True); import time; time.sleep(60)"
    code = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}], stdin=subprocess.DEVNULL)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        running = system.System(tmp_path, {"worker 1": process})
        whole, children = running.cpu(), system._children(process.pid)
        alone = system._cpu(process.pid)
        for pid in [*children, process.pid]:
            subprocess.run(["kill", str(pid)], check=True)

    assert children
    assert whole > alone + 0.05
