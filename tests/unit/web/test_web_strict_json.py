"""JSON that is exchanged must say one thing to everybody."""

from __future__ import annotations

import pytest

from dispatcher.web.strict_json import MAX_DEPTH, JsonMalformed, loads

VALID = (
    (b'{"a": {"a": 1}, "b": [{"a": 2}]}', {"a": {"a": 1}, "b": [{"a": 2}]}),
    (rb'{"a": "\": \":", "b": ":"}', {"a": '": ":', "b": ":"}),
    (b'{"a"  :1}', {"a": 1}),
    ('"Größe ■"'.encode(), "Größe ■"),
)
INVALID = (
    (b"", "is not JSON"),
    (b"{", "is not JSON"),
    (b'{"a": NaN}', "is not JSON"),
    (b'{"a": Infinity}', "is not JSON"),
    (b'{"a": 1e999}', "is not JSON"),
    (b'{"a": "\xff"}', "is not JSON"),
    (rb'{"a": "\ud800"}', "is not JSON"),
    (b'{"a": 1} {"b": 2}', "is not JSON"),
    (b'{"end": 1, "b": [], "end": 2}', "has the name 'end' twice"),
    (b'[{"x": {"end" : 1, "end": 1}}]', "has the name 'end' twice"),
    (rb'{"end": 1, "\u0065nd": 2}', "has the name 'end' twice"),
    (b"[" * 100_000, "nests deeper"),
    (b'{"a":' * 100_000, "nests deeper"),
    (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nests deeper"),
)


@pytest.mark.parametrize(("body", "value"), VALID)
def test_reads_what_is_right(body: bytes, value: object) -> None:
    """JSON that says one thing is read, whatever its texts look like."""
    read = loads(body)

    assert read == value


@pytest.mark.parametrize(("body", "what"), INVALID, ids=lambda value: str(value)[:24])
def test_refuses_what_is_wrong(body: bytes, what: str) -> None:
    """What is no JSON, is ambiguous or too deep is refused in words."""
    with pytest.raises(JsonMalformed, match=what):
        loads(body)


def test_reads_up_to_its_depth() -> None:
    """The deepest nesting that is allowed is read."""
    value = loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)

    assert isinstance(value, list)
