"""The sessions that stand: in use, or kept for the next message."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from dispatcher.smtp.session import Session

#: Servers drop idle sessions after minutes (RFC 5321: at least five), load balancers sooner.
IDLE_SECONDS = 30.0
#: Many servers limit the messages per session, and load balancers spread only new ones.
MESSAGES_PER_SESSION = 1000


class Pool:
    """Keeps sessions, and takes leave of those that are of no more use."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with none.

        Args:
            clock: Monotonic seconds.
        """
        self._clock = clock
        self._idle: deque[Session] = deque()  # the longest idle first
        self._open: set[Session] = set()  # idle or in use
        self._closed = False

    def __len__(self) -> int:
        """How many stand, idle or in use."""
        return len(self._open)

    def add(self, session: Session) -> None:
        """Count one that was opened; it is in use."""
        self._open.add(session)

    def kept(self) -> Session | None:
        """The idle session that was used last; those idle for too long are let go."""
        oldest = self._clock() - IDLE_SECONDS
        while self._idle and self._idle[0].idle_since < oldest:
            self._retire(self._idle.popleft())
        while self._idle:
            session = self._idle.pop()
            if session.connected:
                return session
            self._open.discard(session)
            session.abort()
        return None

    def put_back(self, session: Session, room: int) -> None:
        """Take a session back that was in use.

        Args:
            session: The session; it is kept if it is fit to be.
            room: How many may stand.
        """
        if not session.fit:
            self._open.discard(session)
            session.abort()
        elif self._closed or session.messages >= MESSAGES_PER_SESSION or len(self._open) > room:
            self._retire(session)
        else:
            session.idle_since = self._clock()
            self._idle.append(session)

    async def close(self) -> None:
        """Say QUIT on idle sessions and let go of them; sessions in use follow when they are put back."""
        self._closed = True
        idle = [*self._idle]
        self._idle.clear()
        self._open.difference_update(idle)
        await asyncio.gather(*(session.quit() for session in idle))
        await asyncio.sleep(0)  # sockets are closed in the loop's next round

    def _retire(self, session: Session) -> None:
        self._open.discard(session)
        session.retire()
