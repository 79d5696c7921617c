"""Events over HTTP, into a real ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_service import BATCH, FIELDS, STRUCTURED, Service, cloud_event, problems, service

from dispatcher.errors import ServiceUnreachable
from dispatcher.queue.connection import close, connect, parse
from dispatcher.queue.embedded import EmbeddedValkey
from dispatcher.queue.lanes import queue_of

BINARY = {
    "Content-Type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "CHG-1",
    "ce-source": "/changes",
    "ce-type": "planned-maintenance",
}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path) as running:
        yield running


async def test_takes_a_structured_event(api: Service) -> None:
    """An event is committed before it is answered, and the answer says where it can be read."""
    answer = await api.post(cloud_event(subject="storage", correlationid="c-1"))
    event = await api.app.ledger.events.get(answer.json()["event"])

    assert answer.status_code == 202
    assert answer.json() == {"event": event.id, "url": f"/v1/events/{event.id}"}
    assert answer.headers["location"] == f"/v1/events/{event.id}"
    assert (event.source, event.external_id, event.fields) == ("/changes", "CHG-1", FIELDS)


async def test_takes_a_binary_event(api: Service) -> None:
    """Attributes may come as headers, percent-encoded, with the data as the body."""
    headers = {**BINARY, "ce-id": "CHG%20%E2%96%A0"}
    answer = await api.http.post("/v1/events", json=cloud_event()["data"], headers=headers)
    event = await api.app.ledger.events.get(answer.json()["event"])

    assert answer.status_code == 202
    assert event.external_id == "CHG ■"
    assert event.fields == FIELDS


async def test_takes_one_event_in_either_mode(api: Service) -> None:
    """The mode is a matter of transport: the same event is a duplicate in another mode."""
    first = await api.post(cloud_event())
    second = await api.http.post("/v1/events", json=cloud_event()["data"], headers=BINARY)

    assert second.json() == first.json()
    assert second.headers["dispatcher-duplicate"] == "true"


async def test_takes_a_batch_in_its_order(api: Service) -> None:
    """A batch is answered event by event, in order."""
    answer = await api.post([cloud_event("b"), cloud_event("a"), cloud_event("b")], BATCH)
    shown = [one["event"] for one in answer.json()["events"]]
    events = [await api.app.ledger.events.get(event) for event in shown]

    assert answer.status_code == 202
    assert [event.external_id for event in events] == ["b", "a", "b"]
    assert await api.events() == 2


async def test_takes_an_empty_batch(api: Service) -> None:
    """The specification allows a batch without events."""
    answer = await api.post([], BATCH)

    assert answer.status_code == 202
    assert answer.json() == {"events": []}


async def test_takes_a_batch_or_nothing(api: Service) -> None:
    """One wrong event keeps the others out, and is named with its field."""
    wrong = cloud_event("d", fields={"end": "2027-03-01T00:00:00Z", "sumary": "x"})
    answer = await api.post([cloud_event("a"), cloud_event("b"), cloud_event("c"), wrong], BATCH)

    assert answer.status_code == 422
    assert set(problems(answer)) == {"events[3].data.fields.end", "events[3].data.fields.sumary"}
    assert await api.events() == 0


async def test_names_the_place_in_a_batch_of_one(api: Service) -> None:
    """A batch of one is a batch."""
    answer = await api.post([cloud_event(type="planed-maintenance")], BATCH)

    assert list(problems(answer)) == ["events[0].type"]


async def test_answers_a_repeat_as_the_first(api: Service) -> None:
    """A repeat has the same status and body; only a header tells."""
    first, second = await api.post(cloud_event()), await api.post(cloud_event())

    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["location"] == first.headers["location"]
    assert "dispatcher-duplicate" not in first.headers
    assert second.headers["dispatcher-duplicate"] == "true"
    assert await api.events() == 1


async def test_makes_one_event_of_fifty_at_a_time(api: Service) -> None:
    """Fifty posts of one event at once come to one event and one answer."""
    answers = await asyncio.gather(*(api.post(cloud_event()) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert sum("dispatcher-duplicate" not in answer.headers for answer in answers) == 1
    assert await api.events() == 1


async def test_tells_concurrent_callers_apart(api: Service) -> None:
    """Right, wrong and conflicting events that come at once each get the answer that is theirs."""
    await api.post(cloud_event("known"))
    right = [cloud_event(f"right-{number}") for number in range(20)]
    wrong = [cloud_event(f"wrong-{number}", fields={"start": "soon"}) for number in range(10)]
    conflicting = [cloud_event("known", fields={"summary": f"other {number}"}) for number in range(10)]
    answers = await asyncio.gather(*(api.post(one) for one in [*right, *wrong, *conflicting]))
    statuses = [answer.status_code for answer in answers]

    assert statuses == [202] * 20 + [422] * 10 + [409] * 10
    assert {tuple(problems(answer)) for answer in answers[20:30]} == {("data.fields.start",)}
    assert await api.events() == 21


async def test_refuses_other_content_under_a_known_id(api: Service) -> None:
    """The same source and id with another payload is a conflict, in a batch as well."""
    await api.post(cloud_event())
    other = cloud_event(fields={"summary": "Something else"})
    single, batch = await api.post(other), await api.post([cloud_event("new"), other], BATCH)

    assert (single.status_code, batch.status_code) == (409, 409)
    assert list(problems(single)) == ["id"]
    assert list(problems(batch)) == ["events[1].id"]
    assert await api.events() == 1


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"type": "planed-maintenance"}, "type"),
        ({"data": {"instances": ["contoso"], "fields": FIELDS}}, "data.instances"),
        ({"data": {"instances": {"region": "japan"}, "fields": FIELDS}}, "data.instances.region"),
        ({"data": {"fields": FIELDS}}, "data.instances"),
        ({"data": {"instances": "all", "fields": {**FIELDS, "start": None}}}, "data.fields.start"),
        ({"data": {"instances": "all", "fields": {**FIELDS, "start": 10**30}}}, "data.fields.start"),
        ({"data": {"instances": "all", "fields": {**FIELDS, "impact": "a\x00b"}}}, "data.fields.impact"),
        ({"data": {"instances": "all", "fields": FIELDS, "thread": "x" * 201}}, "data.thread"),
        ({"data": {"instances": "all", "fields": FIELDS, "lane": "urgent"}}, "data.lane"),
        ({"id": "x" * 201}, "id"),
    ],
)
async def test_names_the_field_of_a_semantic_error(api: Service, changed: dict[str, Any], field: str) -> None:
    """What the catalogue or the recipient lists do not know is refused by its place in the event."""
    answer = await api.post(cloud_event(**changed))

    assert answer.status_code == 422
    assert list(problems(answer)) == [field]
    assert await api.events() == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff", "body"),
        (b'{"id": NaN}', "body"),
        (b"[" * 100_000, "body"),
        (b'{"data":' * 100_000, "body"),
        (json.dumps(cloud_event()).encode()[:-1] + b',"id":"CHG-2"}', "body"),
        (b"[]", "event"),
        (json.dumps(cloud_event(specversion="0.3")).encode(), "specversion"),
        (json.dumps(cloud_event(data_base64="AA==")).encode(), "data_base64"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_refuses_what_is_no_cloud_event(api: Service, body: bytes, field: str) -> None:
    """What is no JSON or no CloudEvent is malformed, however it is broken."""
    answer = await api.http.post("/v1/events", content=body, headers={"Content-Type": STRUCTURED})

    assert answer.status_code == 400
    assert list(problems(answer)) == [field]


async def test_refuses_other_media_types(api: Service) -> None:
    """Plain JSON is no CloudEvent; the answer names what is."""
    answer = await api.post(cloud_event(), "application/json")

    assert answer.status_code == 415
    assert STRUCTURED in answer.headers["accept"]
    assert STRUCTURED in answer.json()["detail"]
    assert problems(answer) == {}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
        ("POST", "/v1/events/", 404),
        ("GET", "/v1/events", 405),
        ("DELETE", "/v1/events/evt_1", 405),
        ("POST", "/healthz", 405),
    ],
)
async def test_answers_wrong_paths_with_a_problem(api: Service, method: str, path: str, status: int) -> None:
    """What is not there, or not in that way, is a problem like any other."""
    answer = await api.http.request(method, path)

    assert answer.status_code == status
    assert problems(answer) == {}
    assert ("allow" in answer.headers) == (status == 405)


async def test_asks_to_come_again_without_a_ledger(api: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the ledger is away nothing is accepted, and the answer tells no inner names."""

    async def away(_: Any, **__: Any) -> Any:
        raise ServiceUnreachable("database", "The database at /secret/place does not answer.")

    monkeypatch.setattr(api.app.ledger.events, "add", away)
    answers = [await api.post(cloud_event()), await api.post([cloud_event()] * 2, BATCH)]

    for answer in answers:
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert problems(answer) == {}
        assert "secret" not in answer.text


async def test_hides_what_is_unexpected(
    api: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect is a 500 without details, and stands in the log without the token."""

    async def broken(_: Any, **__: Any) -> Any:
        raise RuntimeError("inner detail")

    monkeypatch.setattr(api.app.ledger.events, "add", broken)
    answer = await api.post(cloud_event())

    assert answer.status_code == 500
    assert problems(answer) == {}
    assert "inner detail" not in answer.text
    assert "inner detail" in caplog.text
    assert "dsp_" not in caplog.text


async def test_sends_headers_of_caution(api: Service) -> None:
    """No answer is kept, guessed at or framed, whatever it is."""
    answers: list[httpx.Response] = [
        await api.post(cloud_event()),
        await api.http.get("/nowhere"),
        await api.http.get("/healthz"),
    ]

    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


async def test_keeps_the_connection_after_a_refusal(api: Service) -> None:
    """A refused event whose body was read costs no new connection."""
    answer = await api.post(cloud_event(type="x"))

    assert answer.status_code == 422
    assert "connection" not in answer.headers


async def test_wakes_a_worker(tmp_path: Path) -> None:
    """An accepted event rings the bell of its lane; a repeat does not ring again."""
    with EmbeddedValkey(tmp_path) as valkey:
        url = valkey.url(tmp_path)
        async with service(tmp_path, redis=url) as api:
            await api.post(cloud_event())
            await api.post(cloud_event())
        redis = connect(parse(url), timeout=1, connections=1)
        waiting = await redis.zcard(queue_of(api.app.project.catalogue.types["planned-maintenance"].lane))
        await close(redis)

    assert waiting == 1
