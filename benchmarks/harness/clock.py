"""Time and order statistics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Seconds since the block began."""
    began = time.perf_counter()
    yield lambda: time.perf_counter() - began


@contextmanager
def worked() -> Iterator[Callable[[], float]]:
    """Seconds of CPU that this process has used since the block began; others on the machine do not count."""
    began = time.process_time()
    yield lambda: time.process_time() - began


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that `percent` of all values do not exceed.

    No value is made up between two that were measured: with fewer than 100 of them, p99 is the worst.

    Raises:
        ValueError: There are no values, or `percent` is not within 0 to 100.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError(f"no {percent:g}th percentile of {len(values)} values")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def wait_until(done: Callable[[], bool], seconds: float, look: float = 0.02) -> bool:
    """Whether `done` became true within so many seconds; asked every `look` seconds."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(look)
    return True
