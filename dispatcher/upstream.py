"""The one HTTP endpoint of upstream that is told of decisions: signed, bounded, and not led elsewhere.

Messages follow Standard Webhooks 1.0: the headers ``webhook-id``, ``webhook-timestamp`` and
``webhook-signature``, one signature for each secret in force.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import httpx

from dispatcher.settings import Secret

#: Seconds for one try, whatever the receiver does meanwhile (the standard says 15 to 30).
LONGEST: Final = 20.0
CONNECT: Final = 5.0
#: Bytes of an answer that are read; only its status counts.
READ: Final = 1_000
#: Characters of an answer that are kept, for people.
_KEPT: Final = 200
_GONE: Final = 410
#: Of a number of seconds; seven are months already, and `next_try` waits a day at most.
_DIGITS: Final = 7


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one try.

    Attributes:
        ok: Whether the receiver took it: any 2xx.
        text: What it answered, or what went wrong, for people; at most a line, without the endpoint's path.
        gone: Whether it wants nothing more, ever (410).
        wait: How long it asks us to wait.
    """

    ok: bool
    text: str
    gone: bool = False
    wait: timedelta | None = None


class Upstream:
    """Sends messages to the endpoint.

    It is named by whoever runs the service, so it may stand in a private network. What upstream or a reader
    says never becomes a part of its address, redirects are not followed, no proxy of the environment is
    asked, and of the answer a line is kept for people: nothing leads a message, or a look, elsewhere.
    """

    def __init__(self, url: Secret, secrets: Sequence[Secret]) -> None:
        """Nothing is connected before the first message.

        Args:
            url: The endpoint; ``https``, or ``http`` on this machine.
            secrets: At least one, ``whsec_…``.
        """
        from standardwebhooks import Webhook as Signer  # noqa: PLC0415 - it loads what few need

        self._url = url
        self._signers = [Signer(secret.reveal()) for secret in secrets]
        self._client = httpx.AsyncClient(
            verify=ssl.create_default_context(),  # the system's authorities, not those of a package
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(LONGEST, connect=CONNECT),
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=1),
            event_hooks={"response": [_unled]},
        )

    @property
    def host(self) -> str:
        """The endpoint as it may be shown: without its path, which may be secret."""
        return urlsplit(self._url.reveal()).netloc

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def send(self, id: str, body: bytes, now: datetime) -> Reply:  # noqa: A002 - the standard's word
        """Try once.

        Args:
            id: The message's.
            body: JSON in UTF-8; exactly these bytes are signed.
            now: The moment of the try, aware.
        """
        now = now.astimezone(UTC)
        signatures = (signer.sign(id, now, body.decode()) for signer in self._signers)
        headers = {
            "webhook-id": id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # of a body that unfolds, a bound would mean nothing
            "User-Agent": "Dispatcher",
        }
        try:
            async with asyncio.timeout(LONGEST):
                url = self._url.reveal()
                async with self._client.stream("POST", url, content=body, headers=headers) as answer:
                    return _reply(answer, await _beginning(answer), now)
        except TimeoutError:
            return Reply(ok=False, text=f"no answer within {LONGEST:g} seconds")
        except Exception as error:  # noqa: BLE001 - a try that ends in none of these is never given up
            return Reply(ok=False, text=_line(f"no answer: {str(error) or type(error).__name__}"))


async def _unled(answer: httpx.Response) -> None:
    """Forget where it leads: httpx would read the address, which may be none, though it follows nothing."""
    answer.headers.pop("location", None)


async def _beginning(answer: httpx.Response) -> str:
    read = b""
    async for chunk in answer.aiter_raw(READ):
        read += chunk
        if len(read) >= READ:
            break
    return read[:READ].decode("utf-8", "replace")


def _reply(answer: httpx.Response, body: str, now: datetime) -> Reply:
    status = answer.status_code
    if answer.is_success:
        return Reply(ok=True, text=str(status))
    text = f"{status} {answer.reason_phrase}"
    if answer.is_redirect:
        return Reply(ok=False, text=_line(f"{text}: redirects are not followed; set the address itself"))
    said = _line(body)
    waits = _wait(answer.headers.get("retry-after", ""), now)
    return Reply(ok=False, text=_line(f"{text}: {said}" if said else text), gone=status == _GONE, wait=waits)


def _wait(text: str, now: datetime) -> timedelta | None:
    """What a ``Retry-After`` asks for (RFC 9110, 10.2.3): seconds, or a date; None if it is neither."""
    if re.fullmatch(r"[0-9]+", text):
        return timedelta(seconds=int(text[:_DIGITS]))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter is a year, or an offset, that no clock has
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment - now, timedelta())


def _line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:_KEPT]
