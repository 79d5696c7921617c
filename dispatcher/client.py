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
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote, urljoin, urlsplit

import httpx

from dispatcher.domain.plain import event_data
from dispatcher.errors import DispatcherError, EventConflict, EventInvalid, InvalidInput, NotFound, Problem
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


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What came of withdrawing an event.

    Attributes:
        event: The server's id of it.
        cancelled: Deliveries that were stopped.
        sent: Deliveries that had been sent.
        sending: Deliveries that were on their way, and may still arrive.
    """

    event: str
    cancelled: int
    sent: int
    sending: int


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
                and mappings of these; words may be given per language, as ``{"en": …, "ja": …}``.
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
        data = event_data(instances, region, thread, fields or {})
        body = {"specversion": "1.0", "id": id, "source": source, "type": type, "data": data}
        content = json.dumps(body, allow_nan=False).encode()
        answer = await self._answer("v1/events", content, "take the event")
        return _read(answer, self._url, (source, id))

    async def cancel(self, event: str) -> Cancelled:
        """Stop what has not been sent of an event, by its `Sent.event`; doing it again changes nothing.

        Raises:
            NotFound: The server knows no such event.
            TokenRefused: The token is not in force, or not for this.
            ServiceUnreachable: No answer after all retries.
        """
        path = f"v1/events/{quote(event, safe='')}/cancel"
        answer = await self._answer(path, b"", "cancel the event")
        return _read_cancelled(answer, self._url)

    async def _answer(self, path: str, content: bytes, what: str) -> httpx.Response:
        """The server's answer to a POST, after as many tries as it takes; `what` is for the error's text."""
        async with nullcontext(self._http) if self._http else self._connection() as http:
            return await self._tried(http, path, content, what)

    async def _tried(self, http: httpx.AsyncClient, path: str, content: bytes, what: str) -> httpx.Response:
        pause = FIRST_PAUSE
        for tries_left in range(self._retries, -1, -1):
            asked = 0.0
            try:
                answer = await http.post(path, content=content)
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
            f"{self._url} did not {what} in {self._retries + 1} tries; the last one ended with: {trouble}. "
            "Ask again, with the same id, once the server is back.",
        )

    def _connection(self) -> httpx.AsyncClient:
        # A redirect is not followed: it would carry the token elsewhere, or turn the POST into a GET.
        return httpx.AsyncClient(
            base_url=self._url,
            timeout=self._timeout,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": _CONTENT_TYPE},
        )


def _read_cancelled(answer: httpx.Response, url: str) -> Cancelled:
    """What the server's answer to a cancellation means; raises what `Client.cancel` does."""
    said, status = _object(answer), answer.status_code
    if status == 200 and {"event", "cancelled", "sent", "sending"} <= said.keys():
        return Cancelled(said["event"], said["cancelled"], said["sent"], said["sending"])
    detail = _detail(said, status, url)
    if status in {401, 403}:
        raise TokenRefused(detail)
    if status == 404:
        raise NotFound(detail)
    raise _no_answer(status, url)


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
    detail = _detail(said, status, url)
    if status in {401, 403}:
        raise TokenRefused(detail)
    if status == 409:
        raise EventConflict(*name)
    if 400 <= status < 500:
        raise SendRefused(status, _problems(said) or [Problem("event", detail.rstrip("."))])
    raise _no_answer(status, url)


def _detail(said: Mapping[str, Any], status: int, url: str) -> str:
    return str(said.get("detail") or f"HTTP status {status} from {url}")


def _no_answer(status: int, url: str) -> Unreachable:
    return Unreachable("api", f"HTTP status {status} from {url} is no yes. Check the URL and its log.")


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
