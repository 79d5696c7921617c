"""rspamd on a socket of its own, for as long as a folder of messages takes."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from mail.checkers import sent_now
from mail.tools import HERE, program

#: Where links of our mails lead. rspamd's own list of 9,000 lacks .example, and without it
#: our links would be seen in the HTML alone; to compile that list takes ten seconds.
DOMAINS = "com\nexample\nnet\norg\nuk\n"
STARTING = 60.0
STOPPING = 10.0
#: Nobody signs a message that is not sent.
_OF_THE_WAY = {"R_DKIM_NA"}


@contextmanager
def _running() -> Iterator[httpx.Client]:
    with tempfile.TemporaryDirectory() as folder:
        folders = {name: f"{folder}/{name}" for name in ("LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR")}
        for path in folders.values():
            Path(path).mkdir()
        Path(folders["DBDIR"], "domains.dat").write_text(DOMAINS, encoding="utf-8")
        variables = [f"--var={name}={path}" for name, path in folders.items()]
        # -i: as root in a container it would refuse to start, and it serves nobody but us.
        command = [program("rspamd"), "--no-fork", "-i", "-c", str(HERE / "rspamd.conf"), *variables]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            try:
                path = f"{folders['RUNDIR']}/normal.sock"
                _await(path, process)
                over = httpx.HTTPTransport(uds=path)
                with httpx.Client(transport=over, base_url="http://rspamd", timeout=30) as client:
                    yield client
            finally:
                process.terminate()
                try:
                    process.communicate(timeout=STOPPING)
                except subprocess.TimeoutExpired:
                    process.kill()


def _await(path: str, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + STARTING
    while time.monotonic() < ends and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if Path(path).exists() and not probe.connect_ex(path):
                return
        time.sleep(0.1)
    said = process.communicate()[1].decode()[-2000:] if process.poll() is not None else "nothing in time"
    raise RuntimeError(f"rspamd did not start: {said}")


def rspamd(folder: Path) -> dict[str, tuple[float, str]]:
    """rspamd's score of each message and the symbols it found, by content alone."""
    with _running() as client:
        return {file.name: _scored(client, file) for file in sorted(folder.glob("*.eml"))}


def _scored(client: httpx.Client, file: Path) -> tuple[float, str]:
    answer: dict[str, Any] = json.loads(client.post("/checkv2", content=sent_now(file.read_bytes())).content)
    symbols = [one for name, one in answer["symbols"].items() if name not in _OF_THE_WAY and one["score"]]
    names = sorted(f"{one['name']}={one['score']:g}" for one in symbols)
    return round(sum(one["score"] for one in symbols), 2), ",".join(names)
