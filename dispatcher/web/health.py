"""``/healthz`` and ``/readyz``: for whoever watches the process; they need no token and tell no details."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

import orjson
from starlette.responses import Response

from dispatcher.domain.delivery import Lane
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.status import age, relay_word
from dispatcher.flow.waits import SLOW
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.workers import ALIVE_WITHIN
from dispatcher.queue.bell import Bell

#: A probe waits no longer, for those who ask have deadlines of their own.
PATIENCE = 2.0
_Answer = TypeVar("_Answer")


class Health:
    """Says how the parts are."""

    def __init__(self, ledger: Ledger, bell: Bell) -> None:
        self._ledger = ledger
        self._bell = bell

    async def alive(self) -> Response:
        """200 as long as the process answers."""
        return _answer(200, {"status": "alive"})

    async def ready(self) -> Response:
        """200 if events can be taken in, which needs the ledger alone; 503 if not.

        Events are kept and wait while Redis, every worker or their SMTP servers are away, or when what is
        due is not begun for a minute: ``degraded``.
        """
        ledger, depth, workers, oldest = await asyncio.gather(
            _asked(self._ping()),
            _asked(self._bell.depth(Lane.URGENT)),
            _asked(self._ledger.workers.alive(ALIVE_WITHIN)),
            _asked(self._ledger.backlog.oldest_due()),
        )
        parts = {
            "ledger": "unreachable" if ledger is None else "ok",
            "redis": "unreachable" if depth is None else "ok",
            "worker": "unknown" if workers is None else "ok" if workers else "absent",
            "relay": relay_word(workers or (), waiting=oldest is not None),
        }
        late = age(oldest, self._ledger.database.now())
        if ledger is None:
            return _answer(503, {"status": "unavailable", **parts, "oldest_due_seconds": late})
        slow = late is not None and late > SLOW.total_seconds()
        well = not slow and all(word == "ok" for part, word in parts.items() if part != "relay")
        status = "ready" if well and parts["relay"] != "open" else "degraded"
        return _answer(200, {"status": status, **parts, "oldest_due_seconds": late})

    async def _ping(self) -> bool:
        await self._ledger.ping()
        return True


async def _asked(question: Awaitable[_Answer]) -> _Answer | None:
    """The answer, or None if there is none."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await question
    except (ServiceUnreachable, TimeoutError):
        return None


def _answer(status: int, words: Mapping[str, str | int | None]) -> Response:
    headers = {"Retry-After": "5"} if status == 503 else None
    return Response(orjson.dumps(words), status, headers, "application/json")
