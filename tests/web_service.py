"""A real HTTP service for tests: uvicorn on a port of the system's choice over a real ledger."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from slow import PATIENT

from dispatcher.app import App, open_app
from dispatcher.flow.tokens import new_token
from dispatcher.settings import Secret, Settings, TokenEntry
from dispatcher.web.limits import Limits
from dispatcher.web.server import listen, serve

PROJECT = Path(__file__).parents[1]
#: Nothing listens there: it is the port of a service that nobody runs any more.
NO_REDIS = "redis://127.0.0.1:1/0"
TOKEN, TOKEN_SHA256 = new_token(secrets.token_urlsafe)
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
#: Its end lies far ahead of whatever day it is: what is over is not mailed.
FIELDS = {
    "summary": "Storage of the database servers is replaced",
    "start": "2090-03-06T22:00:00+01:00",
    "end": "2090-03-07T02:00:00+01:00",
    "impact": "Nobody can log in.",
}


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        http: A client with a token of all scopes.
    """

    app: App
    url: str
    http: httpx.AsyncClient

    async def post(self, value: Any, content_type: str = STRUCTURED, **headers: str) -> httpx.Response:
        """Post JSON."""
        return await self.http.post(
            "/v1/events", json=value, headers={"Content-Type": content_type, **headers}
        )

    async def events(self) -> int:
        """How many events the ledger holds."""
        return len(await self.app.ledger.events.list(10_000))


def root_at(folder: Path) -> Path:
    """A root with the catalogue and the templates of the product, and one instance."""
    root = folder / "root"
    (root / "recipients").mkdir(parents=True)
    shutil.copy(PROJECT / "catalogue.yaml", root)
    (root / "templates").symlink_to(PROJECT / "templates")
    (root / "recipients" / "contoso-prod.yaml").write_text(
        "instance: contoso-prod\nname: Contoso\nregion: emea\n"
        "language: en\ntime_zone: Europe/Berlin\nadmins: [ada@contoso.example]\n"
    )
    return root


@asynccontextmanager
async def service(
    folder: Path,
    *,
    redis: str = NO_REDIS,
    limits: Limits | None = None,
    tokens: tuple[TokenEntry, ...] = (TokenEntry("tests", frozenset({"admin"}), TOKEN_SHA256),),
    **changed: Any,
) -> AsyncIterator[Service]:
    """The service, for the block; `changed` are further settings."""
    (folder / "state").mkdir()
    settings = Settings(
        root=root_at(folder),
        state_dir=folder / "state",
        database_url=Secret(f"sqlite:///{folder}/state/ledger.db"),
        redis_url=Secret(redis),
        api_tokens=tokens,
        **changed,
    )
    async with open_app(settings) as app, _served(app, limits or Limits()) as url:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20 * PATIENT) as http:
            yield Service(app, url, http)


@asynccontextmanager
async def _served(app: App, limits: Limits) -> AsyncIterator[str]:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, await listen("127.0.0.1", 0), stop, ready.set_result, limits))
    await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield ready.result()
    finally:
        stop.set()
        await serving


def cloud_event(
    name: str = "CHG-1", *, fields: Mapping[str, Any] | None = None, **changed: Any
) -> dict[str, Any]:
    """A right one; `changed` replaces attributes, or takes away those that are None."""
    event = {
        "specversion": "1.0",
        "id": name,
        "source": "/changes",
        "type": "planned-maintenance",
        "time": "2027-01-01T00:00:00Z",
        "data": {"instances": ["contoso-prod"], "fields": {**FIELDS, **(fields or {})}},
    }
    return {key: value for key, value in (event | changed).items() if value is not None}


def problems(answer: httpx.Response) -> dict[str, str]:
    """What is wrong by field, as the answer says it."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert {"type", "title", "detail"} <= set(body)
    assert body["status"] == answer.status_code
    return {one["field"]: one["what"] for one in body.get("problems", [])}
