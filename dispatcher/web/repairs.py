"""``POST /v1/events/{id}/cancel``: stop what has not been sent."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.flow.repair import cancel
from dispatcher.ledger.ledger import Ledger
from dispatcher.web.auth import Auth


class Repairs:
    """What a caller may put right."""

    def __init__(self, ledger: Ledger, auth: Auth) -> None:
        self._ledger = ledger
        self._auth = auth

    async def cancel(self, request: Request, id: str) -> Response:  # noqa: A002 - the path's word
        """Stop what has not been sent of an event; the answer says how many had been.

        Doing it again changes nothing, and tells what became of deliveries that were on their way.
        """
        await self._auth.require("send", request.headers.raw)
        done = await cancel(self._ledger, await self._ledger.events.get(id))
        return Response(orjson.dumps(done.as_json()), media_type="application/json")
