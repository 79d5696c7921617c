"""Postfix's load generator: what a program in C sends that has nothing to make, to keep or to remember.

As its manual page says: ``-d`` keeps connections, ``-s 16`` has 16 of them, ``-m`` and ``-l`` are the number
of messages and their size.
"""

from __future__ import annotations

import subprocess
import time

from benchmarks.harness.sinks import Sink, expect, program

SESSIONS = 16
#: Its own header is about so many bytes, which ``-l`` does not count.
_HEADER = 200


def rate(sink: Sink, number: int, size: float) -> float | None:
    """Messages per second; None where it is not installed.

    Args:
        sink: Takes the messages; fresh or not.
        number: How many messages.
        size: Bytes a message.

    Raises:
        Mismatch: The sink took another number of messages.
    """
    found = program("smtp-source")
    if found is None:
        return None
    before, began = sink.taken(), time.monotonic()
    options = ["-d", "-s", str(SESSIONS), "-m", str(number), "-l", str(max(1, round(size) - _HEADER))]
    subprocess.run([found, *options, f"127.0.0.1:{sink.port}"], check=True, timeout=600)
    return number / (expect(sink, before + number, 10) - began)
