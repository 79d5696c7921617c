"""JSON as RFC 8259 wants it exchanged: UTF-8, no NaN, each name once in an object, no abyss of brackets."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

#: An event is six levels deep in a batch. Beyond some hundred, writing the value out again would fail.
MAX_DEPTH: Final = 32
# Every end of a name, and perhaps something within a string that looks like one.
_NAME_ENDS: Final = re.compile(rb'"\s*:')
_HOLDERS: Final = frozenset({dict, list})


class JsonMalformed(ValueError):  # noqa: N818
    """The text says what is wrong, and goes on after "the body"."""


def loads(body: bytes) -> Any:
    """The value that `body` is.

    Raises:
        JsonMalformed: It is not JSON, nests deeper than `MAX_DEPTH`, or has a name twice in one object.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg:
            raise JsonMalformed(f"nests deeper than {MAX_DEPTH} levels") from None
        raise JsonMalformed(
            f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    names = _names(value)
    # The parser keeps the last of two equal names and does not tell. There are at least as many ends of
    # names as names; where there are more, the slow parser tells why.
    if len(_NAME_ENDS.findall(body)) > names:
        json.loads(body, object_pairs_hook=_distinct, parse_int=str, parse_float=str)
    return value


def _names(value: Any) -> int:
    """How many names there are in all objects, level by level: recursion would have limits of its own."""
    names, depth = 0, 0
    level = [value] if type(value) in _HOLDERS else []
    while level:
        depth += 1
        below: list[Any] = []
        for one in level:
            if type(one) is dict:
                names += len(one)
                below += [held for held in one.values() if type(held) in _HOLDERS]
            else:
                below += [held for held in one if type(held) in _HOLDERS]
        level = below
        if depth > MAX_DEPTH:
            raise JsonMalformed(f"nests deeper than {MAX_DEPTH} levels")
    return names


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise JsonMalformed(f"has the name {name[:60]!r} twice in one object; each may stand there once")
        seen.add(name)
