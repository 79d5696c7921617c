"""Work in processes of its own, which are ended when they take too long.

Templates are programs: one that loops for ever, or asks for all memory, must not do so to who checks it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Final

#: Processes at most; more find too little work to pay for their start.
_MOST: Final = 4


def _context() -> BaseContext:
    """How processes are begun: by fork where that is safe, which spares them a second of imports."""
    # A fork copies whatever locks other threads hold at that moment, and macOS has such threads of its own.
    alone = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork" if alone else "spawn")


#: Makes, in a process of its own, what does a job: it takes the job's name and gives its result.
Maker = Callable[..., Callable[[str], Any]]


class Ended(Exception):  # noqa: N818
    """A job was ended, or its process ended by itself; the text says which."""


@dataclass(slots=True)
class _Hand:
    """A process, our end of the pipe to it, what it works on and until when."""

    process: BaseProcess
    pipe: Connection
    job: str = ""
    until: float = 0.0


def each(
    jobs: Sequence[str], maker: Maker, given: Sequence[Any], *, seconds: float
) -> Iterator[tuple[str, Any]]:
    """The result of each job, in the order in which they are done; `Ended` for one that did not end.

    Args:
        jobs: The names of the jobs.
        maker: A function of a module, called once in each process with `given`.
        given: What can be pickled.
        seconds: How long one job may take by the clock.
    """
    hands: list[_Hand] = []
    todo = list(reversed(jobs))
    try:
        while todo or any(hand.job for hand in hands):
            _employ(hands, todo, maker, given, seconds)
            busy = [hand for hand in hands if hand.job]
            wait([hand.pipe for hand in busy], max(0.0, min(hand.until for hand in busy) - time.monotonic()))
            for hand in busy:
                if (result := _result(hand)) is not None:
                    yield hand.job, result
                    hand.job = ""
                    if isinstance(result, Ended):
                        _dismiss(hand)
                        hands.remove(hand)
    finally:
        for hand in hands:
            _dismiss(hand)


def _employ(hands: list[_Hand], todo: list[str], maker: Maker, given: Sequence[Any], seconds: float) -> None:
    """Give every hand a job that has none, and take on more of them while there is enough to do."""
    most = min(_MOST, os.cpu_count() or 1)
    while todo and (len(hands) < most or any(not hand.job for hand in hands)):
        idle = next((hand for hand in hands if not hand.job), None)
        if idle is None:
            context = _context()
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, maker, tuple(given)), daemon=True)  # type: ignore[attr-defined]
            process.start()
            theirs.close()
            hands.append(idle := _Hand(process, ours))
        idle.job, idle.until = todo.pop(), time.monotonic() + seconds
        with suppress(OSError):  # one that is gone already is found out by `_result`
            idle.pipe.send(idle.job)


def _result(hand: _Hand) -> Any:
    """What came of a hand's job; None while it works."""
    try:
        if hand.pipe.poll():
            return hand.pipe.recv()
    except (EOFError, OSError):
        hand.process.join(1)
        return Ended(f"ended its process, with exit code {hand.process.exitcode}")
    return Ended("did not come to an end") if time.monotonic() >= hand.until else None


def _dismiss(hand: _Hand) -> None:
    hand.process.kill()
    hand.process.join()
    hand.process.close()
    hand.pipe.close()


def _work(pipe: Connection, maker: Maker, given: Sequence[Any]) -> None:
    """What runs in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends this process
    do = maker(*given)
    with suppress(EOFError):
        while True:
            pipe.send(do(pipe.recv()))
