"""The HTTP application: routes, and what each kind of failure answers."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher import __version__
from dispatcher.app import App
from dispatcher.errors import NotFound, Problem, ServiceUnreachable
from dispatcher.flow import decide_links
from dispatcher.flow.choices import PATH, Choices
from dispatcher.flow.decide import Decide
from dispatcher.flow.notices import NoticeBoard
from dispatcher.web.auth import Auth
from dispatcher.web.choices import ChoicePage
from dispatcher.web.decide import DecidePage
from dispatcher.web.guard import Guard
from dispatcher.web.health import Health
from dispatcher.web.intake import Intake
from dispatcher.web.limits import Limits
from dispatcher.web.metrics import Metrics
from dispatcher.web.notices import Notices
from dispatcher.web.openapi import (
    ANSWERS,
    CANCEL,
    CHOOSE,
    DECIDE,
    DECIDED,
    INTAKE,
    NOTICES,
    NUMBERS,
    OWED,
    PAGE,
    PLANS,
    READS,
    SCHEMES,
    SECURITY,
    STATUS,
    TURN,
    TURNED,
)
from dispatcher.web.page import Pages
from dispatcher.web.plans import Plans
from dispatcher.web.problems import Refusal, refusal
from dispatcher.web.reads import Reads
from dispatcher.web.repairs import Repairs

#: Seconds; a database that restarts is back by then.
RETRY_AFTER: Final = 5

_log = logging.getLogger(__name__)


def create_app(app: App, limits: Limits = Limits()) -> FastAPI:  # noqa: B008 - it is frozen
    """The HTTP application over the open parts.

    Args:
        app: The open application; it must stay open as long as requests are served.
        limits: What one request may ask.
    """
    # The pages that show the interface load scripts from elsewhere; its description is enough.
    api = FastAPI(
        title="Dispatcher",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    auth = Auth(app.settings.api_tokens, app.ledger.tokens, app.clock)
    _route_events(api, Intake(app.submit, auth, limits), Repairs(app.ledger, auth))
    page = Pages(app.project.catalogue, app.project.translations)
    choices = Choices(app.project.catalogue, app.project.recipients, app.ledger, app.clock)
    _route_choices(api, ChoicePage(choices, app.project.catalogue, page, limits))
    _route_decide(api, DecidePage(_decide(app), page, limits))
    _route_notices(api, Notices(_board(app), auth))
    _route_plans(api, Plans(app, auth, limits))
    _route_reads(api, Reads(app.ledger, app.bell, auth), Health(app.ledger, app.bell))
    metrics = Metrics(app.ledger, app.bell, auth)
    _add(api, "GET", "/metrics", metrics.show, responses=NUMBERS, openapi_extra=SECURITY)
    api.add_exception_handler(Refusal, _refused)
    api.add_exception_handler(NotFound, _not_found)
    api.add_exception_handler(ServiceUnreachable, _unreachable)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http_error)
    api.add_middleware(Guard)
    api.openapi()["components"]["securitySchemes"] = SCHEMES
    return api


def _route_events(api: FastAPI, intake: Intake, repairs: Repairs) -> None:
    events = "/v1/events"
    _add(
        api, "POST", events, intake.post, status_code=202, responses=ANSWERS, openapi_extra=INTAKE | SECURITY
    )
    _add(api, "POST", f"{events}/{{id}}/cancel", repairs.cancel, responses=CANCEL, openapi_extra=SECURITY)


def _route_plans(api: FastAPI, plans: Plans) -> None:
    path = "/v1/plans"
    _add(api, "GET", path, plans.list, responses=PLANS, openapi_extra=SECURITY)
    _add(api, "GET", f"{path}/{{id}}", plans.one, responses=PLANS, openapi_extra=SECURITY)
    for turn, endpoint in (
        ("approve", plans.approve),
        ("reschedule", plans.reschedule),
        ("cancel", plans.cancel),
    ):
        _add(
            api,
            "POST",
            f"{path}/{{id}}/{turn}",
            endpoint,
            responses=TURNED,
            openapi_extra=TURN | SECURITY,
        )


def _route_reads(api: FastAPI, reads: Reads, health: Health) -> None:
    _add(api, "GET", "/v1/events/{id}", reads.event, responses=READS, openapi_extra=SECURITY)
    _add(api, "GET", "/v1/events/{id}/deliveries", reads.deliveries, responses=READS, openapi_extra=SECURITY)
    _add(api, "GET", "/v1/status", reads.status, responses=STATUS, openapi_extra=SECURITY)
    _add(api, "GET", "/v1/obligations", reads.obligations, responses=OWED, openapi_extra=SECURITY)
    _add(api, "GET", "/healthz", health.alive)
    _add(api, "GET", "/readyz", health.ready)


def _route_choices(api: FastAPI, page: ChoicePage) -> None:
    path = f"{PATH}/{{token}}"
    _add(api, "GET", path, page.show, responses=PAGE)
    _add(api, "HEAD", path, page.show, include_in_schema=False)
    _add(api, "POST", path, page.choose, responses=PAGE, openapi_extra=CHOOSE)


def _decide(app: App) -> Decide:
    return Decide(app.project.catalogue, app.project.recipients, app.ledger, app.submit, app.clock)


def _route_decide(api: FastAPI, page: DecidePage) -> None:
    path = f"{decide_links.PATH}/{{token}}"
    _add(api, "GET", path, page.show, responses=DECIDED)
    _add(api, "HEAD", path, page.show, include_in_schema=False)
    _add(api, "POST", path, page.decide, responses=DECIDED, openapi_extra=DECIDE)


def _board(app: App) -> NoticeBoard:
    project = app.project
    return NoticeBoard(project.catalogue, project.recipients, app.ledger, project.translations, app.clock)


def _route_notices(api: FastAPI, notices: Notices) -> None:
    instance = "/v1/instances/{id}"
    _add(api, "GET", f"{instance}/notices", notices.notices, responses=NOTICES, openapi_extra=SECURITY)
    _add(api, "GET", f"{instance}/alerts", notices.alerts, responses=NOTICES, openapi_extra=SECURITY)


def _add(api: FastAPI, method: str, path: str, endpoint: Any, **described: Any) -> None:
    api.add_api_route(path, endpoint, methods=[method], response_class=Response, **described)


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return error.response()


async def _not_found(_: Request, error: Exception) -> Response:
    return Refusal(404, str(error)).response()


async def _unreachable(_: Request, error: Exception) -> Response:
    # Its text names hosts and paths: for the log, not for the caller.
    _log.error("%s", error)
    # A commit whose answer was lost may have happened, so nothing is said of that.
    detail = "The ledger cannot be reached. Send the same request again: what was kept is not taken twice."
    return Refusal(503, detail, headers={"Retry-After": str(RETRY_AFTER)}).response()


async def _invalid(_: Request, error: Exception) -> Response:
    """A parameter of the query that cannot be used."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    problems = [
        Problem(str(one["loc"][-1]), str(one["msg"])[:1].lower() + str(one["msg"])[1:]) for one in found
    ]
    return refusal(400, problems or [Problem("request", "cannot be used")]).response()


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    path = request.url.path[:200]
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {path}. Events go to /v1/events; /openapi.json lists all paths."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another one")
        detail = f"{path} does not know {request.method}; it knows {allowed}."
    else:
        detail = str(error.detail)
    return Refusal(error.status_code, detail, headers=error.headers).response()
