"""How many sessions a server is given: more while that speeds things up, fewer when it has too much.

Additive increase, multiplicative decrease, as TCP finds its share of a wire (RFC 5681) and qmgr(8) of Postfix
its share of a server. Pure: the clock is the caller's, in monotonic seconds.
"""

from __future__ import annotations

from collections import deque

#: What a server gets before it has answered anything; Postfix begins with five.
FIRST = 4
#: How long a server that had too much is not given more.
HOLD_SECONDS = 30.0
#: Answers within this are quick, whatever others took.
QUICK_SECONDS = 0.25
#: Answers that all take so many times the quickest tell that more sessions only wait for each other. Where
#: some are as quick as they were, the others have reasons of their own: another domain, a large message.
SLOWER = 2.0
#: A server that says nothing for so long while mail waits is given one more.
SILENT_SECONDS = 1.0
#: Each answer weighs an eighth in what answers take, as in TCP's round-trip times (RFC 6298).
_WEIGHT = 1 / 8
#: So many answers are looked at for one that is as quick as it was.
_LATELY = 8
#: The quickest is forgotten at this rate an answer, for servers change.
_FORGET = 1.0001


class Width:
    """One server's share.

    Attributes:
        room: How many sessions it is given at present.
        shrinks: How often it was given less; what begins remembers it.
    """

    def __init__(self, most: int) -> None:
        """Begin small.

        Args:
            most: What it is given at most.
        """
        self._most = most
        self.room = min(most, FIRST)
        self.shrinks = 0
        self._credit = 0.0
        self._careful = False
        self._doubt = False
        self._held_until = float("-inf")
        self._silent_since: float | None = None
        self._usual: float | None = None
        self._quickest = float("inf")
        self._lately: deque[float] = deque(maxlen=_LATELY)

    def answered(self, now: float, seconds: float, *, full: bool) -> bool:
        """The server carried out a transaction in so many seconds.

        Args:
            now: The moment.
            seconds: How long it took.
            full: Whether all sessions it is given are in use; else there is no reason for more.

        Returns:
            Whether it is given more.
        """
        self._doubt = False
        self._silent_since = None
        self._usual = seconds if self._usual is None else self._usual + _WEIGHT * (seconds - self._usual)
        self._quickest = min(self._quickest * _FORGET, self._usual)
        self._lately.append(seconds)
        if not full or self.room >= self._most or now < self._held_until:
            return False
        if min(self._lately) > max(QUICK_SECONDS, SLOWER * self._quickest):
            return False
        # One more an answer, which doubles in a round, until it once was too much; then one more a round.
        self._credit += 1 / self.room if self._careful else 1
        if self._credit < 1:
            return False
        self._credit = 0.0
        self.room += 1
        return True

    def waited(self, now: float) -> bool:
        """Mail waits for a session, and the server may have said nothing for a while.

        A few messages that hang would otherwise hold up all others, for minutes (RFC 5321 section 4.5.3.2).

        Args:
            now: The moment.

        Returns:
            Whether it is given more.
        """
        if self._silent_since is None:
            self._silent_since = now
        if self.room >= self._most or now < max(self._held_until, self._silent_since + SILENT_SECONDS):
            return False
        self._silent_since = now
        self.room += 1
        return True

    def refused(self, now: float, shrinks: int, standing: int | None = None) -> bool:
        """The server refused something for its own sake, while other sessions stood.

        Args:
            now: The moment.
            shrinks: What that was when it began: what began before the last time says nothing new.
            standing: How many sessions it does bear, where that is known; else it is given half.

        Returns:
            Whether it can be that it had too much; False once that was tried and nothing was answered since.
        """
        if shrinks < self.shrinks:
            return True
        if self._doubt:
            return False
        self.room = max(1, min(self.room - 1, self.room // 2 if standing is None else standing))
        self._careful = self._doubt = True
        self._credit = 0.0
        self._silent_since = None
        self._held_until = now + HOLD_SECONDS
        self.shrinks += 1
        return True
