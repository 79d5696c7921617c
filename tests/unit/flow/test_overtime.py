"""What takes more time than it may is stopped, and nothing else is."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dispatcher.flow.overtime import Overtime, at_most


def work(seconds: float, limit: float) -> str:
    """Be busy for so long, within a limit; what came of it."""
    ends = time.thread_time() + seconds
    try:
        with at_most(limit):
            while time.thread_time() < ends:
                sum(range(100))
    except Overtime:
        return "stopped"
    return "done"


@pytest.mark.parametrize(("seconds", "expected"), [(60.0, "stopped"), (0.0, "done")])
def test_what_never_ends_is_stopped(seconds: float, expected: str) -> None:
    """In the main thread, where a signal does it, and in another, where a second thread does."""
    with ThreadPoolExecutor(1) as pool:
        assert [work(seconds, 0.05), pool.submit(work, seconds, 0.05).result()] == [expected] * 2


def test_each_of_several_has_its_own_limit() -> None:
    """One thread watches over all of them, a short limit that comes after a long one among them."""
    with ThreadPoolExecutor(4) as pool:
        long = [pool.submit(work, 0.2, 60.0) for _ in range(2)]
        short = [pool.submit(work, 60.0, 0.05) for _ in range(2)]
        found = [one.result() for one in (*long, *short)]
        watching = [thread.name for thread in threading.enumerate()].count("overtime")

    assert found == ["done", "done", "stopped", "stopped"]
    assert watching == 1


def test_many_that_end_in_time_leave_nothing_behind() -> None:
    """What comes after a limit that was kept is not struck by it."""
    with ThreadPoolExecutor(2) as pool:
        assert {one.result() for one in [pool.submit(work, 0.0, 0.001) for _ in range(2_000)]} <= {
            "done",
            "stopped",
        }
        assert pool.submit(work, 0.05, 60.0).result() == "done"
