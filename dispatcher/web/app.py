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
from dispatcher.flow.choices import PATH, Choices
from dispatcher.web.auth import Auth
from dispatcher.web.choices import ChoicePage
from dispatcher.web.guard import Guard
from dispatcher.web.health import Health
from dispatcher.web.intake import Intake
from dispatcher.web.limits import Limits
from dispatcher.web.openapi import (
    ANSWERS,
    CANCEL,
    CHOOSE,
    INTAKE,
    PAGE,
    READS,
    SCHEMES,
    SECURITY,
    STATUS,
)
from dispatcher.web.page import Pages
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
    _route_reads(api, Reads(app.ledger, app.bell, auth), Health(app.ledger, app.bell))
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


def _route_reads(api: FastAPI, reads: Reads, health: Health) -> None:
    _add(api, "GET", "/v1/events/{id}", reads.event, responses=READS, openapi_extra=SECURITY)
    _add(api, "GET", "/v1/events/{id}/deliveries", reads.deliveries, responses=READS, openapi_extra=SECURITY)
    _add(api, "GET", "/v1/status", reads.status, responses=STATUS, openapi_extra=SECURITY)
    _add(api, "GET", "/healthz", health.alive)
    _add(api, "GET", "/readyz", health.ready)


def _route_choices(api: FastAPI, page: ChoicePage) -> None:
    path = f"{PATH}/{{token}}"
    _add(api, "GET", path, page.show, responses=PAGE)
    _add(api, "HEAD", path, page.show, include_in_schema=False)
    _add(api, "POST", path, page.choose, responses=PAGE, openapi_extra=CHOOSE)


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
