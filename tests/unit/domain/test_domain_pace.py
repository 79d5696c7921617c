"""A rate over the last minute, from readings."""

from __future__ import annotations

import pytest

from dispatcher.domain.pace import Pace


class Watch:
    """Monotonic seconds that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


def readings(pace: Pace[str], watch: Watch, *totals: int) -> list[float]:
    """The rates of one counter that is read every five seconds."""
    rates = []
    for total in totals:
        rates.append(pace.read({"a": total}).get("a", 0.0))
        watch.now += 5
    return rates


def test_a_rate_is_right_from_the_first_seconds_on(watch: Watch) -> None:
    """The time before something began to move is not divided by."""
    assert readings(Pace(watch), watch, 0, 0, 0, 500, 1000) == [0, 0, 0, 100, 100]


def test_standing_still_counts_once_it_moved(watch: Watch) -> None:
    """The rate falls while nothing comes, and is gone after a minute."""
    rates = readings(Pace(watch), watch, 0, 600, *[600] * 12)

    assert rates[:4] == [0, 120, 60, 40]
    assert (rates[-2], rates[-1]) == (10, 0)


def test_only_the_last_minute_counts(watch: Watch) -> None:
    """A fast hour before does not make a slow minute look fast."""
    totals = [1000 * number for number in range(20)]
    totals += [totals[-1] + 10 * number for number in range(1, 14)]

    assert readings(Pace(watch), watch, *totals)[-1] == pytest.approx(2)


def test_two_readings_in_one_breath_do_not_make_a_rate(watch: Watch) -> None:
    """A batch that was committed between them is spread over a second at least."""
    pace = Pace[str](watch)
    pace.read({})
    watch.now += 0.1

    assert pace.read({"a": 200}) == {"a": 200}


def test_each_counter_has_its_own_rate(watch: Watch) -> None:
    """One that begins later is measured from where it began; one that stands still is left out."""
    pace = Pace[str](watch)
    pace.read({"a": 0})
    watch.now += 10
    pace.read({"a": 100, "b": 0, "c": 0})
    watch.now += 10

    assert pace.read({"a": 200, "b": 50, "c": 0}) == {"a": 10, "b": 5}
