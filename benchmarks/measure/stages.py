"""Where a message's time goes: CPU of one worker by its stages, as py-spy sees it and the kernel counts it.

The kernel says how much CPU each thread has used; py-spy's samples say for what. Only the two together are
true: a sample does not tell a thread that works from one that waits inside SQLite for the disk.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.harness import roots, sinks, system
from benchmarks.harness.figures import Row, Section
from benchmarks.measure.runs import first_mails, lay_out_first, once

_MOST = 30_000
_SAMPLES_PER_SECOND = 200
#: The first whose pattern is anywhere in a sample's stack names its stage.
_STAGES = (
    ("making bytes for the reader", r"flow/compose\.py|mail/message\.py:finish"),
    ("SMTP", r"dispatcher/smtp/|aiosmtplib/"),
    ("ledger: statements and rows, beside its thread", r"dispatcher/ledger/|sqlalchemy/|aiosqlite/"),
    (
        "content: readers, templates, variants",
        r"flow/(?!deliver|drain|attempt)\w+\.py|dispatcher/(mail|files)/",
    ),
    ("bookkeeping of what is under way", r"dispatcher/flow/"),
    ("arq and Redis", r"arq/|redis/|dispatcher/queue/"),
)
_REST = "event loop, timers, the rest"
_SQLITE = "SQLite in its thread"
_THREADS = "content: readers, templates, variants"


def stages(bench: Bench) -> Section:
    """Microseconds of CPU a message by stage, one worker, one event to a crowd."""
    spy = shutil.which(
        "py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if spy is None:
        return Section(failure="py-spy is not installed; the extra `bench` has it")
    size = min(_MOST, bench.options.recipients)
    with bench.place("stages") as folder, sinks.fastest(folder) as sink:
        root = roots.lay_out(folder / "root")
        towns = roots.crowd(root, size)
        lay_out_first(root, 0)
        with system.running(root, folder / "state", sink.port) as running:
            first_mails(running, sink, 0)
            pid = running.processes["worker 1"].pid
            before = _threads(pid)
            raw = folder / "samples"
            options = [
                "-p",
                str(pid),
                "-f",
                "raw",
                "-r",
                str(_SAMPLES_PER_SECOND),
                "-d",
                "3600",
                "-o",
                str(raw),
            ]
            quiet = subprocess.DEVNULL
            with subprocess.Popen(
                [spy, "record", "--threads", *options], stdout=quiet, stderr=quiet
            ) as process:
                run = once(running, sink, size, towns, {"region": "emea"})
                process.send_signal(signal.SIGINT)
            after = _threads(pid)
            databases = _databases(spy, pid)
        samples = raw.read_text(encoding="utf-8").splitlines()
    used = {tid: cpu - before.get(tid, 0.0) for tid, cpu in after.items()}
    return _section(_split(samples, used, pid, databases), size, run.rate)


def _section(seconds: dict[str, float], size: int, rate: float) -> Section:
    total = sum(seconds.values())
    rows = [
        Row(f"CPU a message: {stage}", cost / size * 1e6, "us", note=f"{cost / total:.0%}")
        for stage, cost in sorted(seconds.items(), key=lambda pair: -pair[1])
    ]
    rows.append(Row("all of the worker", total / size * 1e6, "us", note=f"{rate:,.0f} messages/s"))
    return Section(rows, {stage: cost / size * 1e6 for stage, cost in seconds.items()})


def _split(samples: list[str], used: dict[int, float], pid: int, databases: set[int]) -> dict[str, float]:
    """Seconds of CPU by stage: the main thread's by its samples, others' by what they are for."""
    seen: Counter[str] = Counter()
    for line in samples:
        stack, _, count = line.rpartition(" ")
        if "MainThread" in stack.partition(";")[0]:
            seen[_stage(stack)] += int(count)
    seconds = {stage: used[pid] * count / seen.total() for stage, count in seen.items()}
    for tid, cpu in used.items():
        if tid != pid:
            stage = _SQLITE if tid in databases else _THREADS
            seconds[stage] = seconds.get(stage, 0.0) + cpu
    return seconds


def _stage(stack: str) -> str:
    # Frames are "function (path:line)"; a pattern may name the function after the path.
    frames = re.sub(r"([^;(]+) \(([^;:)]+)(?::\d+)?\)", r"\2:\1", stack)
    return next((stage for stage, pattern in _STAGES if re.search(pattern, frames)), _REST)


def _threads(pid: int) -> dict[int, float]:
    """Seconds of CPU of each thread."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[int(task.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _databases(spy: str, pid: int) -> set[int]:
    """The threads in which SQLite works."""
    done = subprocess.run([spy, "dump", "--json", "-p", str(pid)], capture_output=True, check=True)
    return {
        thread["os_thread_id"]
        for thread in json.loads(done.stdout)
        if any("aiosqlite" in frame["filename"] for frame in thread["frames"])
    }
