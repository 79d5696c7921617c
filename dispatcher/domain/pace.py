"""How fast something goes, from readings of a counter that only rises."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

#: Seconds over which a rate is taken.
SPAN = 60.0
#: Seconds below which a rise says nothing of the rate: a batch is committed at once.
SHORTEST = 1.0

_K = TypeVar("_K", bound=Hashable)


class Pace(Generic[_K]):
    """Rates of several counters over the last minute.

    What stood still at the beginning of the minute does not count, so that a lane's rate is right from its
    first seconds on; standing still at its end does, so that the rate falls to nothing within a minute.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Nothing was read yet.

        Args:
            monotonic: Seconds that only ever rise.
        """
        self._monotonic = monotonic
        self._readings: deque[tuple[float, Mapping[_K, int]]] = deque()

    def read(self, counters: Mapping[_K, int]) -> Mapping[_K, float]:
        """Take a reading.

        Args:
            counters: The counters as they stand; one that is not there stands at 0.

        Returns:
            By counter, by how much a second it rose; those that did not rise are left out.
        """
        now, last = self._monotonic(), dict(counters)
        self._readings.append((now, last))
        while self._readings[0][0] < now - SPAN:
            self._readings.popleft()
        rates = {key: self._rate(key, now, total) for key, total in last.items()}
        return {key: rate for key, rate in rates.items() if rate}

    def _rate(self, key: _K, now: float, total: int) -> float:
        began, first = self._readings[0][0], self._readings[0][1].get(key, 0)
        for at, counters in self._readings:
            if counters.get(key, 0) != first:
                break
            began = at
        return (total - first) / max(SHORTEST, now - began)
