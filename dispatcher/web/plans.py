"""``/v1/plans``: what lies ahead of instances, and a turn that a caller wants a plan to take."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.app import App
from dispatcher.domain.cadence import Turn
from dispatcher.domain.plan import Plan, PlanState
from dispatcher.errors import EventConflict, EventInvalid, Problem
from dispatcher.flow.plans import Wish, plan_json, wished
from dispatcher.flow.present import event_json
from dispatcher.ledger.plans import PlanFilter
from dispatcher.web.auth import Auth
from dispatcher.web.limits import Limits, read_body
from dispatcher.web.problems import Refusal, refusal
from dispatcher.web.strict_json import JsonMalformed, loads

#: The source of the events that callers ask for by a plan's path.
SOURCE = "http"
#: The header under which a caller may repeat a request; the same key is the same event.
KEY = "Idempotency-Key"


class Wanted(BaseModel):
    """Which plans a caller asks for; all that is given must hold."""

    model_config = ConfigDict(extra="forbid")

    instance: Annotated[str | None, Field(max_length=200)] = None
    about: Annotated[str | None, Field(max_length=200, description="What they are about.")] = None
    cadence: Annotated[str | None, Field(max_length=200)] = None
    state: Annotated[PlanState | None, Field(description="Where they stand.")] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="How many plans one page holds.")] = 100
    before: Annotated[
        str | None, Field(max_length=100, description="The id of the last plan of the page before.")
    ] = None

    def next(self, last: str) -> str:
        """The path of the page after, whose plans are older than that one."""
        asked = self.model_dump(mode="json", exclude_none=True) | {"before": last}
        return f"/v1/plans?{urlencode(asked)}"


class Plans:
    """Tells of plans, and moves them on."""

    def __init__(self, app: App, auth: Auth, limits: Limits) -> None:
        self._app = app
        self._auth = auth
        self._limits = limits

    async def list(self, request: Request, asked: Annotated[Wanted, Query()]) -> Response:
        """Plans, the newest first, with their steps; `next` leads to the page after."""
        await self._auth.require("read", request.headers.raw)
        wanted = PlanFilter(
            instance=asked.instance,
            subject=asked.about,
            cadence=asked.cadence,
            states=() if asked.state is None else (asked.state,),
        )
        found = await self._app.ledger.plans.list(wanted, limit=asked.limit + 1, before=asked.before)
        page = found[: asked.limit]
        link = asked.next(page[-1].id) if len(found) > asked.limit else None
        return _json({"plans": [plan_json(one) for one in page], "next": link}, link)

    async def one(self, request: Request, id: str) -> Response:  # noqa: A002 - the path's word
        """The plan, with its steps and every turn that it took."""
        await self._auth.require("read", request.headers.raw)
        plan = await self._app.ledger.plans.get(id)
        return _json(plan_json(plan, await self._app.ledger.plans.moves(plan.id)))

    async def approve(self, request: Request, id: str) -> Response:  # noqa: A002
        """Approve the date; what was approved is refused."""
        return await self._turn(request, id, "approved")

    async def reschedule(self, request: Request, id: str) -> Response:  # noqa: A002
        """Move it to the date that the body names, until it starts."""
        return await self._turn(request, id, "rescheduled")

    async def cancel(self, request: Request, id: str) -> Response:  # noqa: A002
        """Say that it will not take place."""
        return await self._turn(request, id, "cancelled")

    async def _turn(self, request: Request, id_: str, turn: Turn) -> Response:
        await self._auth.require("send", request.headers.raw)
        fields = _fields(await read_body(request, self._limits))
        plan = await self._app.ledger.plans.get(id_)
        given = request.headers.get(KEY, "")
        wish = Wish(turn, fields=fields, id=f"{plan.id}/{turn}/{given}" if given else "")
        try:
            event, after = await self._take(plan, wish)
        except EventInvalid as error:
            raise refusal(422, error.problems) from None
        except EventConflict:
            what = f"{given!r} was used for other content"
            raise refusal(409, [Problem(KEY, what, "send it under a new key")]) from None
        return _json({"event": event, "plan": plan_json(after)})

    async def _take(self, plan: Plan, wish: Wish) -> tuple[dict[str, Any], Plan]:
        app = self._app
        [accepted] = await app.submit([wished(app.project.catalogue, plan, wish, SOURCE)])
        event = await app.ledger.events.get(accepted.event)
        return event_json(event), await app.ledger.plans.get(plan.id)


def _fields(body: bytes) -> dict[str, Any]:
    """The fields of the turn's event: an object, or nothing at all.

    Raises:
        Refusal: 400, it is something else.
    """
    if not body.strip():
        return {}
    try:
        value = loads(body)
    except JsonMalformed as error:
        raise Refusal(400, f"The body {error}.", [Problem("body", str(error))]) from None
    if not isinstance(value, dict):
        fix = 'give the fields of the event by name, like {"scheduled_at": "2027-03-13T22:00+01:00"}'
        raise refusal(400, [Problem("body", "is no JSON object", fix)])
    return value


def _json(value: Any, link: str | None = None) -> Response:
    headers = {"Link": f'<{link}>; rel="next"'} if link else None
    return Response(orjson.dumps(value), headers=headers, media_type="application/json")
