from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dispatcher.flow.watch import LeaseWatch
from dispatcher.ledger.leases import Lease

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A = Lease("a", NOON)
A_RENEWED = Lease("a", NOON + timedelta(seconds=10))
B = Lease("b", NOON - timedelta(days=300))


def watch(seconds: int = 30) -> LeaseWatch:
    return LeaseWatch(timedelta(seconds=seconds))


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


def test_whoever_could_not_look_begins_anew() -> None:
    """While the ledger was away nobody could renew, so that time proves nothing."""
    looking = watch()
    looking.lapsed([A], 0.0)
    after_the_gap = looking.lapsed([A], 40.0)
    told = [looking.lapsed([A], 40.0 + now) for now in range(2, 32, 2)]

    assert after_the_gap == []
    assert told[:14] == [[]] * 14
    assert told[14] == [A]


def test_the_shortest_lease_bears_a_slow_sweep() -> None:
    """With five seconds of lease and two between looks, a look that comes late is no gap."""
    looking = watch(5)
    told = [looking.lapsed([A], now) for now in (0.0, 2.0, 6.5)]

    assert told == [[], [], [A]]
