"""When those that were sent off come back."""

from __future__ import annotations

from collections import Counter

import pytest

from dispatcher.smtp.returns import EARLY_SECONDS, LATEST, SOONEST, Returns, horizon


def test_they_come_back_as_far_apart_as_their_turns() -> None:
    """Each a little before its turn, in groups that go to the ledger together."""
    returns = Returns()
    given = Counter(returns.give(100.0, 20.0, 1.0, LATEST) for _ in range(10))

    assert given == {18.0: 2, 20.0: 2, 22.0: 2, 24.0: 2, 26.0: 2}
    assert returns.away(100.0) == 10
    assert returns.away(120.0) == 6
    assert returns.away(200.0) == 0


def test_a_faster_pace_fills_the_gaps_that_a_slower_one_left() -> None:
    """Whoever is sent off later need not come after those that were sent off before."""
    returns = Returns()
    for _ in range(10):
        returns.give(0.0, 10.0, 10.0, LATEST)
    given = [returns.give(0.0, 1.0, 1.0, LATEST) for _ in range(20)]

    assert given[0] == SOONEST
    assert max(given) <= 1.0 + 30 * 1.0


def test_nobody_stays_away_for_longer_than_said() -> None:
    """Those whose turn is further off have none yet, and take none from those who come after."""
    returns = Returns()
    given = [returns.give(0.0, 0.0, 1.0, 8.0) for _ in range(30)]

    assert max(given) == 8.0
    assert returns.away(0.0) == given.index(8.0) <= 8 + EARLY_SECONDS


@pytest.mark.parametrize(("steady", "longest"), [(0, 2), (0.7, 2), (3, 8), (30, 64), (74, 256), (75, LATEST)])
def test_a_pace_is_trusted_for_a_few_times_as_long_as_it_has_held(steady: float, longest: float) -> None:
    """What came in a second says little of the next five minutes."""
    assert horizon(steady) == longest
