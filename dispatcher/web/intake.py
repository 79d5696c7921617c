"""``POST /v1/events``: from the request to the commit, and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.errors import EventConflict, EventInvalid, Problem
from dispatcher.flow.gather import Gather
from dispatcher.flow.submit import Accepted, Submit
from dispatcher.web.auth import Auth
from dispatcher.web.cloudevents import BATCH, CloudEvent, mode_of, parse_events
from dispatcher.web.limits import Limits, read_body
from dispatcher.web.payload import relocated, submissions
from dispatcher.web.problems import Refusal, refusal

#: Tells that nothing new was made of the request. A header, so that a repeat's body equals the first one.
DUPLICATE = "Dispatcher-Duplicate"


class Intake:
    """Takes events in."""

    def __init__(self, submit: Submit, auth: Auth, limits: Limits) -> None:
        self._submit = submit
        self._gather = Gather(submit)
        self._auth = auth
        self._limits = limits

    async def post(self, request: Request) -> Response:
        """Take a CloudEvent, or a batch of them all or none.

        The answer comes after the commit. The same source and id again give the same answer, and no
        second event.
        """
        headers = request.headers.raw
        await self._auth.require("send", headers)
        mode = mode_of(headers)
        body = await read_body(request, self._limits)
        events = parse_events(mode, headers, body, most=self._limits.batch)
        accepted = await self._accepted(events) if events else []
        return _answer(accepted, batch=mode == BATCH)

    async def _accepted(self, events: Sequence[CloudEvent]) -> Sequence[Accepted]:
        try:
            asked = submissions(events)
            return [await self._gather(asked[0])] if len(asked) == 1 else await self._submit(asked)
        except EventInvalid as error:
            raise refusal(422, relocated(error.problems, events)) from None
        except EventConflict as error:
            raise Refusal(409, str(error), _conflicts(error, events)) from None


def _answer(accepted: Sequence[Accepted], *, batch: bool) -> Response:
    shown: list[dict[str, Any]] = [{"event": one.event, "url": f"/v1/events/{one.event}"} for one in accepted]
    headers = {DUPLICATE: "true"} if accepted and all(one.duplicate for one in accepted) else {}
    if not batch:
        headers["Location"] = shown[0]["url"]
    body = {"events": shown} if batch else shown[0]
    return Response(orjson.dumps(body), 202, headers, "application/json")


def _conflicts(error: EventConflict, events: Sequence[CloudEvent]) -> list[Problem]:
    """Which of the events it is: the last of that name, for an earlier one in the batch counts as known."""
    at_fault = [event for event in events if (event.source, event.id) == (error.source, error.id)]
    what = f"{error.id!r} of source {error.source!r} was used for other content"
    return [Problem(f"{event.place}id", what, "send it under a new id") for event in at_fault[-1:]]
