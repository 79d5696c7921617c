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
#: Between two looks where nothing is under way.
_IDLE = 60.0


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
    work = _Work(_clock(), seconds)
    _watch.add(work)
    try:
        yield
    finally:
        while not work.ended:  # what is said at the last moment may strike right here
            with suppress(Overtime), work.lock:
                work.ended = True
        _watch.remove(work)


class _Work:
    """What one thread is at, and may be at for so many seconds."""

    def __init__(self, worked: Callable[[], float], seconds: float) -> None:
        self.lock = threading.Lock()
        self.ended = False
        self._worked = worked
        self._thread = threading.get_ident()
        self._until = worked() + seconds

    def look(self) -> float:
        """Say so if it is over; how long it cannot be over for."""
        with self.lock:
            left = self._until - self._worked()
            if not self.ended and left <= 0:
                # The one way into another thread's Python; it is heard at that thread's next step.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(Overtime)
                )
                left = _AGAIN
                self._until = self._worked() + left
        return left


class _Watch:
    """One thread that looks at all that is under way; a thread for each would cost as much as a mail."""

    def __init__(self) -> None:
        self._works: set[_Work] = set()
        self._changed = threading.Condition()
        self._next = float("inf")  # when it looks again
        self._thread: threading.Thread | None = None

    def add(self, work: _Work) -> None:
        with self._changed:
            self._works.add(work)
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = threading.Thread(target=self._run, name="overtime", daemon=True)
                self._thread.start()
            if time.monotonic() + work.look() < self._next:
                self._changed.notify()

    def remove(self, work: _Work) -> None:
        with self._changed:
            self._works.discard(work)

    def _run(self) -> None:
        while True:
            with self._changed:
                pause = max(0.01, min((work.look() for work in self._works), default=_IDLE))
                self._next = time.monotonic() + pause
                self._changed.wait(pause)


_watch = _Watch()


def _clock() -> Callable[[], float]:
    """A clock that counts the work of the thread that asks for it, whoever looks at it."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.process_time
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime(clock)
