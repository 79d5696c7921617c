"""The three ways in which CloudEvents travel over HTTP, without a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dispatcher.web.cloudevents import BATCH, BINARY, STRUCTURED, CloudEvent, mode_of, parse_events
from dispatcher.web.payload import submissions
from dispatcher.web.problems import MAX_PROBLEMS, Refusal

EVENT = {"id": "1", "source": "/changes", "specversion": "1.0", "type": "t", "data": {"fields": {}}}
CE = ((b"ce-id", b"1"), (b"ce-source", b"/changes"), (b"ce-specversion", b"1.0"), (b"ce-type", b"t"))
MODES = (
    ((b"content-type", b"application/cloudevents+json"), (), STRUCTURED),
    ((b"content-type", b"Application/CloudEvents+JSON; charset=utf-8"), (), STRUCTURED),
    ((b"content-type", b"application/cloudevents+json"), CE, STRUCTURED),
    ((b"content-type", b"application/cloudevents-batch+json"), (), BATCH),
    ((b"content-type", b"application/json"), CE, BINARY),
    ((b"content-type", b"application/vnd.change+json"), CE, BINARY),
)
NO_MODES: tuple[tuple[tuple[bytes, bytes], ...], ...] = (
    (),
    CE,
    ((b"content-type", b"application/json"),),
    ((b"content-type", b"application/xml"), *CE),
    ((b"content-type", b"application/cloudevents+avro"), *CE),
    ((b"content-type", b"application/cloudevents+json; charset=utf-16"),),
    ((b"content-type", b"application/cloudevents+json"), (b"content-type", b"text/plain")),
    ((b"content-type", b"application/cloudevents+json"), (b"content-encoding", b"gzip")),
)


def parse(value: Any, mode: str = STRUCTURED) -> list[CloudEvent]:
    return parse_events(mode, (), json.dumps(value).encode(), most=3)


def refused(error: pytest.ExceptionInfo[Refusal]) -> list[str]:
    return [problem.where for problem in error.value.problems]


@pytest.mark.parametrize(("content_type", "rest", "mode"), MODES)
def test_knows_the_mode(content_type: tuple[bytes, bytes], rest: Any, mode: str) -> None:
    """The content type tells the mode; ce- headers count beside plain JSON only."""
    found = mode_of([content_type, *rest])

    assert found == mode


@pytest.mark.parametrize("headers", NO_MODES)
def test_refuses_other_content(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """Anything else is an unsupported media type."""
    with pytest.raises(Refusal) as error:
        mode_of(headers)

    assert error.value.status == 415
    assert error.value.headers


def test_decodes_headers() -> None:
    """Binary attributes are percent-decoded once, as UTF-8, and quotes come off."""
    headers = [*CE[1:], (b"ce-id", b'"a \\"b\\" %E2%96%A0 %2541"')]
    (event,) = parse_events(BINARY, headers, b'{"fields": {}}', most=3)

    assert event.id == 'a "b" ■ %41'
    assert event.data == {"fields": {}}


@pytest.mark.parametrize(
    ("header", "where"),
    [
        ((b"ce-id", b"2"), "id"),
        ((b"ce-subject", b"%FF"), "subject"),
        ((b"ce-subject", "ö".encode()), "subject"),
        ((b"ce-datacontenttype", b"application/json"), "datacontenttype"),
        ((b"ce-data", b"x"), "data"),
        ((b"ce-foo_bar", b"x"), "foo_bar"),
    ],
)
def test_refuses_headers(header: tuple[bytes, bytes], where: str) -> None:
    """A header that is there twice, not encoded or out of place is named."""
    with pytest.raises(Refusal) as error:
        parse_events(BINARY, [*CE, header], b"{}", most=3)

    assert error.value.status == 400
    assert refused(error) == [where]


def test_refuses_base64_data() -> None:
    """data_base64 is named as what it is."""
    with pytest.raises(Refusal) as error:
        parse({**EVENT, "data_base64": "AA=="})

    assert refused(error) == ["data_base64"]


@pytest.mark.parametrize("value", [[], "x", 7, None, True])
def test_wants_an_object(value: Any) -> None:
    """An event that is no object is refused whole."""
    with pytest.raises(Refusal) as error:
        parse(value)

    assert refused(error) == ["event"]


def test_names_the_event_of_a_batch() -> None:
    """Problems of a batch say which event they are in, all of them at once."""
    with pytest.raises(Refusal) as error:
        parse([EVENT, {**EVENT, "id": ""}, 7], BATCH)

    assert refused(error) == ["events[1].id", "events[2]"]


def test_limits_a_batch() -> None:
    """One event more than allowed is too many."""
    with pytest.raises(Refusal) as error:
        parse([EVENT] * 4, BATCH)

    assert error.value.status == 413


def test_lists_a_bounded_number_of_problems() -> None:
    """An answer stays short however much is wrong."""
    with pytest.raises(Refusal) as error:
        parse_events(BATCH, (), json.dumps([7] * 900).encode(), most=1000)
    body = json.loads(bytes(error.value.response().body))

    assert len(body["problems"]) == MAX_PROBLEMS
    assert body["detail"].startswith("900 things are wrong.")


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (None, "data"),
        ("text", "data"),
        ({"fields": []}, "data.fields"),
        ({"thread": 7}, "data.thread"),
        ({"feilds": {}}, "data.feilds"),
        ({"instances": "contoso"}, "data.instances"),
        ({"instances": []}, "data.instances"),
        ({"instances": [7]}, "data.instances"),
        ({"instances": {"regoin": "emea"}}, "data.instances"),
        ({"instances": {"region": "emea", "x": 1}}, "data.instances"),
        ({"instances": ["x"] * 10_001}, "data.instances"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_names_what_is_wrong_with_data(data: Any, where: str) -> None:
    """Data of another shape is a semantic error of the field that it is in."""
    with pytest.raises(Refusal) as error:
        submissions([CloudEvent("1", "/s", "t", None, data)])

    assert error.value.status == 422
    assert refused(error) == [where]


@pytest.mark.parametrize(
    ("instances", "kind", "values"),
    [
        (["b", "a", "b"], "instances", ("b", "a")),
        ({"region": "emea"}, "region", ("emea",)),
        ("all", "all", ()),
    ],
)
def test_reads_the_selection(instances: Any, kind: str, values: tuple[str, ...]) -> None:
    """Instances are a list, a region or all of them."""
    (submission,) = submissions([CloudEvent("1", "/s", "t", None, {"instances": instances})])

    assert submission.selection is not None
    assert (submission.selection.kind, submission.selection.values) == (kind, values)


def test_leaves_the_selection_to_the_thread() -> None:
    """Without instances, the thread is to tell."""
    (submission,) = submissions([CloudEvent("1", "/s", "t", None, {"thread": "INC-1"})])

    assert submission.selection is None
    assert submission.thread == "INC-1"
