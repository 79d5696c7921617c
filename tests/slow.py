"""How much slower than ours a machine may be on which the tests run."""

from __future__ import annotations

#: Three for a slow one, the rest for what else it does. A bound that a test puts on elapsed time is what is
#: promised, or what a quiet machine needs, times this.
PATIENT = 4
