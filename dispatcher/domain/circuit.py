"""Whether to bother a server that takes nothing: the circuit of a relay.

A server that is down for everybody is no news about any one message. So after a failure that is the
server's, nothing is begun for a while; then one message goes ahead, and its fate decides for the rest.
The same idea as qmgr(8) of Postfix, which calls such a destination dead, and as Nygard's circuit breaker.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: Seconds until the first probe, and the longest between two. With the two seconds that the sweep takes to
#: ring again, a server that is back is tried within 30 seconds.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 25.0
#: A refused log-in is tried again as late as that: accounts get locked for less.
LOGIN_PAUSE = LONGEST_PAUSE
#: A probe that has not ended after so many seconds keeps others from probing no longer.
PROBE_SECONDS = 30.0


class State(StrEnum):
    """Where a circuit stands."""

    CLOSED = "closed"  # mail flows
    OPEN = "open"  # nothing is begun
    HALF_OPEN = "half-open"  # one message goes ahead


@dataclass(frozen=True, slots=True)
class Look:
    """A circuit as others see it.

    Attributes:
        seconds: How long ago it left `State.CLOSED`; 0 while it is closed.
        why: The failure that opened it last; empty while it is closed.
    """

    state: State
    seconds: float = 0.0
    why: str = ""


class Circuit:
    """Counts one server's failures; `now` is always monotonic seconds."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE
        self._broken_at: float | None = None
        self._until = 0.0
        self._probing_since: float | None = None
        self._why = ""

    def room(self, now: float) -> int | None:
        """How many more messages may be begun: None for any number, 0 or 1 while it is not closed."""
        if self._broken_at is None:
            return None
        if now < self._until:
            return 0
        return 0 if self._probing_since is not None and now < self._probing_since + PROBE_SECONDS else 1

    def admit(self, now: float) -> bool:
        """Whether a message may be begun now; if it is not closed, that message is the probe."""
        room = self.room(now)
        if room:
            self._probing_since = now
        return room != 0

    def succeeded(self) -> None:
        """The server carried out a transaction, whatever it thought of the message."""
        self._broken_at = self._probing_since = None
        self._pause = FIRST_PAUSE
        self._why = ""

    def failed(self, now: float, why: str, *, pause: float = 0.0) -> None:
        """The server takes nothing.

        Messages that were begun before the circuit opened fail one after the other; that is one failure.

        Args:
            now: The moment.
            why: What happened, fit for a user.
            pause: Seconds to wait at least before the next probe.
        """
        if self._broken_at is not None and now < self._until:
            return
        if self._broken_at is None:
            self._broken_at = now
        length = max(self._pause, pause)
        self._until = now + length
        self._pause = min(2 * length, LONGEST_PAUSE)
        self._probing_since = None
        self._why = why

    def unused(self) -> None:
        """The probe came to nothing that says anything about the server: let another try."""
        self._probing_since = None

    def look(self, now: float) -> Look:
        """How it stands."""
        if self._broken_at is None:
            return Look(State.CLOSED)
        state = State.OPEN if now < self._until else State.HALF_OPEN
        return Look(state, now - self._broken_at, self._why)
