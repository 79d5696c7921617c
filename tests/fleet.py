"""A fleet: processes of the program over one ledger, one Redis and one SMTP server, to be killed at will."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from program import UNMEASURED
from slow import PATIENT
from smtp_server import Rule, SmtpServer
from web_service import TOKEN_SHA256, root_at

from dispatcher.app import App, open_app
from dispatcher.domain.delivery import Delivery, Status
from dispatcher.domain.event import Selection
from dispatcher.domain.fields import sample
from dispatcher.flow.submit import Submission
from dispatcher.ledger import Filter
from dispatcher.queue.embedded import EmbeddedValkey
from dispatcher.settings import Secret, Settings

#: The shortest that may be set.
LEASE_SECONDS = 5
#: How long a kill may go unnoticed: a whole lease between the sweep that sees its last renewal and another,
#: each up to 2 s late.
TAKEN_OVER_SECONDS = (LEASE_SECONDS + 2 + 2) * PATIENT
INSTANCE = "contoso-prod"
#: A type whose deliveries are held when nobody knows whether they arrived; as shipped there is none.
HELD_TYPE = "general-awareness"
#: Nothing takes as long; what does will never come.
SECONDS = 90
_COMMAND = "from dispatcher.cli.main import main; main()"
_numbers = itertools.count(1)


async def until(condition: Callable[[], object | Awaitable[object]], seconds: float = SECONDS) -> float:
    """Wait for it; how many seconds that took. Fails after `seconds`."""
    began = time.monotonic()
    while True:
        looked = time.monotonic()
        met = condition()
        if await met if inspect.isawaitable(met) else met:
            return time.monotonic() - began
        now = time.monotonic()
        assert now - began < seconds, f"not within {seconds} s: {inspect.getsource(condition)}"
        # To look must not keep the machine busy: what is waited for happens in other processes.
        await asyncio.sleep(min(0.2, max(0.03, 10 * (now - looked))))


async def reached(*rules: Rule) -> None:
    """Wait until each of the rules was applied."""
    async with asyncio.timeout(SECONDS):
        for rule in rules:
            await rule.reached.wait()


@dataclass(frozen=True)
class Process:
    """A process of the program, and the file that it prints to."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    async def says(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed that."""
        await until(lambda: re.search(pattern, self.printed) or not self.running)
        found = re.search(pattern, self.printed)
        assert found, f"it ended with {self.popen.poll()} without printing {pattern!r}: {self.printed}"
        return found

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    async def ended(self, seconds: float = SECONDS) -> int:
        """Wait for its end; the exit code, or the negative number of a signal."""
        await until(lambda: not self.running, seconds)
        return int(self.popen.wait())

    async def kill(self) -> int:
        """End it as a power cut would."""
        self.popen.kill()
        return await self.ended()


@dataclass
class Fleet:
    """One installation.

    Attributes:
        app: The parts in this process, for a look at the ledger and for events of a test's own.
        server: Where the mail goes, unless a worker is told otherwise.
        environment: What every process gets.
    """

    root: Path
    folder: Path
    app: App
    server: SmtpServer
    valkey: EmbeddedValkey
    environment: dict[str, str]
    _processes: list[Process] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The ledger's."""
        return self.app.settings.database_url.reveal()

    async def suspend(self, process: Process) -> None:
        """Stop a process for a while, though not while it keeps an SQLite ledger locked for all."""
        async with asyncio.timeout(SECONDS):
            while True:
                process.send(signal.SIGSTOP)
                if not self.url.startswith("sqlite:") or _writable(self.url.removeprefix("sqlite:///")):
                    return
                process.send(signal.SIGCONT)
                await asyncio.sleep(0.05)

    def run(self, *arguments: str, code: str = _COMMAND, **variables: str) -> Process:
        """Start a command.

        Args:
            code: Python that runs the program, where it is to be tampered with.
        """
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DISPATCHER_")}
        log = self.folder / f"{next(_numbers)}-{arguments[0]}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [sys.executable, "-c", code, "--root", str(self.root), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=kept | UNMEASURED | self.environment | variables,
            )
        process = Process(popen, log)
        self._processes.append(process)
        return process

    def worker(self, **variables: str) -> Process:
        return self.run("worker", **variables)

    async def workers(self, number: int, **variables: str) -> list[Process]:
        """Start so many, and wait until all work."""
        started = [self.worker(**variables) for _ in range(number)]
        for process in started:
            await process.says("Working")
        return started

    async def serve(self, **variables: str) -> tuple[Process, str]:
        """Start the HTTP interface; with its URL."""
        process = self.run("serve", "--port", "0", **variables)
        return process, (await process.says(r"Listening on (\S+)"))[1]

    def end(self) -> None:
        """Kill whatever still runs, suspended or not."""
        for process in self._processes:
            process.popen.kill()
        for process in self._processes:
            process.popen.wait()

    def people(self, addresses: Iterable[str], instance: str = INSTANCE) -> None:
        """Have an instance's lists name those people and nobody else."""
        text = f"instance: {instance}\nname: Contoso\nregion: emea\nadmins: [{', '.join(addresses)}]\n"
        (self.root / "recipients" / f"{instance}.yaml").write_text(text, encoding="utf-8")

    async def accept(self, key: str = "planned-maintenance", *, instance: str = INSTANCE) -> str:
        """Submit an event of that type from this process; its id in the ledger."""
        spec = self.app.project.catalogue.types[key]
        fields = sample(spec, self.app.clock())
        selection = Selection("instances", (instance,))
        submission = Submission("test", f"event-{next(_numbers)}", key, selection, None, fields)
        [accepted] = await self.app.submit([submission])
        return accepted.event

    async def deliveries(self, event: str | None = None) -> Sequence[Delivery]:
        """Deliveries with their attempts, of an event or of all."""
        return await self.app.ledger.deliveries.list(Filter(event=event), limit=10_000, with_attempts=True)

    async def rows(self, event: str | None = None) -> dict[str, Delivery]:
        """The same by address, where nobody gets two mails."""
        return {row.address: row for row in await self.deliveries(event)}

    async def all_in(self, *statuses: Status, event: str | None = None, number: int = 1) -> bool:
        """Whether there are at least `number` deliveries, of an event or of all, each in such a state."""
        events = await self.app.ledger.events.list(10_000)
        counts = Counter[Status]()
        for one in events:
            counts.update(one.counts if event in {None, one.id} else {})
        return counts.total() >= number and counts.keys() <= set(statuses)

    def copies(self, *others: SmtpServer) -> dict[str, list[str]]:
        """The Message-ID of each message that the servers have kept, by recipient."""
        found: dict[str, list[str]] = {}
        for server in (self.server, *others):
            for kept in server.kept:
                message_id = message_from_bytes(kept.message)["Message-ID"]
                found.setdefault(kept.recipient, []).append(str(message_id))
        return found


def told(row: Delivery) -> list[str]:
    """The reasons of a delivery's attempts, oldest first."""
    return [attempt.reason for attempt in row.attempts]


def honest(rows: Iterable[Delivery], copies: dict[str, list[str]]) -> bool:
    """Whether each delivery came exactly once, or more often under the same Message-ID and with a mark."""
    counts = [(copies.get(row.address, []).count(row.message_id), row.uncertain) for row in rows]
    return all(count == 1 or (count > 1 and uncertain) for count, uncertain in counts)


@asynccontextmanager
async def open_fleet(database_url: str, folder: Path) -> AsyncIterator[Fleet]:
    """An installation over that ledger; at the end nothing of it runs."""
    state = folder / "state"
    state.mkdir(parents=True)
    root = root_at(folder)
    catalogue = root / "catalogue.yaml"
    text = catalogue.read_text(encoding="utf-8")
    key = f"  {HELD_TYPE}:\n"
    catalogue.write_text(text.replace(key, f"{key}    on_uncertain: hold\n"), encoding="utf-8")
    with EmbeddedValkey(state) as valkey:
        redis = EmbeddedValkey.url(state)
        settings = Settings(
            root=root, state_dir=state, database_url=Secret(database_url), redis_url=Secret(redis)
        )
        async with SmtpServer() as server, open_app(settings) as app:
            environment = {
                "DISPATCHER_STATE_DIR": str(state),
                "DISPATCHER_DATABASE_URL": database_url,
                "DISPATCHER_REDIS_URL": redis,
                "DISPATCHER_SMTP_URL": smtp_url(server),
                "DISPATCHER_LEASE_SECONDS": str(LEASE_SECONDS),
                "DISPATCHER_API_TOKENS": f"tests:admin:{TOKEN_SHA256}",
            }
            fleet = Fleet(root, folder, app, server, valkey, environment)
            try:
                yield fleet
            finally:
                fleet.end()


def smtp_url(server: SmtpServer) -> str:
    return f"smtp://{server.host}:{server.port}"


Scenario = Callable[[Fleet], Coroutine[Any, Any, None]]
Played = Mapping[str, asyncio.Task[None]]


def chosen(request: pytest.FixtureRequest, names: Iterable[str]) -> list[str]:
    """Those that are a parameter of a test of this run."""
    tests = [item.name for item in request.session.items]
    return [name for name in names if any(test.endswith(f"[{name}]") for test in tests)]


@asynccontextmanager
async def playing(
    scenarios: Mapping[str, Scenario], urls: Mapping[str, str], folder: Path
) -> AsyncIterator[Played]:
    """Play scenarios together, each in an installation of its own, since mostly they wait; tests await them.

    Args:
        scenarios: By their names.
        urls: The ledger of each; those without one are not played.
        folder: For their files.
    """
    async with AsyncExitStack() as stack:
        # Opened one after the other, because Alembic knows only one migration at a time.
        fleets = {
            name: await stack.enter_async_context(open_fleet(url, folder / name))
            for name, url in urls.items()
        }
        tasks = {name: asyncio.create_task(scenarios[name](fleet)) for name, fleet in fleets.items()}
        try:
            yield tasks
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


def _writable(path: str) -> bool:
    """Whether nobody has the file locked."""
    connection = sqlite3.connect(path, timeout=0.2, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True
