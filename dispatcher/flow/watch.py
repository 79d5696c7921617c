"""What is not renewed any more, told without trusting anybody's wall clock.

A lease changes in the ledger each time its worker renews it. So whoever looks often enough needs no more
than a watch of its own: a lease that stayed the same for as long as a lease holds was not renewed. Machines
whose clocks differ, or jump, take nothing from each other by that. So it is with the reports of workers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

_Held = TypeVar("_Held")

#: Of the time between two looks, so much of a lease counts at most: when the ledger was away meanwhile,
#: nobody could renew. With the third of a lease after which workers renew, and the second after which they
#: try again, that stays below a whole one for every lease there may be.
COUNTS_AT_MOST = 0.3


class LeaseWatch(Generic[_Held]):
    """Remembers for how long each lease, or whatever changes with each renewal, is as it is."""

    def __init__(self, lease: timedelta) -> None:
        self._lease = lease.total_seconds()
        self._unchanged: dict[_Held, float] = {}
        self._looked: float | None = None

    def lapsed(self, held: Collection[_Held], now: float) -> Sequence[_Held]:
        """Those of the leases `held` at present that ran out.

        Args:
            held: All there are.
            now: Monotonic seconds.
        """
        passed = 0.0 if self._looked is None else now - self._looked
        step = min(passed, COUNTS_AT_MOST * self._lease)
        self._looked = now
        before = self._unchanged
        self._unchanged = {lease: before[lease] + step if lease in before else 0.0 for lease in held}
        return [lease for lease, seconds in self._unchanged.items() if seconds >= self._lease]

    def forget(self) -> None:
        """Begin anew: what ran out could not be taken over, so its worker may not have been able to renew."""
        self._unchanged.clear()
