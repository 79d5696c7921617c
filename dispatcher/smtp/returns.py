"""When those that a domain has no place for come back: in time, and never as a crowd.

Pure: moments are the caller's, in monotonic seconds.
"""

from __future__ import annotations

import math
from bisect import insort

#: Nobody comes back sooner: that is about as often as a worker looks for what is due.
SOONEST = 0.125
#: Nobody stays away for longer: a limit may be set anew within minutes.
LATEST = 300.0
#: Those who come back are here so much before their turns, because a worker that has nothing to do looks
#: every two seconds; but no more of them than would find room to wait.
EARLY_SECONDS, EARLY = 2.0, 50
#: A pace that was measured may have been too slow, and a place that nobody takes is lost: more are called
#: back than would fit by so much, and those for whom there is none go off again.
CALLED = 1.25
#: How long somebody may stay away for each second that the pace was steady, and at least.
TRUST, TRUSTED = 4.0, 2.0


class Returns:
    """The moments that were given to those that were sent off, of one domain and one kind."""

    def __init__(self) -> None:
        """Nobody was sent off."""
        self._moments: list[int] = []  # in steps of `SOONEST`; sorted
        self._called: dict[int, int] = {}  # how many come back at each
        self._away = 0

    def away(self, now: float) -> int:
        """How many are still away."""
        passed = 0
        while passed < len(self._moments) and self._moments[passed] * SOONEST <= now:
            self._away -= self._called.pop(self._moments[passed])
            passed += 1
        del self._moments[:passed]
        return self._away

    def give(self, now: float, ahead: float, each: float, latest: float) -> float:
        """Send one more off.

        Args:
            now: The moment.
            ahead: In how many seconds one could begin who comes behind those that wait here.
            each: Seconds between two turns.
            latest: Seconds after which it comes back at the latest, whatever its turn.

        Returns:
            In how many seconds to come back; often the same for several, who go to the ledger together.
        """
        early = min(EARLY_SECONDS, EARLY * each)
        step = 2.0 ** math.floor(math.log2(max(SOONEST, early)))
        first = ahead - early
        later = max(SOONEST, step * math.floor((first + each * self._before(now, first, each)) / step))
        if later >= latest:
            return latest  # its turn is too far off to be known; it is given one when it is back
        moment = math.floor((now + later) / SOONEST)
        if moment not in self._called:
            insort(self._moments, moment)
        self._called[moment] = self._called.get(moment, 0) + 1
        self._away += 1
        return later

    def _before(self, now: float, first: float, each: float) -> int:
        """How many come back before the first turn that nobody was given."""
        away = self.away(now)
        if away and now + first + each * away < self._moments[-1] * SOONEST:
            # They are fewer than there is room for by then: the pace has risen.
            before = 0
            for moment in self._moments:
                if moment * SOONEST > now + max(SOONEST, first + each * before):
                    return before
                before += self._called[moment]
        return away


def horizon(steady: float) -> float:
    """For how many seconds somebody may stay away at a pace that has held for `steady` seconds."""
    longest = max(TRUSTED, TRUST * steady)
    return LATEST if longest >= LATEST else float(2.0 ** math.floor(math.log2(longest)))
