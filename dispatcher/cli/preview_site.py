"""The pages of `preview` over HTTP, rendered when somebody looks, and the news that they have changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from dispatcher.cli.gallery_pages import Card, Pages, Section, files_of
from dispatcher.cli.preview_state import Current, State
from dispatcher.errors import InvalidInput, Problem

#: Seconds between two looks at the files: less than it takes to change from an editor to a browser.
LOOK_SECONDS = 0.25
#: Looks after which a waiting browser is told that the server is still there.
_LOOKS = 40
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")
_SCRIPT = Path(__file__).parent / "pages" / "live.js"
_KINDS = {
    ".html": "text/html",
    ".txt": "text/plain",
    ".eml": "message/rfc822",
    ".js": "text/javascript",
}
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
#: A mail runs nothing and loads nothing, in its frame as well as alone.
_MAIL_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_HINT = "Mend it and save: this page follows by itself, or when you load it again."


def create_site(current: Current, stop: asyncio.Event, host: str) -> Starlette:
    """The application.

    Args:
        current: Gives what is shown.
        stop: Set once the server is to end; browsers that wait for news are let go then.
        host: Where the server listens; on this machine only, names of elsewhere are refused, so that no
            page of the web can read along by a name that leads here.
    """
    site = _Site(current, stop)
    routes = [
        Route("/", site.home),
        Route("/index.html", site.index),
        Route("/live.js", site.script),
        Route("/changes", site.changes),
        Route("/{key}/{language}/index.html", site.mail),
        Route("/{key}/{language}/{file}", site.file),
    ]
    hosts = [*_LOCAL, f"[{_LOCAL[-1]}]"] if host in _LOCAL else ["*"]
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
    handlers: dict[int, Callable[[Request, Exception], Awaitable[Response]]] = {404: site.lost}
    return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers)


class _Site:
    """What each path answers. What renders is no coroutine: it runs in a thread of its own."""

    def __init__(self, current: Current, stop: asyncio.Event) -> None:
        self._current, self._stop = current, stop

    def home(self, _: Request) -> Response:
        return RedirectResponse("/index.html")

    def index(self, _: Request) -> Response:
        state = self._current.state()
        if state.gallery is None:
            return _trouble(state, "The catalogue cannot be used", state.problems)
        sections = [
            Section(room, tuple(Card(code, f"{room.key}/{code}") for code in room.languages))
            for room in state.rooms.values()
        ]
        number = sum(len(section.cards) for section in sections)
        summary = f"{number} mails of {len(sections)} types, as the files are now."
        pages = Pages(state.service, state.version)
        return _page(pages.index(sections, state.gallery.unmailed(), summary, state.problems))

    def mail(self, request: Request) -> Response:
        state, key, language = self._asked(request)
        try:
            mail = self._current.mail(state, key, language)
        except InvalidInput as error:
            return _trouble(state, f"{key} cannot be rendered", error.problems)
        if mail is None:
            return self._none(state, f"{key} in {language}")
        return _page(Pages(state.service, state.version).mail(mail, state.rooms[key].languages))

    def file(self, request: Request) -> Response:
        state, key, language = self._asked(request)
        name = request.path_params["file"]
        try:
            mail = self._current.mail(state, key, language)
        except InvalidInput as error:
            return _trouble(state, f"{key} cannot be rendered", error.problems)
        content = None if mail is None else files_of(mail).get(name)
        if content is None:
            return self._none(state, f"{key}/{language}/{name}")
        headers = _HEADERS | {"Content-Security-Policy": _MAIL_POLICY}
        return Response(content, media_type=_KINDS[Path(name).suffix], headers=headers)

    def script(self, _: Request) -> Response:
        return Response(_SCRIPT.read_bytes(), media_type=_KINDS[".js"], headers=_HEADERS)

    def changes(self, request: Request) -> Response:
        news = self._news(request.query_params.get("since", ""))
        return StreamingResponse(news, media_type="text/event-stream", headers=_HEADERS)

    async def lost(self, request: Request, _: Exception) -> Response:
        return PlainTextResponse(f"There is nothing at {request.url.path[:200]}.\n", 404, headers=_HEADERS)

    async def _news(self, since: str) -> AsyncIterator[str]:
        """One event as soon as the files are not as they were at version `since`."""
        looks = 0
        while not self._stop.is_set():
            version = await asyncio.to_thread(self._current.version)
            if version != since:
                yield f"data: {version}\n\n"
                return
            if looks % _LOOKS == 0:
                yield ": nothing new\n\n"
            looks += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stop.wait()

    def _asked(self, request: Request) -> tuple[State, str, str]:
        return self._current.state(), request.path_params["key"], request.path_params["language"]

    def _none(self, state: State, what: str) -> Response:
        if state.gallery is None:
            return _trouble(state, "The catalogue cannot be used", state.problems)
        problem = Problem(what[:200], "is not shown here", "go back to /index.html, which lists all there is")
        return _trouble(state, "No such mail", [problem], 404)


def _page(html: str, status: int = 200) -> Response:
    return Response(html, status, media_type=_KINDS[".html"], headers=_HEADERS)


def _trouble(
    state: State, heading: str, problems: list[Problem] | tuple[Problem, ...], status: int = 500
) -> Response:
    return _page(Pages(state.service, state.version).trouble(heading, problems, _HINT), status)
