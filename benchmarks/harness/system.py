"""The program as an operator runs it: workers and the HTTP interface, in processes of their own."""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from benchmarks.harness.clock import wait_until
from benchmarks.harness.figures import Mismatch
from dispatcher.domain.fields import sample
from dispatcher.files.catalogue_file import load_catalogue

_COMMAND = (sys.executable, "-c", "from dispatcher.cli.main import main; main()")
_START_SECONDS = 120
_STOP_SECONDS = 60
_SETTLE_SECONDS = 90
#: Seconds that a worker is ready before it renders ahead, and some.
_BEFORE_AHEAD = 1.5
#: Seconds of CPU in a second; who renders ahead uses half of one.
_AT_REST = 0.15
_TICK = os.sysconf("SC_CLK_TCK")
TOKEN = "bench"


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that was handed in; moments on `time.monotonic`."""

    id: str
    asked: float
    accepted: float


@dataclass(slots=True)
class System:
    """Running processes by their names, and the way in."""

    root: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    port: int = 0
    _fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    _number: int = 0

    def cpu(self) -> float:
        """Seconds of CPU that the program's processes have used so far, with the Valkey that they started."""
        used = 0.0
        for process in self.processes.values():
            for pid in (process.pid, *_children(process.pid)):
                with suppress(FileNotFoundError, ProcessLookupError):  # it may end while it is looked at
                    used += _cpu(pid)
        return used

    def peak_memory(self) -> dict[str, float]:
        """The most memory that each process ever held, in MB (``VmHWM``); children, such as Valkey, too."""
        found = {}
        for name, process in self.processes.items():
            found[name] = peak_memory(process.pid)
            for child in _children(process.pid):
                with suppress(FileNotFoundError):  # it may end while it is looked at
                    found[f"{name}: {_name(child)}"] = peak_memory(child)
        return found

    def settle(self) -> None:
        """Wait until all are at rest: for seconds after they are ready, workers render ahead."""
        ends = time.monotonic() + _SETTLE_SECONDS
        time.sleep(_BEFORE_AHEAD)
        before = float("-inf")
        while (now := self.cpu()) - before > _AT_REST and time.monotonic() < ends:
            before = now
            time.sleep(1)

    def event(
        self, kind: str, instances: Sequence[str] | Mapping[str, str] | str, **fields: Any
    ) -> dict[str, Any]:
        """A CloudEvent of a type with the catalogue's examples as its fields, but for those given."""
        if kind not in self._fields:
            catalogue = load_catalogue(self.root / "catalogue.yaml", templates=self.root / "templates")
            self._fields[kind] = sample(catalogue.types[kind], datetime.now(UTC))
        self._number += 1
        return {
            "specversion": "1.0",
            "type": kind,
            "source": "bench",
            "id": str(self._number),
            "data": {"instances": instances, "fields": self._fields[kind] | fields},
        }

    def send(self, *events: dict[str, Any]) -> list[Sent]:
        """Hand events in, in one request; they are committed when this returns."""
        batch = "-batch" if len(events) > 1 else ""
        body = orjson.dumps(events if batch else events[0])
        asked = time.monotonic()
        answer = self._ask("POST", "/v1/events", body, f"application/cloudevents{batch}+json")
        accepted = time.monotonic()
        ids = [one["event"] for one in answer["events"]] if batch else [answer["event"]]
        return [Sent(one, asked, accepted) for one in ids]

    def counts(self, event: str) -> dict[str, int]:
        """How many deliveries of an event stand where, as the ledger says."""
        found: dict[str, int] = self._ask("GET", f"/v1/events/{event}")["counts"]
        return found

    def all_sent(self, event: str, number: int, seconds: float = 30) -> None:
        """Wait until the ledger says that so many deliveries of an event, and no others, are sent.

        Raises:
            Mismatch: It says something else after so many seconds.
        """
        if not wait_until(lambda: self.counts(event) == {"sent": number}, seconds, 0.1):
            raise Mismatch(f"the ledger says {self.counts(event)}; {number:,} were taken by the sink")

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"} | ({"Content-Type": kind} if kind else {})
        # One that is kept may just have been closed by the other side, which ends those that are idle.
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path} was answered {response.status}: {content[:500]!r}")
        return orjson.loads(content)


@contextmanager
def running(
    root: Path,
    state: Path,
    relay: int,
    *,
    workers: int = 1,
    serve: str = "serve",
    variables: Mapping[str, str] | None = None,
) -> Iterator[System]:
    """Workers and the HTTP interface over one ledger; stopped at the end.

    Args:
        root: The root.
        state: The state folder; made if need be.
        relay: The port of the SMTP server on this machine.
        workers: How many worker processes.
        serve: ``serve`` for the HTTP interface in a process of its own, ``up`` for one with a worker in it.
        variables: More settings.
    """
    state.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    environment = {name: text for name, text in os.environ.items() if not name.startswith("DISPATCHER_")}
    environment |= {
        "DISPATCHER_STATE_DIR": str(state),
        "DISPATCHER_SMTP_URL": f"smtp://127.0.0.1:{relay}",
        "DISPATCHER_API_TOKENS": f"bench:send+read:{digest}",
    }
    environment |= variables or {}
    system = System(root)
    with ExitStack() as stack:
        # The first makes the ledger and starts the Valkey; the others must not race it for that.
        for name in [f"worker {number + 1}" for number in range(workers)]:
            log = _start(stack, system, name, ("worker",), environment)
            if name == "worker 1":
                _wait_for(system, name, log, b"Working")
        log = _start(stack, system, serve, (serve, "--port", "0"), environment)
        line = _wait_for(system, serve, log, b"Listening on ")
        system.port = int(line.rstrip().rstrip(b"/").rpartition(b":")[2])
        for name in list(system.processes)[1:workers]:
            _wait_for(system, name, state / f"{name}.log", b"Working")
        yield system


def _start(
    stack: ExitStack,
    system: System,
    name: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> Path:
    log = Path(environment["DISPATCHER_STATE_DIR"]) / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_COMMAND, "--root", str(system.root), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
        )
    system.processes[name] = process
    stack.callback(_stop, process)
    return log


def _wait_for(system: System, name: str, log: Path, words: bytes) -> bytes:
    """The line with these words in what a process printed."""
    process = system.processes[name]

    def line() -> bytes:
        return next((one for one in log.read_bytes().splitlines() if words in one), b"")

    wait_until(lambda: bool(line()) or process.poll() is not None, _START_SECONDS)
    if not (found := line()):
        raise RuntimeError(f"{name} did not start; it printed: {log.read_text(errors='replace')[-2000:]}")
    return found


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def peak_memory(pid: int) -> float:
    """The most memory that a process ever held, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu(pid: int) -> float:
    # The name, which may hold blanks, ends at the last bracket; user and system time are the 14th and 15th.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _children(pid: int) -> list[int]:
    """All processes below one."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *_children(child)]
    return found


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
