"""``/decide/{token}``: an admin sees the date of an update, approves it or chooses another that is offered.

As with the page of choices, the signed token in the path is all the authority there is, and no cookie is set
or read. ``GET`` and ``HEAD`` change nothing, since scanners open every link of a mail before its reader does,
and some run its scripts: so nothing here is sent by itself, and what is sent must bring the token that stands
in the form of a page that was shown to the same person within two hours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from dispatcher.domain.link import LinkInvalid
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.decide import Answer, Choice, Decide, Refused, Sight, Standing, date_key
from dispatcher.mail.locale import Format
from dispatcher.web.choices import RETRY_AFTER
from dispatcher.web.form import read_form
from dispatcher.web.limits import Limits
from dispatcher.web.page import Pages, asked_language

#: How a page is answered that is looked at; the others are there: 200.
_LOOKED: Final = {
    Standing.EXPIRED: HTTPStatus.GONE,
    Standing.SUPERSEDED: HTTPStatus.GONE,
    Standing.STRANGER: HTTPStatus.FORBIDDEN,
}
#: What was sent and was not done.
_SENT: Final = dict.fromkeys(Standing, HTTPStatus.CONFLICT) | {
    Standing.DONE: HTTPStatus.OK,
    Standing.EXPIRED: HTTPStatus.GONE,
    Standing.STRANGER: HTTPStatus.FORBIDDEN,
}
_REFUSED: Final[dict[Refused, HTTPStatus]] = {
    "unread": HTTPStatus.BAD_REQUEST,
    "stale": HTTPStatus.BAD_REQUEST,
    "unoffered": HTTPStatus.UNPROCESSABLE_ENTITY,
    "same": HTTPStatus.UNPROCESSABLE_ENTITY,
    "held": HTTPStatus.UNPROCESSABLE_ENTITY,
}


@dataclass(frozen=True, slots=True)
class Written:
    """A moment as a page shows it.

    Attributes:
        key: How the form names it.
        local: On the reader's clock.
        utc: The same in UTC; empty where the reader's clock shows UTC anyway.
    """

    key: str
    local: str
    utc: str


class DecidePage:
    """Answers what comes to the pages."""

    def __init__(self, decide: Decide, pages: Pages, limits: Limits) -> None:
        self._decide = decide
        self._pages = pages
        self._limits = limits

    async def show(self, request: Request, token: str) -> Response:
        """The date, what became of it, and a form if there is anything to decide; changes nothing."""

        async def answer() -> Response:
            sight = await self._decide.look(token)
            return sight_page(self._pages, sight, _LOOKED.get(sight.standing, HTTPStatus.OK))

        return await self._answered(request, answer)

    async def decide(self, request: Request, token: str) -> Response:
        """Approve the date, or choose another; the same once more is answered with the same page."""
        fields = dict(await read_form(request, self._limits.seconds))
        choice = Choice(*(fields.get(name, "") for name in ("decide", "preferred", "alternate", "form")))

        async def answer() -> Response:
            return answer_page(self._pages, await self._decide.decide(token, choice))

        return await self._answered(request, answer)

    async def _answered(self, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        """The answer, or a page that says why there is none."""
        language = asked_language(request.headers.get("accept-language"))
        try:
            return await answer()
        except LinkInvalid:
            return self._pages.answer("invalid", language, status=HTTPStatus.NOT_FOUND)
        except ServiceUnreachable as error:
            return self._pages.away(language, error, RETRY_AFTER)


def answer_page(pages: Pages, answer: Answer) -> Response:
    """The page that answers a form."""
    sight, refused = answer.sight, answer.refused
    if refused is None:
        return sight_page(pages, sight, _SENT[sight.standing])
    template = {"unread": "unread", "stale": "decide-stale"}.get(refused, "decide-refused")
    language, status = sight.asker.language, _REFUSED[refused]
    return pages.answer(template, language, status=status, type_=sight.type, refused=refused)


def sight_page(pages: Pages, sight: Sight, status: int = HTTPStatus.OK) -> Response:
    """The page that says what there is to decide, or why there is nothing."""
    language = pages.texts(sight.asker.language).language
    return pages.answer(
        f"decide-{sight.standing}",
        sight.asker.language,
        status=status,
        type_=sight.type,
        **_shown(sight, Format(language, sight.time_zone)),
    )


def _shown(sight: Sight, form: Format) -> dict[str, Any]:
    """What the pages show of a sight."""
    plan, decided = sight.plan, sight.decided

    def written(moment: datetime | None) -> Written | None:
        if moment is None:
            return None
        return Written(date_key(moment), form.long_datetime(moment), form.utc(moment))

    return {
        "address": sight.asker.address,
        "title": sight.title,
        "version": str(plan.facts.get("version") or ""),
        "mandatory": plan.mandatory,
        "approved": plan.state == "approved",
        "date": written(plan.anchor),
        "alternate": written(plan.alternate_at),
        "offered": [written(date) for date in sight.offered],
        "approvable": sight.approvable,
        "form": sight.form,
        "by": decided.decision.by if decided and decided.decision else "",
        "turn": decided.turn if decided else "",
        "at": written(decided.at) if decided else None,
        "newer": sight.asker.revision != plan.revision,
    }
