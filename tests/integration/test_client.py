"""The Python client against a real service, and against servers that fail in every way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ledger_records import expansion, people
from slow import PATIENT
from web_service import FIELDS, TOKEN, Service, service

import dispatcher
from dispatcher import client as client_module
from dispatcher.client import Cancelled, Client, SendRefused, Sent, TokenRefused
from dispatcher.errors import EventConflict, EventInvalid, InvalidInput, NotFound, ServiceUnreachable

TYPE = "planned-maintenance"
ACCEPTED = b'{"event":"evt_1","url":"/v1/events/evt_1"}'


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_PAUSE", 0.01)


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def scripted(*answers: bytes | None) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A server that gives one answer per connection, the last one for ever; None hangs up.

    Yields its URL and the events that it was sent.
    """
    seen: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        seen.append(json.loads(await reader.readexactly(int(length.split(b":")[1])) or b"{}"))
        said = answers[min(len(seen), len(answers)) - 1]
        if said is not None:
            writer.write(said)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


@asynccontextmanager
async def forgetful(url: str, losses: int) -> AsyncIterator[str]:
    """A proxy that passes requests on and, the first few times, drops the connection instead of answering."""
    target, left = urlsplit(url), losses

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        body = await reader.readexactly(int(length.split(b":")[1]))
        back, forth = await asyncio.open_connection(target.hostname, target.port)
        forth.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
        said = await back.read()
        forth.close()
        assert said.startswith(b"HTTP/1.1 202")  # it is committed
        left -= 1
        if left < 0:
            writer.write(said)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_sends_without_ceremony(api: Service) -> None:
    """One expression sends one event."""
    sent = await Client(api.url, TOKEN).send(TYPE, instances=["contoso-prod"], fields=FIELDS)
    event = await api.app.ledger.events.get(sent.event)

    assert sent == Sent(event.id, f"{api.url}/v1/events/{event.id}")
    assert event.fields == FIELDS
    assert event.source == "python-client"


async def test_keeps_a_connection(api: Service) -> None:
    """Within a block several events go out; each has an id of its own."""
    async with Client(api.url + "/", TOKEN, source="/billing") as client:
        sent = [
            await client.send(TYPE, instances="all", fields=FIELDS, id=name) for name in (None, None, "b-1")
        ]
    events = [await api.app.ledger.events.get(one.event) for one in sent]

    assert len({event.external_id for event in events}) == 3
    assert events[2].external_id == "b-1"
    assert {event.source for event in events} == {"/billing"}


async def test_makes_json_of_python_values(api: Service) -> None:
    """Aware datetimes arrive as moments, in fields, whole regions and threads as they were meant."""
    start = datetime(2027, 3, 6, 21, tzinfo=UTC)
    fields = {**FIELDS, "start": start, "end": start + timedelta(hours=4), "action": None}
    sent = await Client(api.url, TOKEN).send(TYPE, region="emea", fields=fields, thread="CHG-1", source="/x")
    event = await api.app.ledger.events.get(sent.event)

    assert event.fields["start"] == "2027-03-06T21:00:00+00:00"
    assert event.selection.values == ("emea",)
    assert (event.thread, event.source) == ("CHG-1", "/x")


async def test_writes_dates_durations_and_tables() -> None:
    """Dates, timedeltas, lists and mappings become plain JSON."""
    fields = {"day": date(2027, 3, 6), "span": timedelta(days=1, hours=2), "rows": ({"n": 1, "on": True},)}
    async with scripted(answer(202, ACCEPTED)) as (url, seen):
        await Client(url, TOKEN).send("t", fields=fields)

    assert seen[0]["data"] == {
        "fields": {"day": "2027-03-06", "span": "P1DT7200S", "rows": [{"n": 1, "on": True}]}
    }


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"fields": {"start": datetime(2027, 3, 6)}}, "fields.start"),  # noqa: DTZ001 - it is the point
        ({"fields": {"rows": [{"at": datetime(2027, 3, 6)}]}}, "fields.rows[0].at"),  # noqa: DTZ001
        ({"fields": {"span": timedelta(seconds=-1)}}, "fields.span"),
        ({"fields": {"span": timedelta(milliseconds=1)}}, "fields.span"),
        ({"fields": {"share": 0.5}}, "fields.share"),
        ({"fields": {"thing": object()}}, "fields.thing"),
        ({"instances": ["a"], "region": "emea"}, "region"),
        ({"instances": "contoso-prod"}, "instances"),
    ],
)
async def test_refuses_values_before_it_connects(arguments: dict[str, Any], where: str) -> None:
    """What no server could take is refused at once, by its place."""
    with pytest.raises(EventInvalid) as error:
        await Client("http://127.0.0.1:1", TOKEN).send("t", **arguments)

    assert [problem.where for problem in error.value.problems] == [where]


async def test_tells_what_the_server_refused(api: Service) -> None:
    """A refusal carries the server's problems, field by field."""
    with pytest.raises(SendRefused) as error:
        await Client(api.url, TOKEN).send(TYPE, instances=["contoso"], fields={**FIELDS, "start": None})

    assert error.value.status == 422
    assert {problem.where for problem in error.value.problems} == {"data.instances", "data.fields.start"}
    assert all(problem.fix for problem in error.value.problems)


async def test_tells_a_conflict(api: Service) -> None:
    """Another event under the same id is a conflict."""
    async with Client(api.url, TOKEN) as client:
        await client.send(TYPE, instances="all", fields=FIELDS, id="1")
        with pytest.raises(EventConflict) as error:
            await client.send(TYPE, instances="all", fields={**FIELDS, "summary": "Other"}, id="1")

    assert error.value.id == "1"


async def test_tells_a_refused_token_without_showing_it(api: Service) -> None:
    """A token that is not in force is an error of its own, and is not in any text."""
    client = Client(api.url, "dsp_secret")
    with pytest.raises(TokenRefused) as error:
        await client.send(TYPE, instances="all", fields=FIELDS)

    assert "dispatcher token new" in str(error.value)
    assert "dsp_secret" not in f"{error.value!r} {client!r}"


@pytest.mark.parametrize("losses", [1, 3])
async def test_sends_again_what_was_committed_unheard(api: Service, losses: int) -> None:
    """Where the answer was lost after the commit, the retry finds the same event."""
    async with forgetful(api.url, losses) as url, Client(url, TOKEN) as client:
        sent = await client.send(TYPE, instances="all", fields=FIELDS)
    events = await api.app.ledger.events.list()

    assert [event.id for event in events] == [sent.event]


@pytest.mark.parametrize(
    "trouble", [None, answer(502), answer(503, Retry_After="0"), answer(504), answer(429)]
)
async def test_sends_again_under_the_same_id(trouble: bytes | None) -> None:
    """Every kind of passing trouble is met with the same event."""
    async with scripted(trouble, trouble, answer(202, ACCEPTED)) as (url, seen):
        sent = await Client(url, TOKEN).send("t", instances="all")

    assert sent.event == "evt_1"
    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]


async def test_waits_as_long_as_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry-After is honoured, within reason."""
    monkeypatch.setattr(client_module, "LONGEST_PAUSE", 0.3)
    async with scripted(answer(503, Retry_After="3600"), answer(202, ACCEPTED)) as (url, _):
        began = time.monotonic()
        await Client(url, TOKEN).send("t", instances="all")

    assert 0.3 <= time.monotonic() - began < 5 * PATIENT


async def test_gives_up_in_the_end() -> None:
    """After its last retry it says what the matter was, and what to do."""
    async with scripted(answer(503)) as (url, seen):
        with pytest.raises(ServiceUnreachable, match=r"in 3 tries.*HTTP status 503.*same id"):
            await Client(url, TOKEN, retries=2).send("t", instances="all")

    assert len(seen) == 3


async def test_gives_up_on_a_silent_server() -> None:
    """A server that does not answer in time is passing trouble too."""
    hangs: set[asyncio.StreamWriter] = set()
    server = await asyncio.start_server(lambda _, writer: hangs.add(writer), "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(ServiceUnreachable, match="ReadTimeout"):
            await Client(url, TOKEN, timeout=0.5, retries=1).send("t", instances="all")
        for writer in hangs:
            writer.close()

    assert len(hangs) == 2


async def test_gives_up_where_nobody_listens() -> None:
    """A refused connection is told as such."""
    with pytest.raises(ServiceUnreachable, match="ConnectError"):
        await Client("http://127.0.0.1:1", TOKEN, retries=0).send("t", instances="all")


@pytest.mark.parametrize(
    "said", [answer(200, b"<html>"), answer(202, b"[]"), answer(302, Location="/x"), answer(500)]
)
async def test_takes_no_other_answer_for_a_yes(said: bytes) -> None:
    """Whatever is not Dispatcher's 202 is no acceptance; redirects are not followed."""
    async with scripted(said) as (url, seen):
        with pytest.raises(ServiceUnreachable, match="Check the URL"):
            await Client(url, TOKEN).send("t", instances="all")

    assert len(seen) == 1


async def test_reads_refusals_of_others() -> None:
    """A proxy's refusal without problems is told by its status."""
    async with scripted(answer(413, b"<html>")) as (url, _):
        with pytest.raises(SendRefused, match="HTTP status 413") as error:
            await Client(url, TOKEN).send("t", instances="all")

    assert error.value.status == 413


@pytest.mark.parametrize(
    "make",
    [
        lambda: Client("notify.example.com", TOKEN),
        lambda: Client("ftp://notify.example.com", TOKEN),
        lambda: Client("https://user:dsp_secret@notify.example.com", TOKEN),
        lambda: Client("https://notify.example.com/?token=dsp_secret", TOKEN),
        lambda: Client("http://[", TOKEN),
        lambda: Client("http://notify.example.com", ""),
        lambda: Client("http://notify.example.com", "dsp_secret\r\nX: y"),
    ],
)
def test_refuses_other_addresses_and_tokens(make: Callable[[], Client]) -> None:
    """A URL or a token that cannot be used is refused before anything is sent, and neither is shown."""
    with pytest.raises(InvalidInput) as error:
        make()

    assert error.value.problems[0].fix
    assert "dsp_" not in str(error.value)


def test_is_exported_when_asked_for() -> None:
    """The package has the client, and nothing that it has not."""
    assert dispatcher.Client is Client
    assert not hasattr(dispatcher, "Klient")


async def test_cancels_an_event(api: Service) -> None:
    """What was not sent is stopped; an event that the server does not know is told apart."""
    client = Client(api.url, TOKEN)
    sent = await client.send(TYPE, instances=["contoso-prod"], fields=FIELDS)
    await api.app.ledger.expansions.store(sent.event, expansion(people(4)))
    cancelled = await client.cancel(sent.event)

    assert cancelled == Cancelled(sent.event, cancelled=4, sent=0, sending=0)
    assert await client.cancel(sent.event) == cancelled
    with pytest.raises(NotFound, match="evt_none"):
        await client.cancel("evt_none")
    with pytest.raises(TokenRefused):
        await Client(api.url, "dsp_wrong").cancel(sent.event)


async def test_a_strange_answer_is_no_cancellation() -> None:
    """What is no answer of a Dispatcher is not taken for one."""
    async with scripted(answer(200, b"<html>")) as (url, _):
        with pytest.raises(ServiceUnreachable, match="Check the URL"):
            await Client(url, "token").cancel("evt_1")
