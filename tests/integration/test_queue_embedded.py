"""The embedded Valkey: one per state directory, found by all, gone with its owner."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from slow import PATIENT

from dispatcher.errors import ServiceUnreachable
from dispatcher.queue.connection import check, close, connect, parse
from dispatcher.queue.embedded import EmbeddedValkey

OWNER = """
import pathlib, sys
from dispatcher.queue.embedded import EmbeddedValkey
server = EmbeddedValkey(pathlib.Path(sys.argv[1]))
server.start()
print("owner" if server.owned else "guest", flush=True)
sys.stdin.read()
server.stop()
"""


def eventually(condition: Callable[[], bool], seconds: float = 5 * PATIENT) -> bool:
    """Whether it holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def spawn(state_dir: Path) -> subprocess.Popen[str]:
    """Another process that starts the server and holds it until its standard input ends."""
    command = [sys.executable, "-c", OWNER, str(state_dir)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def processes(state_dir: Path) -> dict[int, str]:
    """The server of a state directory and its watcher: their command lines by process id."""
    path = unquote(EmbeddedValkey.url(state_dir).removeprefix("unix://"))
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True)
    rows = (line.split(maxsplit=1) for line in listed.stdout.splitlines() if path in line)
    return {int(pid): command for pid, command in rows}


def servers(state_dir: Path) -> list[int]:
    """The process ids of the servers proper."""
    return [pid for pid, command in processes(state_dir).items() if not command.startswith("/bin/sh")]


def test_it_listens_on_a_private_socket(tmp_path: Path) -> None:
    """The socket and its folder are closed to everybody else."""
    with EmbeddedValkey(tmp_path):
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode)
            for path in (tmp_path / "valkey", tmp_path / "valkey" / "valkey.sock")
        }

    assert modes == {"valkey": 0o700, "valkey.sock": 0o700}


async def test_it_never_evicts_keeps_nothing_and_opens_no_port(tmp_path: Path) -> None:
    """Its eviction policy passes the check; no snapshot, no log of commands, no TCP port."""
    with EmbeddedValkey(tmp_path):
        address = parse(EmbeddedValkey.url(tmp_path))
        redis = connect(address, timeout=1, connections=2)
        try:
            await check(redis, address)
            options = {name: (await redis.config_get(name))[name] for name in ("save", "appendonly", "port")}
        finally:
            await close(redis)

    assert options == {"save": "", "appendonly": "no", "port": "0"}


def test_it_stops_and_starts_again(tmp_path: Path) -> None:
    """After `stop` nothing answers and no process is left; `start` brings it back."""
    server = EmbeddedValkey(tmp_path)

    server.start()
    up = EmbeddedValkey.running(tmp_path)
    server.stop()
    down = EmbeddedValkey.running(tmp_path)

    assert (up, down) == (True, False)
    assert eventually(lambda: processes(tmp_path) == {})
    with server:
        assert EmbeddedValkey.running(tmp_path)


def test_two_share_one_server(tmp_path: Path) -> None:
    """The second finds the first's server, and leaves it running when it stops."""
    with EmbeddedValkey(tmp_path) as first:
        second = EmbeddedValkey(tmp_path)
        second.start()
        owned = (first.owned, second.owned)
        second.stop()
        still = EmbeddedValkey.running(tmp_path)

    assert owned == (True, False)
    assert still


def test_processes_that_start_at_once_end_with_one_server(tmp_path: Path) -> None:
    """Of five processes that start together, one owns the server and four are guests."""
    starters = [spawn(tmp_path) for _ in range(5)]
    try:
        roles = sorted(said(starter) for starter in starters)
        count = len(servers(tmp_path))
    finally:
        for starter in starters:
            starter.communicate()

    assert roles == ["guest"] * 4 + ["owner"]
    assert count == 1
    assert eventually(lambda: processes(tmp_path) == {})


def test_it_dies_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the owner leaves neither the server nor its watcher."""
    owner = spawn(tmp_path)
    assert said(owner) == "owner"

    owner.kill()
    owner.communicate()

    assert eventually(lambda: processes(tmp_path) == {})
    assert not EmbeddedValkey.running(tmp_path)


def test_a_killed_server_is_started_again(tmp_path: Path) -> None:
    """When the server itself was killed, `start` replaces it, dead socket and all."""
    with EmbeddedValkey(tmp_path) as server:
        [pid] = servers(tmp_path)
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not EmbeddedValkey.running(tmp_path))

        server.start()

        assert EmbeddedValkey.running(tmp_path)
    assert eventually(lambda: processes(tmp_path) == {})


def test_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    """It leads a session of its own, so that a terminal's Ctrl-C lets our jobs end first."""
    with EmbeddedValkey(tmp_path):
        sessions = {os.getsid(pid) for pid in processes(tmp_path)}

    assert sessions
    assert os.getsid(0) not in sessions


@pytest.mark.parametrize("name", ["with space", "quo\"te'", "ümlaut", "per%20cent"])
def test_odd_names_work(tmp_path: Path, name: str) -> None:
    """The state directory may have any name."""
    with EmbeddedValkey(tmp_path / name):
        assert parse(EmbeddedValkey.url(tmp_path / name)).path.startswith(str(tmp_path / name))
        assert EmbeddedValkey.running(tmp_path / name)


@pytest.fixture
def short_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory of our own with a short name, as the system's."""
    with tempfile.TemporaryDirectory() as directory:
        monkeypatch.setattr("tempfile.tempdir", directory)
        yield Path(directory).resolve()


def test_a_long_path_gets_a_short_socket(short_tmp: Path) -> None:
    """Where the path is too long for a socket, both sides work out the same private place."""
    deep = short_tmp / ("d" * 60) / ("e" * 60)

    with EmbeddedValkey(deep):
        socket = Path(parse(EmbeddedValkey.url(deep)).path)
        mode = stat.S_IMODE(socket.parent.stat().st_mode)
        log = deep / "valkey" / "valkey.log"

        assert socket.parent.parent.resolve() == short_tmp
        assert mode == 0o700
        assert log.exists()
        assert EmbeddedValkey.running(deep)


def test_a_strange_directory_for_the_socket_is_refused(short_tmp: Path) -> None:
    """If others may enter the directory for the socket, or it is a link, it is not used."""
    deep = short_tmp / ("d" * 60) / ("e" * 60)
    place = Path(parse(EmbeddedValkey.url(deep)).path).parent

    place.mkdir(mode=0o755)
    with pytest.raises(ServiceUnreachable, match="0700"):
        EmbeddedValkey(deep).start()
    place.rmdir()
    (short_tmp / "theirs").mkdir(mode=0o700)
    place.symlink_to(short_tmp / "theirs")
    with pytest.raises(ServiceUnreachable, match="0700"):
        EmbeddedValkey(deep).start()


def test_an_own_folder_that_stands_open_is_closed(tmp_path: Path) -> None:
    """A folder of ours that others may enter, as after a restore, is made private."""
    (tmp_path / "valkey").mkdir(mode=0o755)

    with EmbeddedValkey(tmp_path):
        mode = stat.S_IMODE((tmp_path / "valkey").stat().st_mode)

    assert mode == 0o700


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """What stands in the way of the socket is told from the server's own log."""
    (tmp_path / "valkey" / "valkey.sock").mkdir(parents=True)

    with pytest.raises(ServiceUnreachable, match=r"valkey\.(log|sock)") as refused:
        EmbeddedValkey(tmp_path).start()

    assert "DISPATCHER_REDIS_URL" in str(refused.value)
    assert eventually(lambda: processes(tmp_path) == {})


def test_a_server_that_hangs_is_not_doubled(tmp_path: Path) -> None:
    """A server that listens but does not answer is reported, not replaced behind its back."""
    with EmbeddedValkey(tmp_path):
        [pid] = servers(tmp_path)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(ServiceUnreachable, match="does not answer"):
                EmbeddedValkey(tmp_path).start()
        finally:
            os.kill(pid, signal.SIGCONT)
