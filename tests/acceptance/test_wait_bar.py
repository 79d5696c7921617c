"""`send --wait` on a terminal: a bar with count, rate and time left."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ledger_records import SENT, claim, expansion, people
from program import PROJECT
from slow import PATIENT
from web_service import root_at

from dispatcher.app import system_clock
from dispatcher.ledger import Heartbeat, Ledger, Recorded

CLOSED = {"address": "mail.example:25", "circuit": "closed", "why": ""}
_COMMAND = (sys.executable, "-c", "from dispatcher.cli.main import main; main()")
_SEND = ("send", "planned-maintenance", "--instance", "contoso-prod", "--sample", "--wait", "--timeout", "45")


@asynccontextmanager
async def terminal() -> AsyncIterator[tuple[int, bytearray]]:
    """A pseudo-terminal of 100 columns: the end for a program, and what was written to it so far."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    os.set_blocking(ours, False)
    seen = bytearray()

    def read() -> None:
        try:
            seen.extend(os.read(ours, 65536))
        except OSError:  # EIO: whoever wrote has closed it
            loop.remove_reader(ours)

    loop = asyncio.get_running_loop()
    loop.add_reader(ours, read)
    try:
        yield theirs, seen
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)


async def slowly_sent(ledger: Ledger, seconds: float) -> None:
    """Play the worker: make 50 deliveries of the event that comes, and send ten at a time."""
    while not (events := await ledger.events.unexpanded(1)):  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.05)
    now = system_clock()
    await ledger.workers.heartbeat(Heartbeat("w1", "host", 1, "0", now, now, CLOSED))
    await ledger.expansions.store(events[0].id, expansion(people(50)))
    while claims := await claim(ledger, 10):
        await asyncio.sleep(seconds)
        await ledger.claims.record([Recorded(one, SENT) for one in claims])


async def test_a_terminal_shows_how_far_it_is(tmp_path: Path) -> None:
    """Count, rate and time left while it lasts; nothing of it is in what the command prints."""
    root = root_at(tmp_path)
    (tmp_path / "state").mkdir()
    url = f"sqlite:///{tmp_path / 'state' / 'ledger.db'}"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DISPATCHER_")}
    settings = {"DISPATCHER_STATE_DIR": str(tmp_path / "state"), "DISPATCHER_DATABASE_URL": url}
    ledger = await Ledger.open(url, clock=system_clock)
    try:
        async with terminal() as (screen, seen), asyncio.timeout(30 * PATIENT):
            process = await asyncio.create_subprocess_exec(
                *(*_COMMAND, "--root", str(root), *_SEND),
                stdout=asyncio.subprocess.PIPE,
                stderr=screen,
                cwd=PROJECT,
                env=kept | settings | {"TERM": "xterm-256color"},
            )
            sending = asyncio.create_task(slowly_sent(ledger, 0.5))
            out, _ = await process.communicate()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            written = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    finally:
        await ledger.close()

    assert process.returncode == 0, written
    assert re.search(r"Sending [━╸╺ ]+ [1-4]0 of 50 [0-9.]+/s 0:00:0[0-9]", written), written
    assert out.decode().splitlines()[1:] == ["50 sent"]
