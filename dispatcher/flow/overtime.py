"""A limit to the work that a template may cause."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

#: Seconds of work until it is said again. Where the first time falls into a callback of the garbage
#: collector, or the like, Python drops what is raised there, and what never ends would go on.
_AGAIN = 0.1


class Overtime(Exception):  # noqa: N818
    """Something takes more time than it may."""

    def __init__(
        self, text: str = "it is not done in the time that it may take; does a loop never end?"
    ) -> None:
        super().__init__(text)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `Overtime` where the work inside takes more than so many seconds of this processor.

    Only what runs in Python is stopped. Where the system has no clock for the work of one thread, the time
    of the whole process counts.
    """
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        yield from _interrupted(seconds)
    else:
        yield from _watched(seconds)


def _interrupted(seconds: float) -> Iterator[None]:
    """By a signal, which only the main thread hears."""

    def over(_signal: int, _frame: FrameType | None) -> None:
        raise Overtime(f"it is not done after {seconds:g} seconds of work")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _watched(seconds: float) -> Iterator[None]:
    """By a second thread, which looks at the clock of this one."""
    worked, ended, lock = _clock(), threading.Event(), threading.Lock()
    worker, until = threading.get_ident(), worked() + seconds

    def watch() -> None:
        nonlocal until
        while not ended.wait(max(0.01, until - worked())):
            with lock:
                if not ended.is_set() and worked() >= until:
                    # The one way into another thread's Python; it is heard at that thread's next step.
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(worker), ctypes.py_object(Overtime)
                    )
                    until = worked() + _AGAIN

    watcher = threading.Thread(target=watch, name="overtime", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        while not ended.is_set():  # what is said at the last moment may strike right here
            with suppress(Overtime), lock:
                ended.set()
        watcher.join()


def _clock() -> Callable[[], float]:
    """A clock that counts the work of the thread that asks for it, whoever looks at it."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.process_time
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime(clock)
