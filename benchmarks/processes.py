"""The program run as users run it, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_COMMAND = [sys.executable, "-c", "from dispatcher.cli.main import main; main()"]


def run(root: Path, *arguments: str, environment: Mapping[str, str]) -> Any:
    """One command that prints JSON; what it printed."""
    done = subprocess.run(
        [*_COMMAND, "--root", str(root), *arguments, "--json"],
        check=True,
        capture_output=True,
        env=os.environ | dict(environment),
    )
    return json.loads(done.stdout)


@contextmanager
def running(root: Path, *arguments: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A command that keeps running; stopped at the end."""
    process = subprocess.Popen(
        [*_COMMAND, "--root", str(root), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | dict(environment),
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def sink() -> Iterator[str]:
    """The SMTP sink; yields its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sink"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"smtp://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.stdin.close()
        process.wait(timeout=30)


def peak_memory(process: subprocess.Popen[str]) -> float:
    """The most memory the process that does the work ever held, in MB (``VmHWM``; Linux).

    `up` has a child do it, beside a Valkey of its own.
    """
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return max(_peak(number) for number in (process.pid, *map(int, children)))


def _peak(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
