"""CloudEvents out of HTTP requests: binary, structured and batched (HTTP Protocol Binding 1.0.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from dispatcher.errors import Problem
from dispatcher.web.attributes import is_json, parse_time, problems_of
from dispatcher.web.problems import Refusal, refusal
from dispatcher.web.strict_json import JsonMalformed, loads

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
BINARY: Final = "application/json"
_PREFIX: Final = b"ce-"
_ACCEPTED: Final = {"Accept": f"{STRUCTURED}, {BATCH}, {BINARY}"}

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """An event whose attributes were checked.

    Attributes:
        data: As it came; None where there was none.
        place: What comes before a field's name in a problem: ``events[3].`` in a batch.
    """

    id: str
    source: str
    type: str
    time: datetime | None
    data: Any
    place: str = ""


def mode_of(headers: Headers) -> str:
    """Which way the events come in: `STRUCTURED`, `BATCH` or `BINARY`; to be asked before the body is read.

    Raises:
        Refusal: 415, the content type or an encoding is none that is understood.
    """
    if encodings := [
        value for name, value in headers if name == b"content-encoding" and value != b"identity"
    ]:
        shown = encodings[0][:40].decode("latin-1")
        raise Refusal(
            415,
            f"The body is encoded with {shown!r}; send it plain.",
            headers={"Accept-Encoding": "identity"},
        )
    types = [value.decode("latin-1") for name, value in headers if name == b"content-type"]
    content_type = types[0] if len(types) == 1 else ""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in {STRUCTURED, BATCH} and is_json(content_type):
        return media_type
    is_event = any(name.startswith(_PREFIX) for name, _ in headers)
    if is_event and is_json(content_type) and not media_type.startswith("application/cloudevents"):
        return BINARY
    shown = f"{content_type[:60]!r} is not understood" if content_type else "is missing"
    raise Refusal(
        415,
        f"The content type {shown}{'' if is_event else ' here'}. Send {STRUCTURED} for one event, "
        f"{BATCH} for several, or {BINARY} with ce- headers, all in UTF-8.",
        headers=_ACCEPTED,
    )


def parse_events(mode: str, headers: Headers, body: bytes, *, most: int) -> list[CloudEvent]:
    """The events of a request.

    Args:
        mode: What `mode_of` said.
        headers: Of the request, names in lower case.
        body: All of it.
        most: How many events a batch may hold.

    Raises:
        Refusal: 400 with all that is wrong with JSON and attributes; 413 for too many events.
    """
    if mode == BINARY:
        attributes = _from_headers(headers)
        value = _json(body) if body else None
        _refuse_if_any(problems_of(attributes, ""))
        return [_event(attributes, value, "")]
    value = _json(body)
    if mode == STRUCTURED:
        _refuse_if_any(_problems(value, ""))
        return [_event(value, value.get("data"), "")]
    if not isinstance(value, list):
        raise refusal(400, [Problem("events", "is not a list", "a batch is a JSON list of CloudEvents")])
    if len(value) > most:
        raise Refusal(413, f"The batch holds {len(value)} events; send at most {most} at a time.")
    places = [f"events[{number}]." for number in range(len(value))]
    _refuse_if_any(
        problem for one, place in zip(value, places, strict=True) for problem in _problems(one, place)
    )
    return [_event(one, one.get("data"), place) for one, place in zip(value, places, strict=True)]


def _json(body: bytes) -> Any:
    try:
        return loads(body)
    except JsonMalformed as error:
        raise Refusal(400, f"The body {error}.", [Problem("body", str(error))]) from None


def _refuse_if_any(problems: Iterator[Problem]) -> None:
    if found := list(problems):
        raise refusal(400, found)


def _problems(value: Any, place: str) -> Iterator[Problem]:
    """What is wrong with one event in the JSON format."""
    if not isinstance(value, dict):
        where = place.removesuffix(".") or "event"
        yield Problem(
            where, "is no JSON object", "give a CloudEvent, an object with id, source, specversion, type"
        )
        return
    if value.get("data_base64") is not None:
        fix = "give data, a JSON object with instances, thread and fields"
        yield Problem(f"{place}data_base64", "is not supported, because data is JSON here", fix)
    yield from problems_of(
        {key: one for key, one in value.items() if key not in {"data", "data_base64"}}, place
    )


def _event(attributes: Mapping[str, Any], data: Any, place: str) -> CloudEvent:
    time = attributes.get("time")
    return CloudEvent(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        time=None if time is None else parse_time(time),
        data=data,
        place=place,
    )


def _from_headers(headers: Headers) -> dict[str, str]:
    """The attributes of the binary mode.

    Raises:
        Refusal: 400, a header stands there twice or is not encoded as the binding says.
    """
    attributes: dict[str, str] = {}
    problems = []
    for raw, value in headers:
        if not raw.startswith(_PREFIX):
            continue
        name = raw[len(_PREFIX) :].decode("latin-1")
        if name in attributes:
            problems.append(Problem(name, "is given by two headers", "send each ce- header once"))
        elif name in {"data", "datacontenttype"}:
            problems.append(
                Problem(name, "is no header here", "the body is the data, Content-Type is its type")
            )
        try:
            attributes[name] = _decoded(value)
        except ValueError:
            fix = "percent-encode all that is not printable ASCII, as UTF-8"
            problems.append(Problem(name, "is not encoded rightly", fix))
    if problems:
        raise refusal(400, problems)
    return attributes


def _decoded(value: bytes) -> str:
    """A header's value (binding, 3.1.3.2): quotes taken off, then percent-decoded once, strictly UTF-8."""
    text = value.decode("ascii")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return unquote_to_bytes(text).decode("utf-8")
