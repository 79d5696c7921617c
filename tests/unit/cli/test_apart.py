from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from dispatcher.cli.apart import Ended, each
from dispatcher.flow.overtime import Overtime, at_most


def worker(word: str) -> Callable[[str], str]:
    """A process that does what its jobs say."""

    def work(job: str) -> str:
        if job == "hang":
            time.sleep(60)
        if job == "die":
            os._exit(7)
        return f"{word} {job}"

    return work


def test_every_job_is_done_once() -> None:
    """Each job's result comes with its name, whatever the number of processes."""
    jobs = [f"job-{number}" for number in range(9)]

    assert dict(each(jobs, worker, ("did",), seconds=60)) == {job: f"did {job}" for job in jobs}


def test_a_job_that_hangs_is_ended_and_the_others_are_done() -> None:
    """It holds up nobody for longer than it may."""
    found = dict(each(["hang", "a", "b"], worker, ("did",), seconds=3))

    assert isinstance(found["hang"], Ended)
    assert "did not come to an end" in str(found["hang"])
    assert (found["a"], found["b"]) == ("did a", "did b")


def test_a_process_that_dies_is_told_with_its_code() -> None:
    """A job that ends its process is named, and the others are done."""
    found = dict(each(["die", "a"], worker, ("did",), seconds=60))

    assert "exit code 7" in str(found["die"])
    assert found["a"] == "did a"


def test_nothing_to_do_is_done_at_once() -> None:
    """No process is begun for it."""
    assert list(each([], worker, ("did",), seconds=1)) == []


def test_work_that_does_not_end_is_stopped() -> None:
    """What runs in Python is interrupted where it is."""
    with pytest.raises(Overtime, match=r"after 0\.05 seconds of work"), at_most(0.05):
        sum(1 for _ in iter(int, 1))


def test_what_goes_unheard_is_said_again() -> None:
    """Python drops an exception that meets a callback of its own; the next one ends the work all the same."""

    def deaf() -> None:
        with suppress(Overtime):
            sum(1 for _ in iter(int, 1))
        sum(1 for _ in iter(int, 1))

    with pytest.raises(Overtime), at_most(0.05):
        deaf()


def test_work_of_another_thread_is_stopped_as_well() -> None:
    """A page that is rendered for a browser has no signals."""
    told: list[BaseException] = []

    def work() -> None:
        try:
            with at_most(0.05):
                sum(1 for _ in iter(int, 1))
        except Overtime as error:
            told.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)

    assert len(told) == 1


def test_work_that_ends_is_left_alone() -> None:
    """The limit is gone once the work is done."""
    with at_most(0.05):
        done = sum(range(10))
    until = time.process_time() + 0.1
    while time.process_time() < until:
        done += 1

    assert done > 45
