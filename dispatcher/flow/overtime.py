"""A limit to the work that a template may cause."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Overtime(Exception):  # noqa: N818
    """Something takes more time than it may."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `Overtime` where the work inside takes more than so many seconds of this processor.

    Only what runs in Python is stopped, in a main thread, and where the system has such clocks.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(_signal: int, _frame: FrameType | None) -> None:
        raise Overtime(f"it is not done after {seconds:g} seconds of work")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
