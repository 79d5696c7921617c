"""Send events to a running Dispatcher from Python.

::

    async with Client("http://127.0.0.1:8025", token) as client:
        sent = await client.send(
            "planned-maintenance",
            instances=["contoso-prod"],
            fields={"summary": "Storage is replaced", "start": start, "end": end},
        )
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urljoin, urlsplit

import httpx

from dispatcher.errors import DispatcherError, EventConflict, EventInvalid, InvalidInput, Problem
from dispatcher.errors import ServiceUnreachable as Unreachable

#: Answers after which the same event is sent again: the server, or what stands before it, is not ready.
_NOT_READY: Final = frozenset({408, 429, 502, 503, 504})
#: Seconds: before the first retry, twice that before the next; never more, even if the server asks for it.
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
_CONTENT_TYPE: Final = "application/cloudevents+json"


class SendRefused(EventInvalid):
    """The server does not accept the event; sending it again would not help.

    Attributes:
        status: The HTTP status: 400, 413, 415 or 422, mostly.
        problems: At least one; `Problem.where` is the field's place in the CloudEvent (``data.fields.end``).
    """

    def __init__(self, status: int, problems: Sequence[Problem]) -> None:
        self.status = status
        super().__init__(problems)


class TokenRefused(DispatcherError, PermissionError):  # noqa: N818 - reads as what it is
    """The token is not known to the server, was revoked, or lacks the scope ``send``."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that is safe with the server.

    Attributes:
        event: The server's id of it.
        url: Where its status can be read, with a token of scope ``read``.
    """

    event: str
    url: str


class Client:
    """Sends events, each again until the server has answered, and under one id so that none comes twice.

    Use it as an asynchronous context manager to keep connections open between events; without, each
    `send` opens one of its own.
    """

    def __init__(
        self, url: str, token: str, *, timeout: float = 10.0, retries: int = 5, source: str = "python-client"
    ) -> None:
        """Nothing is connected before the first event.

        Args:
            url: The server's, like ``https://notify.example.com``; ``/v1/events`` is added.
            token: As ``dispatcher token new`` printed it.
            timeout: Seconds for one try: to connect, and between two signs of life.
            retries: How many tries may follow the first one.
            source: Who says so, where an event does not name another; a URI reference.

        Raises:
            InvalidInput: The URL or the token cannot be used. The text does not show the token.
        """
        self._url = _checked_url(url)
        self._token = _checked_token(token)
        self._timeout, self._retries, self._source = timeout, retries, source
        self._rng = random.SystemRandom()
        self._http: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"Client({self._url!r})"

    async def __aenter__(self) -> Self:
        self._http = self._connection()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def send(  # noqa: PLR0913 - what an event can say
        self,
        type: str,  # noqa: A002 - CloudEvents' own word
        *,
        instances: Sequence[str] | Literal["all"] | None = None,
        region: str | None = None,
        fields: Mapping[str, Any] | None = None,
        thread: str | None = None,
        id: str | None = None,  # noqa: A002 - CloudEvents' own word
        source: str | None = None,
    ) -> Sent:
        """Send one event, and return once it is committed.

        Args:
            type: A communication type of the server's catalogue.
            instances: Ids of instances, or ``"all"``; leave out with `region`, or where the thread tells.
            region: All instances of a region.
            fields: Values by field: texts, numbers, booleans, aware datetimes, dates, timedeltas, and lists
                and mappings of these.
            thread: Joins the events of one incident.
            id: Unique within the source; a new one by default. Give your own if you may send the same
                event again after a crash of yours.
            source: Who says so; the client's by default.

        Raises:
            SendRefused: The server says what is wrong.
            EventInvalid: A value cannot be sent: a datetime without offset, for instance.
            EventConflict: The source and id were used before for something else.
            TokenRefused: The token is not in force, or not for this.
            ServiceUnreachable: No answer after all retries. The event may have arrived or not; sending it
                again with the same id is safe.
        """
        source, id = source or self._source, id or str(uuid.uuid4())  # noqa: A001
        data = {
            "instances": _instances(instances, region),
            "thread": thread,
            "fields": _plain_fields(fields or {}),
        }
        body: dict[str, Any] = {"specversion": "1.0", "id": id, "source": source, "type": type}
        body |= {"data": {key: value for key, value in data.items() if value is not None}}
        content = json.dumps(body, allow_nan=False).encode()
        async with nullcontext(self._http) if self._http else self._connection() as http:
            answer = await self._answer(http, content)
        return _read(answer, self._url, (source, id))

    async def _answer(self, http: httpx.AsyncClient, content: bytes) -> httpx.Response:
        """The server's answer to one event, after as many tries as it takes."""
        pause = FIRST_PAUSE
        for tries_left in range(self._retries, -1, -1):
            asked = 0.0
            try:
                answer = await http.post("v1/events", content=content)
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__} {error}".strip()
            else:
                if answer.status_code not in _NOT_READY:
                    return answer
                trouble = f"HTTP status {answer.status_code}"
                asked = _retry_after(answer)
            if tries_left:
                await asyncio.sleep(min(max(pause * self._rng.uniform(0.5, 1.0), asked), LONGEST_PAUSE))
                pause = min(2 * pause, LONGEST_PAUSE)
        raise Unreachable(
            "api",
            f"{self._url} did not take the event in {self._retries + 1} tries; the last one ended with: "
            f"{trouble}. Send it again with the same id once the server is back.",
        )

    def _connection(self) -> httpx.AsyncClient:
        # A redirect is not followed: it would carry the token elsewhere, or turn the POST into a GET.
        return httpx.AsyncClient(
            base_url=self._url,
            timeout=self._timeout,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": _CONTENT_TYPE},
        )


def _read(answer: httpx.Response, url: str, name: tuple[str, str]) -> Sent:
    """What the server's answer means.

    Raises:
        SendRefused: The event is at fault, and EventConflict: its id is.
        TokenRefused: The token is.
        ServiceUnreachable: This is no answer of a Dispatcher.
    """
    said, status = _object(answer), answer.status_code
    if status == 202 and isinstance(said.get("event"), str):
        return Sent(said["event"], urljoin(url, str(said.get("url", "")).lstrip("/")))
    detail = str(said.get("detail") or f"HTTP status {status} from {url}")
    if status in {401, 403}:
        raise TokenRefused(detail)
    if status == 409:
        raise EventConflict(*name)
    if 400 <= status < 500:
        raise SendRefused(status, _problems(said) or [Problem("event", detail.rstrip("."))])
    raise Unreachable("api", f"HTTP status {status} from {url} is no yes. Check the URL and its log.")


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _problems(said: Mapping[str, Any]) -> list[Problem]:
    listed = said.get("problems")
    return [
        Problem(str(one.get("field", "event")), str(one.get("what", "is wrong")), str(one.get("fix", "")))
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict)
    ]


def _retry_after(answer: httpx.Response) -> float:
    """Seconds that the server asks for (RFC 9110, 10.2.3); a date is passed by."""
    text = answer.headers.get("retry-after", "")
    return float(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0.0


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        right = parts.scheme in {"http", "https"} and parts.hostname and parts.username is None
    except ValueError:
        right = False
    if not right or parts.query or parts.fragment:
        fix = "give one like https://notify.example.com, without user, query or fragment"
        raise InvalidInput(Problem("url", "is no server's address", fix))
    return url.rstrip("/") + "/"


def _checked_token(token: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", token) is None:
        raise InvalidInput(Problem("token", "is no token", "give what `dispatcher token new` printed"))
    return token


def _instances(instances: Sequence[str] | None, region: str | None) -> Any:
    if instances is not None and region is not None:
        raise EventInvalid(Problem("region", "is given beside instances", "give one of the two"))
    if region is not None:
        return {"region": region}
    if isinstance(instances, str) and instances != "all":
        raise EventInvalid(Problem("instances", f"{instances[:60]!r} is no list", 'give a list, or "all"'))
    return instances if instances is None or isinstance(instances, str) else list(instances)


def _plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): _plain(value, f"fields.{key}") for key, value in fields.items()}


def _plain(value: Any, where: str) -> Any:
    """A value as JSON has it.

    Raises:
        EventInvalid: It cannot be sent.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            fix = "give an aware one, like datetime(2027, 3, 6, 21, tzinfo=UTC)"
            raise EventInvalid(Problem(where, "is a datetime without an offset from UTC", fix))
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value, where)
    if isinstance(value, Mapping):
        return {str(key): _plain(one, f"{where}.{key}") for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, f"{where}[{number}]") for number, one in enumerate(value)]
    fix = (
        "give text, a whole number, a boolean, a datetime, date or timedelta, or lists and mappings of these"
    )
    raise EventInvalid(Problem(where, f"is of type {type(value).__name__}, which cannot be sent", fix))


def _duration(span: timedelta, where: str) -> str:
    """A span as ISO 8601 writes it: ``P1DT3600S``."""
    if span <= timedelta(0) or span.microseconds:
        raise EventInvalid(
            Problem(where, f"{span} cannot be sent", "give a positive timedelta of whole seconds")
        )
    return f"P{span.days}DT{span.seconds}S"
