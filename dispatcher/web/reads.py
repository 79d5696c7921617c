"""``GET``: what became of an event and of each of its deliveries, and how the service is."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.flow.owed import obligation_json
from dispatcher.flow.present import delivery_json, event_json
from dispatcher.flow.status import look, status_json
from dispatcher.ledger.deliveries import Filter
from dispatcher.ledger.ledger import Ledger
from dispatcher.queue.bell import Bell
from dispatcher.web.auth import Auth

Limit = Annotated[int, Query(ge=1, le=1000, description="How many deliveries one page holds.")]
After = Annotated[
    str | None, Query(max_length=100, description="The id of the last delivery of the page before.")
]
Incident = Annotated[str | None, Query(max_length=200, description="The thread of an incident.")]


class Reads:
    """Tells what the ledger knows."""

    def __init__(self, ledger: Ledger, bell: Bell, auth: Auth) -> None:
        self._ledger = ledger
        self._bell = bell
        self._auth = auth

    async def event(self, request: Request, id: str) -> Response:  # noqa: A002 - the path's word
        """The event, its status, and how many of its deliveries stand where."""
        await self._auth.require("read", request.headers.raw)
        return _json(event_json(await self._ledger.events.get(id)))

    async def deliveries(
        self,
        request: Request,
        id: str,  # noqa: A002 - the path's word
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """The event's deliveries with their attempts, newest first; `next` leads to the page after."""
        await self._auth.require("read", request.headers.raw)
        event = await self._ledger.events.get(id)
        wanted = Filter(event=event.id, after=after)
        found = await self._ledger.deliveries.list(wanted, limit=limit + 1, with_attempts=True)
        page, follows = found[:limit], len(found) > limit
        query = urlencode({"limit": limit, "after": page[-1].id}) if follows else ""
        link = f"/v1/events/{event.id}/deliveries?{query}" if follows else None
        body = {"deliveries": [delivery_json(delivery) for delivery in page], "next": link}
        return _json(body, {"Link": f'<{link}>; rel="next"'} if link else None)

    async def obligations(self, request: Request, incident: Incident = None) -> Response:
        """What customers are owed for incidents, what is late first; of one incident, all that ever was."""
        await self._auth.require("read", request.headers.raw)
        store, now = self._ledger.obligations, self._ledger.database.now()
        if incident is None:
            found = await store.owed()
        else:
            found = await store.of((await self._ledger.incidents.get(incident)).key)
        return _json({"obligations": [obligation_json(one, now) for one in found]})

    async def status(self, request: Request) -> Response:
        """Whether all is well, what waits since when, and which workers are there."""
        await self._auth.require("read", request.headers.raw)
        return _json(status_json(await look(self._ledger, self._bell)))


def _json(value: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), headers=headers, media_type="application/json")
