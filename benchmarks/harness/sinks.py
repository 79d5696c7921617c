"""The SMTP servers to measure against: Postfix's `smtp-sink`, in C, or ours, which can tell times."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.harness.clock import wait_until
from benchmarks.harness.figures import Mismatch
from benchmarks.harness.sink import Counts

#: Debian keeps it where ordinary users do not look.
_PATH = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin"
#: Time for what should not come, such as a message sent twice.
_SETTLE_SECONDS = 0.3


class Sink(Protocol):
    """A server that takes every message."""

    name: str
    port: int

    def taken(self) -> int:
        """How many messages it has answered with 250."""


@dataclass(slots=True)
class CSink:
    """`smtp-sink` with its running counter."""

    port: int
    counter: Path
    name: str = "smtp-sink"

    def taken(self) -> int:
        with self.counter.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 200))
            found = re.findall(rb"mesg=(\d+)\r", file.read())
        return int(found[-1]) if found else 0


@dataclass(slots=True)
class OurSink:
    """The sink of `benchmarks.harness.sink`."""

    port: int
    counts: Counts
    times_file: Path
    name: str = "asyncio sink"

    def taken(self) -> int:
        return self.counts.read()[0]

    def mean_size(self) -> float:
        """Bytes a message, dots and all."""
        messages, size, *_ = self.counts.read()
        return size / messages if messages else 0.0

    def most_sessions(self) -> int:
        """The most sessions there were at once."""
        return self.counts.read()[3]

    def times(self) -> list[tuple[float, str]]:
        """When each marked message was answered, in seconds of `time.monotonic`, and whose it was."""
        lines = self.times_file.read_text(encoding="utf-8").splitlines()
        pairs = (line.split(" ", 1) for line in lines if " " in line)
        return [(int(moment) / 1e9, recipient) for moment, recipient in pairs]


def program(name: str) -> str | None:
    """Where `smtp-sink` or `smtp-source` is, if it is installed."""
    return shutil.which(name, path=_PATH)


@contextmanager
def fastest(folder: Path) -> Iterator[Sink]:
    """`smtp-sink` where it is installed, else ours."""
    found = program("smtp-sink")
    if found is None:
        with ours(folder) as sink:
            yield sink
        return
    port, counter = _free_port(), folder / f"sink-{time.monotonic_ns()}"
    # Started by root it wants to know whom to become.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with counter.open("wb") as output:
        process = subprocess.Popen(
            [found, *user, "-c", f"127.0.0.1:{port}", "1024"], stdout=output, stderr=subprocess.PIPE
        )
    try:
        if not wait_until(lambda: _listens(port), 10):
            raise RuntimeError(f"smtp-sink does not listen on port {port}")
        yield CSink(port, counter)
    finally:
        _end(process)


@contextmanager
def ours(folder: Path, marker: str | None = None, delay: float = 0.0) -> Iterator[OurSink]:
    """The asyncio sink.

    Args:
        folder: For its files.
        marker: The times of recipients that hold this text are kept; of none by default.
        delay: Milliseconds that it waits before it answers a message.
    """
    name = f"sink-{time.monotonic_ns()}"
    counts, times = folder / name, folder / f"{name}.times"
    times.touch()
    options = ["--delay", str(delay)]
    if marker is not None:
        options += ["--times", str(times), "--marker", marker]
    with helper("benchmarks.harness.sink", [str(counts), *options]) as port:
        yield OurSink(port, Counts(counts), times)


@contextmanager
def helper(module: str, arguments: Sequence[str]) -> Iterator[int]:
    """A process of ours that prints its port and ends with its standard input; yields the port."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        _end(process)
        process.stdout.close()


def expect(sink: Sink, number: int, seconds: float) -> float:
    """Wait until so many messages were taken; the moment, on `time.monotonic`, at which that was seen.

    Raises:
        Mismatch: They are fewer after `seconds`, or more a little later.
    """
    if not wait_until(lambda: sink.taken() >= number, seconds, 0.01):
        raise Mismatch(f"the {sink.name} took {sink.taken():,} of {number:,} messages in {seconds:.0f} s")
    moment = time.monotonic()
    time.sleep(_SETTLE_SECONDS)
    if sink.taken() != number:
        raise Mismatch(f"the {sink.name} took {sink.taken():,} messages; {number:,} were to be sent")
    return moment


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """See to it that a process is gone."""
    if process.stdin is None:
        process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()
