"""``/healthz`` and ``/readyz``: for whoever watches the process; they need no token and tell no details."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

import orjson
from starlette.responses import Response

from dispatcher.domain.delivery import Lane
from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.workers import ALIVE_WITHIN
from dispatcher.queue.bell import Bell

#: A probe waits no longer, for those who ask have deadlines of their own.
PATIENCE = 2.0
_AWAY: Final = object()


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

        Without Redis or a worker events are kept and wait: ``degraded``.
        """
        ledger, redis, workers = await asyncio.gather(
            _asked(self._ledger.ping()),
            _asked(self._bell.depth(Lane.URGENT)),
            _asked(self._ledger.workers.alive(ALIVE_WITHIN)),
        )
        parts = {
            "ledger": "unreachable" if ledger is _AWAY else "ok",
            "redis": "unreachable" if redis is _AWAY else "ok",
            "worker": "unknown" if workers is _AWAY else "ok" if workers else "absent",
        }
        if ledger is _AWAY:
            return _answer(503, {"status": "unavailable", **parts})
        well = all(word == "ok" for word in parts.values())
        return _answer(200, {"status": "ready" if well else "degraded", **parts})


async def _asked(question: Awaitable[object]) -> object:
    """The answer, or `_AWAY` if there is none."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await question
    except (ServiceUnreachable, TimeoutError):
        return _AWAY


def _answer(status: int, words: dict[str, str]) -> Response:
    headers = {"Retry-After": "5"} if status == 503 else None
    return Response(orjson.dumps(words), status, headers, "application/json")
