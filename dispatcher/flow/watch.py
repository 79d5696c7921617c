"""Which leases ran out, told without trusting anybody's wall clock.

A lease changes in the ledger each time its worker renews it. So whoever looks often enough needs no more
than a watch of its own: a lease that stayed the same for as long as a lease holds was not renewed. Machines
whose clocks differ, or jump, take nothing from each other by that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from dispatcher.ledger.leases import Lease

#: Whoever has not looked for so many seconds begins anew: the ledger may have been away, and then nobody
#: could renew.
LONGEST_GAP = 5.0


class LeaseWatch:
    """Remembers since when each lease is as it is."""

    def __init__(self, lease: timedelta) -> None:
        self._lease = lease.total_seconds()
        self._seen: dict[Lease, float] = {}
        self._looked = float("-inf")

    def lapsed(self, held: Collection[Lease], now: float) -> Sequence[Lease]:
        """Those of the leases `held` at present that ran out.

        Args:
            held: All there are.
            now: Monotonic seconds.
        """
        if now - self._looked > max(LONGEST_GAP, self._lease / 2):
            self._seen.clear()
        self._looked = now
        self._seen = {lease: self._seen.get(lease, now) for lease in held}
        return [lease for lease, since in self._seen.items() if now - since >= self._lease]
