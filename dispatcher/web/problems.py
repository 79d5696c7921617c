"""What a request is refused with: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from starlette.responses import Response

from dispatcher.errors import Problem

MEDIA_TYPE: Final = "application/problem+json"
#: Of one batch with a mistake in its generator, nobody reads more.
MAX_PROBLEMS: Final = 200
#: What we quote of others' words, in characters.
MAX_QUOTED: Final = 500

#: For each status the last word of the problem's type, and its title.
_KINDS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("malformed", "Malformed request"),
    401: ("unauthenticated", "A valid token is needed"),
    403: ("forbidden", "The token may not do this"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    408: ("too-slow", "The request took too long"),
    409: ("conflict", "Another event has this source and id"),
    413: ("too-large", "The request is too large"),
    415: ("unsupported-media-type", "Unsupported media type"),
    422: ("invalid-event", "The event cannot be accepted"),
    500: ("internal", "Internal error"),
    503: ("unavailable", "Temporarily unavailable"),
}


class Refusal(Exception):  # noqa: N818 - what it is to the caller
    """A request that gets a problem for an answer.

    Attributes:
        detail: What is wrong and what to do, for a person.
        problems: Each thing that is wrong, by the field that it is in.
        headers: What the answer carries besides.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        problems: Iterable[Problem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.detail = status, detail
        self.problems, self.headers = tuple(problems), dict(headers or {})
        super().__init__(detail)

    def response(self) -> Response:
        """The answer."""
        kind, title = _KINDS.get(self.status, ("refused", "The request was refused"))
        body: dict[str, Any] = {
            "type": f"urn:dispatcher:problem:{kind}",
            "title": title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.problems:
            body["problems"] = [_plain(problem) for problem in self.problems[:MAX_PROBLEMS]]
        return Response(orjson.dumps(body), self.status, self.headers, MEDIA_TYPE)


def refusal(status: int, problems: Iterable[Problem]) -> Refusal:
    """A refusal whose detail says how much is wrong and tells the first of it."""
    found = tuple(problems)
    first = str(found[0])
    if len(found) == 1:
        return Refusal(status, first, found)
    unsaid = f" The first {MAX_PROBLEMS} are listed." if len(found) > MAX_PROBLEMS else ""
    return Refusal(status, f"{len(found)} things are wrong.{unsaid} First: {first}", found)


def _plain(problem: Problem) -> dict[str, str]:
    """The problem as JSON; what it quotes may hold anything, so it is cut and made valid Unicode."""
    texts = {"field": problem.where, "what": problem.what, "fix": problem.fix}
    return {key: _valid(text[:MAX_QUOTED]) for key, text in texts.items()}


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
