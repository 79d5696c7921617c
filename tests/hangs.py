"""No hang lasts, and each is named: what stands behind pytest-timeout where that does not help.

pytest-timeout raises an error in the main thread, once. The error can get lost, as when another task than
the test's runs at that moment; and once a test has failed it watches no more, though what is torn down
then may hang as well. So there is a second clock, which needs neither the main thread nor Python: it prints
where every thread is, and ends the process. pytest-xdist then reports the test, and another process does the
others.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from collections.abc import Generator
from typing import Any

import pytest

#: Seconds that a test may go on after pytest-timeout should have ended it, or after it has failed.
GRACE = 60
#: Seconds for a process of pytest-xdist to end once its tests are done.
END = 120
_STDERR = pytest.StashKey[int]()
#: Of Linux, see prctl(2).
_PR_SET_PDEATHSIG = 1


def pytest_configure(config: pytest.Config) -> None:
    """Keep the way to the terminal, for within a test stderr is a file; and let no fork outlive its process.

    A fork has its parent's pipe to pytest-xdist, which takes the parent for alive while anybody has that.
    """
    assert sys.__stderr__ is not None
    config.stash[_STDERR] = os.dup(sys.__stderr__.fileno())
    if sys.platform == "linux" and hasattr(config, "workerinput"):
        prctl = ctypes.CDLL(None).prctl
        os.register_at_fork(after_in_child=lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))


def _end_after(config: pytest.Config, seconds: float) -> None:
    faulthandler.dump_traceback_later(seconds, exit=True, file=config.stash[_STDERR])


def _limit(item: pytest.Item) -> float:
    """How long pytest-timeout lets it run; 0 for ever."""
    if (given := item.config.getoption("timeout", None)) is not None:
        return float(given)
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0] if marker else item.config.getini("timeout") or 0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Watch a test from its first fixture's beginning to its last fixture's end."""
    if limit := _limit(item):
        _end_after(item.config, limit + GRACE)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: object) -> None:
    """Once a test has failed pytest and pytest-timeout stop their clocks; this one begins anew."""
    if isinstance(node, pytest.Item) and _limit(node) and not node.config.getoption("usepdb"):
        _end_after(node.config, GRACE)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing that a test has left, such as a thread, keeps a process of pytest-xdist from ending."""
    if hasattr(session.config, "workerinput"):
        _end_after(session.config, END)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, sched: Any) -> None:
    """A test that has ended its process is not begun again; pytest-xdist would do so eight times."""
    queue = getattr(sched, "workqueue", {})
    for scope, unit in list(queue.items()):
        if crashitem in unit:
            unit[crashitem] = True
            if all(unit.values()):
                del queue[scope]
