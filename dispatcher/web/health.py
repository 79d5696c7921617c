"""``/healthz`` and ``/readyz``: for whoever watches the process; they need no token and tell no details."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import orjson
from starlette.responses import Response

from dispatcher.domain.delivery import Lane
from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger.ledger import Ledger
from dispatcher.queue.bell import Bell

#: A worker reports every five seconds; one that missed four reports is taken for dead.
ALIVE_WITHIN = timedelta(seconds=20)
#: A probe waits no longer, for those who ask have deadlines of their own.
PATIENCE = 2.0


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
            _answers(self._ledger.ping()), _answers(self._bell.depth(Lane.URGENT)), _answers(self._workers())
        )
        parts = {
            "ledger": "ok" if ledger else "unreachable",
            "redis": "ok" if redis else "unreachable",
            "worker": "ok" if workers else "absent" if ledger else "unknown",
        }
        status = "unavailable" if not ledger else "ready" if redis and workers else "degraded"
        return _answer(200 if ledger else 503, {"status": status, **parts})

    async def _workers(self) -> None:
        if not await self._ledger.workers.alive(ALIVE_WITHIN):
            raise ServiceUnreachable("worker", "No worker reported lately.")


async def _answers(question: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            await question
    except (ServiceUnreachable, TimeoutError):
        return False
    return True


def _answer(status: int, words: dict[str, str]) -> Response:
    headers = {"Retry-After": "5"} if status == 503 else None
    return Response(orjson.dumps(words), status, headers, "application/json")
