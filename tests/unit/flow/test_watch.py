from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.flow.watch import LeaseWatch
from dispatcher.ledger.leases import Lease

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A = Lease("a", NOON)
A_RENEWED = Lease("a", NOON + timedelta(seconds=10))
B = Lease("b", NOON - timedelta(days=300))


def watch(seconds: int = 30) -> LeaseWatch[Lease]:
    return LeaseWatch[Lease](timedelta(seconds=seconds))


def test_a_lease_that_nobody_renews_runs_out() -> None:
    """It has to be seen as it is for as long as it holds."""
    looking = watch()
    told = [looking.lapsed([A], float(now)) for now in range(0, 33, 2)]

    assert told[:15] == [[]] * 15
    assert told[15] == [A]


def test_a_renewed_lease_does_not() -> None:
    """A renewal changes it, and the time begins anew."""
    looking = watch()
    told = [looking.lapsed([A if now < 20 else A_RENEWED], float(now)) for now in range(0, 50, 2)]

    assert told == [[]] * 25


def test_what_a_lease_says_is_never_compared_with_a_clock() -> None:
    """A worker whose clock is a year behind keeps its lease like any other."""
    looking = watch()

    assert looking.lapsed([A, B], 0.0) == []
    assert [looking.lapsed([A, B], float(now)) for now in range(2, 30, 2)] == [[]] * 14


def test_the_time_of_an_outage_hardly_counts() -> None:
    """While the ledger was away nobody could renew, so of that time no more than 9 seconds of 30 count."""
    looking = watch()
    looking.lapsed([A], 0.0)
    looking.lapsed([A], 10.0)
    after_the_outage = looking.lapsed([A], 3600.0)
    told = [looking.lapsed([A], 3600.0 + now) for now in range(2, 16, 2)]

    assert after_the_outage == []
    assert told == [[]] * 5 + [[A]] * 2


def test_a_slow_ledger_keeps_nobody_alive_for_ever() -> None:
    """Where each look takes long, a dead worker is found later, but it is found."""
    looking = watch()
    told = [looking.lapsed([A], now * 20.0) for now in range(6)]

    assert told == [[]] * 4 + [[A]] * 2


@pytest.mark.parametrize("lease", [5.0, 30.0, 3600.0])
@pytest.mark.parametrize("outage", [0.5, 3.0, 60.0, 7200.0])
def test_a_living_worker_outlives_every_outage(lease: float, outage: float) -> None:
    """It renewed a third of a lease ago at worst, and does so a second after the ledger is back."""
    looking = LeaseWatch[Lease](timedelta(seconds=lease))
    now, told = 0.0, list[object]()
    while now < lease / 3:
        told += looking.lapsed([A], now)
        now += 2.0
    now += outage
    told += looking.lapsed([A], now)
    told += looking.lapsed([A], now + 1.0)

    assert told == []


def test_the_shortest_lease_bears_a_sweep_every_two_seconds() -> None:
    """Of two seconds one and a half count then, and a dead worker is found at the fourth look."""
    looking = watch(5)
    told = [looking.lapsed([A], now) for now in (0.0, 2.0, 4.0, 6.0, 8.0)]

    assert told == [[], [], [], [], [A]]
