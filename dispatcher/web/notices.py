"""``GET /v1/instances/{id}/notices`` and ``/alerts``: what admin centre and application show."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

import orjson
from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.domain.language import LANGUAGES
from dispatcher.errors import Problem
from dispatcher.flow.notices import NoticeBoard
from dispatcher.web.auth import Auth
from dispatcher.web.problems import refusal

Limit = Annotated[int, Query(ge=1, le=200, description="How many notices one page looks at.")]
#: The highest number that a ledger can count to.
_HIGHEST: Final = 2**63 - 1
Before = Annotated[int | None, Query(ge=1, le=_HIGHEST, description="Where the page before ended.")]
In = Annotated[
    str | None, Query(max_length=20, description="One of the nine languages; else the instance's.")
]
_PRIVATE: Final = {"Cache-Control": "no-store"}


class Notices:
    """Tells what is shown about an instance."""

    def __init__(self, board: NoticeBoard, auth: Auth) -> None:
        self._board = board
        self._auth = auth

    async def notices(
        self,
        request: Request,
        id: str,  # noqa: A002 - the path's word
        limit: Limit = 50,
        before: Before = None,
        language: In = None,
    ) -> Response:
        """The instance's notices for the admin centre, newest first; `next` leads to older ones."""
        await self._auth.require("read", request.headers.raw)
        found, follows = await self._board.notices(id, _language(language), limit=limit, before=before)
        more = {"limit": limit, "before": follows} | ({"language": language} if language else {})
        link = f"/v1/instances/{id}/notices?{urlencode(more)}" if follows else None
        return _json({"notices": found, "next": link}, {"Link": f'<{link}>; rel="next"'} if link else {})

    async def alerts(
        self,
        request: Request,
        id: str,  # noqa: A002 - the path's word
        language: In = None,
    ) -> Response:
        """What the application shows the instance's users now, newest first."""
        await self._auth.require("read", request.headers.raw)
        return _json({"alerts": await self._board.alerts(id, _language(language))}, {})


def _language(wanted: str | None) -> str | None:
    if wanted is not None and wanted not in LANGUAGES:
        raise refusal(
            400, [Problem("language", f"{wanted!r} is none of ours", f"use one of {', '.join(LANGUAGES)}")]
        )
    return wanted


def _json(value: Any, headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(value), headers=_PRIVATE | headers, media_type="application/json")
