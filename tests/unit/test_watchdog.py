"""The watchdog, in processes of its own: who hangs ends, who lives or was suspended does not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dispatcher.watchdog import EXIT_CODE

PATIENCE_SECONDS = 0.6
#: It lives for as long as its input stays open, and then goes on for a while without a watchdog.
PROGRAM = f"""
import sys, threading, time
from dispatcher import watchdog
watchdog.TICK_SECONDS = 0.06
watched = watchdog.Watchdog(patience={round(PATIENCE_SECONDS / 0.06)})
def hang():
    time.sleep(60)
def live():
    reader = threading.Thread(target=sys.stdin.read, daemon=True)
    reader.start()
    while reader.is_alive():
        watched.alive()
        time.sleep(0.02)
    watched.stop()
    time.sleep({2 * PATIENCE_SECONDS})
watched.start()
print("begun", flush=True)
WHAT()
"""
SECONDS = 30


@contextmanager
def running(what: str) -> Iterator[subprocess.Popen[str]]:
    """The program, once it is watched; killed at the end."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("WHAT", what)], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


def test_who_hangs_ends_and_says_where() -> None:
    """Without a sign of life the process ends with a code of its own, after a traceback of every thread."""
    with running("hang") as process:
        _, err = process.communicate(timeout=SECONDS)

    assert process.returncode == EXIT_CODE
    assert "has not come round for 10 seconds" in err
    assert "in hang\n" in err


def test_who_lives_goes_on() -> None:
    """Signs of life keep the process, and nothing is watched any more once that was said."""
    with running("live") as process:
        time.sleep(3 * PATIENCE_SECONDS)
        _, err = process.communicate(timeout=SECONDS)

    assert (process.returncode, err) == (0, "")


def test_who_was_suspended_goes_on() -> None:
    """A process that was stopped as a whole, as when a machine sleeps, did not hang."""
    with running("live") as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(3 * PATIENCE_SECONDS)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=SECONDS)

    assert (process.returncode, err) == (0, "")
