from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from domain_examples import steady
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.delivery import Lane
from dispatcher.domain.retry import GIVE_UP, JITTER, next_try

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Fixed(random.Random):
    """A random source that always gives the same place between the two bounds."""

    def __init__(self, place: float) -> None:
        super().__init__(0)
        self.place = place

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.place


MIDDLE = Fixed(0.5)


def pause(lane: Lane, tries: int, rng: random.Random = MIDDLE) -> timedelta:
    """How long the delivery waits after that many tries."""
    moment = next_try(lane, tries, NOW, NOW, rng)
    assert moment is not None
    return moment - NOW


@pytest.mark.parametrize(
    ("tries", "urgent", "other"),
    [
        (1, timedelta(seconds=15), timedelta(minutes=5)),
        (2, timedelta(seconds=30), timedelta(minutes=10)),
        (3, timedelta(minutes=1), timedelta(minutes=20)),
        (4, timedelta(minutes=2), timedelta(minutes=40)),
        (5, timedelta(minutes=4), timedelta(minutes=80)),
        (6, timedelta(minutes=8), timedelta(minutes=160)),
        (7, timedelta(minutes=16), timedelta(hours=4)),
        (10, timedelta(minutes=128), timedelta(hours=4)),
        (11, timedelta(hours=4), timedelta(hours=4)),
        (1_000_000, timedelta(hours=4), timedelta(hours=4)),
    ],
)
def test_the_pause_doubles_up_to_four_hours(tries: int, urgent: timedelta, other: timedelta) -> None:
    """An urgent delivery is tried again within seconds, any other within minutes, none after hours only."""
    assert pause(Lane.URGENT, tries) == urgent
    assert pause(Lane.NORMAL, tries) == other
    assert pause(Lane.BULK, tries) == other


@pytest.mark.parametrize("seed", range(3))
def test_a_seeded_source_gives_the_same_moment(seed: int) -> None:
    """The spread comes from the source that is passed in and from nowhere else."""
    first = [pause(Lane.NORMAL, n, random.Random(seed)) for n in range(1, 9)]

    assert first == [pause(Lane.NORMAL, n, random.Random(seed)) for n in range(1, 9)]
    assert first != [pause(Lane.NORMAL, n, random.Random(seed + 1)) for n in range(1, 9)]


def test_the_table_of_one_seed() -> None:
    """With a fixed seed the whole series of an urgent delivery is known."""
    rng = random.Random(7)
    spreads = random.Random(7)
    expected = [min(15 * 2**n, 4 * 3600) * (1 + (spreads.random() * 0.4 - 0.2)) for n in range(14)]

    seconds = [pause(Lane.URGENT, tries, rng).total_seconds() for tries in range(1, 15)]

    assert seconds == pytest.approx(expected, abs=1e-5)


@steady
@given(st.sampled_from(Lane), st.integers(1, 200), st.integers())
def test_the_spread_stays_within_a_fifth(lane: Lane, tries: int, seed: int) -> None:
    """Jitter moves a retry by at most 20 percent to either side."""
    middle = pause(lane, tries)

    assert middle * (1 - JITTER) <= pause(lane, tries, random.Random(seed)) <= middle * (1 + JITTER)
    assert pause(lane, tries, Fixed(0)) == middle * 0.8
    assert pause(lane, tries, Fixed(1)) == middle * 1.2


@steady
@given(st.sampled_from(Lane), st.integers(1, 200), st.floats(0, 1))
def test_a_later_retry_never_waits_less(lane: Lane, tries: int, place: float) -> None:
    """At the same place of the spread the pauses never shrink, and there always is one."""
    assert timedelta(0) < pause(lane, tries, Fixed(place)) <= pause(lane, tries + 1, Fixed(place))


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("tries", [1, 30])
def test_it_gives_up_after_four_days(lane: Lane, tries: int) -> None:
    """Four days after the delivery was made it is over, however often it was tried; not a moment before."""
    end = NOW + timedelta(days=4)

    assert timedelta(days=4) == GIVE_UP
    assert next_try(lane, tries, NOW, end, MIDDLE) is None
    assert next_try(lane, tries, NOW, end + timedelta(days=1), MIDDLE) is None
    assert next_try(lane, tries, NOW, end - timedelta(microseconds=1), MIDDLE) is not None


@pytest.mark.parametrize("lane", Lane)
def test_a_dead_relay_is_tried_some_dozens_of_times(lane: Lane) -> None:
    """From the first failure to the end a delivery is tried between 20 and 60 times."""
    moment, tries = NOW, 0
    following: datetime | None = NOW
    while following is not None:
        moment, tries = following, tries + 1
        following = next_try(lane, tries, NOW, moment, random.Random(tries))

    assert 20 <= tries <= 60
    assert GIVE_UP <= moment - NOW <= GIVE_UP + timedelta(hours=5)
