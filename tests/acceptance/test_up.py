"""`dispatcher up` keeps its parts alive, and leaves none behind; real processes, ended in every way."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from program import dispatcher, started
from slow import PATIENT
from smtp_server import SmtpServer

from dispatcher.queue.connection import close, connect, parse
from dispatcher.queue.embedded import EmbeddedValkey
from dispatcher.smtp.catcher import caught

# Several processes are started in each test: on a machine with other things to do that takes minutes.
pytestmark = pytest.mark.timeout(300)

SAMPLE = ("send", "launch-readiness", "--instance", "bare", "--sample")
#: Nothing takes as long; what does will never come.
SECONDS = 60
#: A grace that does not end meanwhile, however long the looks at it take.
GRACE = 90


def eventually(condition: Callable[[], object], seconds: float = SECONDS) -> bool:
    """Whether it holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Up:
    """A running `up`.

    Attributes:
        printed: Everything that it and its child have printed so far.
    """

    def __init__(self, root: Path, state: Path, **variables: str) -> None:
        self.root, self.state = root, state
        self.variables = {"DISPATCHER_STATE_DIR": str(state), **variables}
        self.process = started(root, "up", "--port", "0", **self.variables)
        self.printed = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line

    @property
    def url(self) -> str:
        """What it listens on, once it has said so."""
        found = re.search(r"Listening on (\S+)", self.printed)
        return found[1] if found else ""

    def children(self) -> dict[str, int]:
        """The process ids of what belongs to it, whoever their parent is by now."""
        socket = unquote(EmbeddedValkey.url(self.state).removeprefix("unix://"))
        listed = subprocess.run(
            ["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True
        )
        found = {}
        for pid, command in (line.split(maxsplit=1) for line in listed.stdout.splitlines()):
            if " up-child " in command and str(self.root) in command:
                found["child"] = int(pid)
            elif socket in command and not command.startswith("/bin/sh"):
                found["valkey"] = int(pid)
        return found

    def healthy(self) -> bool:
        """Whether it answers; a connection that waits for a new child counts, if the answer comes."""
        return httpx.get(f"{self.url}/healthz", timeout=SECONDS).status_code == 200

    def refuses(self) -> bool:
        """Whether nobody takes connections any more."""
        try:
            httpx.get(f"{self.url}/healthz", timeout=1)
        except httpx.ConnectError:
            return True
        except httpx.TransportError:
            pass
        return False

    def send(self) -> int:
        """Send an event to one person and wait; the exit code."""
        return dispatcher(self.root, *SAMPLE, "--wait", **self.variables).code

    def end(self) -> None:
        """Whatever state it is in, leave nothing of it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        gone = eventually(lambda: not self.children())
        for pid in self.children().values():
            os.kill(pid, signal.SIGKILL)
        self._reader.join(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert gone, f"processes remain: {self.printed}"


@contextmanager
def up(root: Path, state: Path, **variables: str) -> Iterator[Up]:
    """`up`, once it listens."""
    running = Up(root, state, **variables)
    try:
        assert eventually(lambda: running.url or running.process.poll() is not None)
        assert running.url, running.printed
        yield running
    finally:
        running.end()


def test_a_killed_part_is_started_again(root: Path, tmp_path: Path) -> None:
    """Child and Valkey are replaced, on the same port; mail flows; SIGTERM ends it all with 0."""
    with up(root, tmp_path) as running:
        first = running.children()
        os.kill(first["child"], signal.SIGKILL)
        answered = running.healthy()  # asked while there was no child
        os.kill(first["valkey"], signal.SIGKILL)
        back = eventually(lambda: running.children().keys() == first.keys())
        assert eventually(lambda: EmbeddedValkey.running(tmp_path))
        sent = running.send()
        second = running.children()
        running.process.terminate()
        code = running.process.wait(SECONDS)
        left = running.children()

    assert (answered, back, sent, code) == (True, True, 0, 0), running.printed
    assert first.keys() == second.keys() == {"child", "valkey"}
    assert not set(first.values()) & set(second.values())
    assert len(caught(tmp_path / "mail")) == 1
    assert "was ended by SIGKILL; it is started again in 0.5 s." in running.printed
    assert running.printed.count("Listening on") == 1
    assert left == {}


def test_a_child_that_cannot_start_again_is_tried_until_it_can(root: Path, tmp_path: Path) -> None:
    """A catalogue that breaks between two starts is told, and waited for; connections wait meanwhile."""
    catalogue = root / "catalogue.yaml"
    good = catalogue.read_text(encoding="utf-8")
    with up(root, tmp_path) as running:
        try:
            catalogue.write_text("version: two\n", encoding="utf-8")
            os.kill(running.children()["child"], signal.SIGKILL)
            told = eventually(lambda: "with exit code 2; it is started again in 1 s" in running.printed)
        finally:
            catalogue.write_text(good, encoding="utf-8")
        assert told
        assert running.healthy()

    assert "catalogue.yaml:1" in running.printed


def test_nothing_outlives_a_parent_that_is_killed(root: Path, tmp_path: Path) -> None:
    """After SIGKILL of the parent alone, child and Valkey end by themselves within seconds."""
    with up(root, tmp_path) as running:
        before = running.children()
        running.process.kill()
        running.process.wait()
        gone = eventually(lambda: not running.children(), 5 * PATIENT)

    assert before.keys() == {"child", "valkey"}
    assert gone


async def test_a_second_signal_leaves_at_once(root: Path, tmp_path: Path) -> None:
    """The first waits for a mail that hangs in DATA; the second does not, and nothing remains."""
    async with SmtpServer() as server:
        hangs = server.script("BODY", action="hang")
        variables = {
            "DISPATCHER_SMTP_URL": f"smtp://127.0.0.1:{server.port}",
            "DISPATCHER_GRACE_SECONDS": str(GRACE),
        }
        with up(root, tmp_path, **variables) as running:
            await asyncio.to_thread(dispatcher, root, *SAMPLE, **running.variables)
            await asyncio.wait_for(hangs.reached.wait(), SECONDS)
            running.process.terminate()
            refused = await asyncio.to_thread(eventually, running.refuses)
            await asyncio.sleep(0.5)
            waits = running.process.poll() is None and "child" in running.children()
            began = time.monotonic()
            running.process.terminate()
            code = await asyncio.to_thread(running.process.wait, SECONDS)
            took = time.monotonic() - began
            gone = eventually(lambda: not running.children(), 5 * PATIENT)

    assert (refused, waits) == (True, True), running.printed
    assert code == -signal.SIGTERM
    assert took < 2 * PATIENT  # the grace would be 90
    assert gone


async def test_the_grace_ends_the_wait(root: Path, tmp_path: Path) -> None:
    """What systemd sends, SIGTERM to parent and child alike, is one wish to stop; it is granted in time."""
    async with SmtpServer() as server:
        hangs = server.script("BODY", action="hang")
        variables = {
            "DISPATCHER_SMTP_URL": f"smtp://127.0.0.1:{server.port}",
            "DISPATCHER_GRACE_SECONDS": "2",
        }
        with up(root, tmp_path, **variables) as running:
            await asyncio.to_thread(dispatcher, root, *SAMPLE, **running.variables)
            await asyncio.wait_for(hangs.reached.wait(), SECONDS)
            child = running.children()["child"]  # looked for now, since it has two seconds from the signal on
            began = time.monotonic()
            running.process.terminate()
            os.kill(child, signal.SIGTERM)
            code = await asyncio.to_thread(running.process.wait, SECONDS)
            took = time.monotonic() - began

    assert code == 0, running.printed
    assert 1.5 < took < (2 + 5) * PATIENT
    assert "did not end within" in running.printed


@pytest.mark.parametrize("command", [("up", "--port", "0"), ("worker",)], ids=lambda words: words[0])
async def test_a_redis_that_evicts_is_refused_at_the_start(
    root: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Exit code 2, and the command that mends it."""
    with EmbeddedValkey(tmp_path):
        url = EmbeddedValkey.url(tmp_path)
        redis = connect(parse(url), timeout=1, connections=1)
        await redis.config_set("maxmemory-policy", "allkeys-lfu")
        await close(redis)
        variables = {"DISPATCHER_REDIS_URL": url, "DISPATCHER_SMTP_URL": "smtp://127.0.0.1:1"}
        done = dispatcher(root, *command, DISPATCHER_STATE_DIR=str(tmp_path), **variables)

    path = parse(url).path
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"DISPATCHER_REDIS_URL: Redis at unix socket {path} may throw queued jobs away: its maxmemory-policy "
        f"is allkeys-lfu. Run `redis-cli -s {path} CONFIG SET maxmemory-policy noeviction` and write it into "
        "its configuration, or name another Redis.\n"
    )


def test_a_redis_that_is_away_at_the_start_is_waited_for(root: Path, tmp_path: Path) -> None:
    """The outage is told, HTTP answers, and when Redis comes it is used."""
    with up(root, tmp_path, DISPATCHER_REDIS_URL=EmbeddedValkey.url(tmp_path)) as running:
        told = eventually(lambda: "cannot be used" in running.printed)
        answered = running.healthy()
        with EmbeddedValkey(tmp_path):
            used = eventually(lambda: "works again" in running.printed)
            sent = running.send()
            running.process.terminate()
            code = running.process.wait(SECONDS)

    assert (told, answered, used, sent, code) == (True, True, True, 0, 0), running.printed


def test_a_port_that_is_taken_is_named(root: Path, tmp_path: Path) -> None:
    """Exit code 2 before anything else is started."""
    with up(root, tmp_path) as running:
        port = running.url.rpartition(":")[2]
        done = dispatcher(root, "up", "--port", port, DISPATCHER_STATE_DIR=str(tmp_path / "other"))

    assert done.code == 2
    assert f"127.0.0.1:{port}: cannot be listened on" in done.err
    assert not (tmp_path / "other").exists()
