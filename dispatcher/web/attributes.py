"""The context attributes of a CloudEvent, checked (CloudEvents 1.0.2, "Context Attributes")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from dispatcher.domain.moment import parse_datetime
from dispatcher.errors import Problem

REQUIRED: Final = {
    "id": "give the event's id, unique within its source; the same id again is the same event",
    "source": "give a URI reference that names the sending system, like /billing or urn:example:billing",
    "specversion": 'give "1.0"',
    "type": "give a communication type of the catalogue, like planned-maintenance",
}
_OPTIONAL: Final = ("datacontenttype", "dataschema", "subject", "time")
_KNOWN: Final = frozenset({*REQUIRED, *_OPTIONAL})
_NAME: Final = re.compile(r"[a-z0-9]+")
#: RFC 3986, 4.1, as far as characters tell.
_URI_REFERENCE: Final = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+")
#: RFC 3339, 5.6: the T and the Z may be small, and a minute may have a 61st second.
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
#: What the type system calls String holds no control characters, noncharacters or lone surrogates.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
_JSON_TYPE: Final = re.compile(r"(?:[a-z]+/json|[a-z]+/[a-z0-9.+-]+\+json)")
_INTEGERS: Final = range(-(2**31), 2**31)


def is_json(media_type: str) -> bool:
    """Whether a media type, with or without parameters, is JSON in UTF-8 (RFC 6839, 3.1)."""
    kind, *parameters = (part.strip().lower() for part in media_type.split(";"))
    charsets = [text for text in parameters if text.startswith("charset=")]
    utf8 = all(text.removeprefix("charset=").strip('"') in {"utf-8", "utf8"} for text in charsets)
    return utf8 and _JSON_TYPE.fullmatch(kind) is not None


def problems_of(attributes: Mapping[str, Any], place: str) -> Iterator[Problem]:
    """Everything that is wrong with an event's attributes, None standing for an absent one.

    Args:
        attributes: By name, extensions among them, data not.
        place: What comes before a name in `Problem.where`: ``events[3].`` in a batch.
    """
    for name, fix in REQUIRED.items():
        if attributes.get(name) is None:
            yield Problem(f"{place}{name}", "is missing", fix)
    for name, value in attributes.items():
        if value is None:
            continue
        if name not in _KNOWN and _NAME.fullmatch(name) is None:
            fix = "a name has the letters a-z and digits only; what the event says goes into data"
            yield Problem(f"{place}{name[:60]}", "is no attribute's name", fix)
        elif wrong := _wrong(name, value):
            yield Problem(f"{place}{name}", *wrong)


def parse_time(text: str) -> datetime:
    """A timestamp as RFC 3339 writes it; a leap second counts as the one before.

    Raises:
        ValueError: It is none, or lies outside the years 1970 to 9000.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("is no RFC 3339 timestamp")
    day, minute, second, fraction, offset = match.groups("")
    second = "59" if second == "60" else second
    return parse_datetime(f"{day}T{minute}:{second}{fraction[:7]}{offset.upper()}")


def _wrong(name: str, value: Any) -> tuple[str, str] | None:
    """What is wrong with one attribute's value and what would be right."""
    if name not in _KNOWN:
        return _wrong_extension(value)
    if not isinstance(value, str):
        return "is not text", REQUIRED.get(name, "give text")
    if not value or _CONTROL.search(value):
        return "is empty or holds a control character", REQUIRED.get(
            name, "give printable text, or leave it out"
        )
    if name == "specversion" and value != "1.0":
        return f"{value[:20]!r} is not supported", 'give "1.0"'
    if name == "source" and _URI_REFERENCE.fullmatch(value) is None:
        return f"{value[:60]!r} is no URI reference", "percent-encode blanks and all that is not ASCII"
    if name == "dataschema" and not (_URI.fullmatch(value) and _URI_REFERENCE.fullmatch(value)):
        return f"{value[:60]!r} is no URI", "give an absolute URI, or leave it out"
    if name == "datacontenttype" and not is_json(value):
        return f"{value[:60]!r} is not JSON", "give application/json, or leave it out"
    return _wrong_time(value) if name == "time" else None


def _wrong_time(value: str) -> tuple[str, str] | None:
    try:
        parse_time(value)
    except ValueError:
        return f"{value[:60]!r} is no RFC 3339 timestamp", "write it like 2027-03-06T21:00:00Z"
    return None


def _wrong_extension(value: Any) -> tuple[str, str] | None:
    """Boolean, Integer and String are all that an attribute may be in JSON ("Type System")."""
    if isinstance(value, bool) or (isinstance(value, int) and value in _INTEGERS):
        return None
    if isinstance(value, str):
        return ("holds a control character", "give printable text") if _CONTROL.search(value) else None
    return "is no text, 32-bit integer or boolean", "put structured values into data"
