"""One value of a field: from plain JSON to what a template may show.

=========== ==================================== ===========================================
kind        arrives as                           becomes
=========== ==================================== ===========================================
text        text on one line                     str
paragraphs  text; a blank line parts paragraphs  tuple of str
datetime    ISO 8601 with offset                 aware datetime
date        ``2027-03-06``                       date
duration    ``PT2H30M`` or ``2h 30m``            timedelta
url         http or https                        str
integer     whole number                         int
boolean     true or false                        bool
choice      one of the field's keys              str
list        list of texts, date-times, …         tuple
table       list of objects, one per row         tuple of dicts
address     mail address                         str
=========== ==================================== ===========================================

Text, paragraphs, a url, a list of these and a cell of a table may be given per language, as an object like
``{"en": …, "ja": …}``; it becomes a `PerLanguage` of what each value becomes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from dispatcher.domain import moment
from dispatcher.domain.address import AddressInvalid, canonical
from dispatcher.domain.catalogue import Column, FieldSpec
from dispatcher.domain.language import LANGUAGES, meant
from dispatcher.domain.quoted import kind_of, shown
from dispatcher.domain.said import PerLanguage

MAX_TEXT = 500
MAX_PARAGRAPHS = 20_000
MAX_ITEMS = 200
MAX_PARTS = 100
MAX_URL = 2_000
#: Kinds that are words, or lead to words, and so differ by language.
_WORDED = frozenset({"text", "paragraphs", "url"})
#: Controls, line and paragraph separators, marks that turn the direction of what follows, surrogates, and
#: what is no character.
_NEVER = r"\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff"
_UNPRINTABLE = re.compile(rf"[\x00-\x1f{_NEVER}]")
_UNPRINTABLE_BUT_NEWLINE = re.compile(rf"[\x00-\x09\x0b-\x1f{_NEVER}]")
#: Only blanks and line breaks are folded: a no-break space before a French colon stays one.
_FOLDED = re.compile(r"[ \n]{2,}|\n")
_PARTED = re.compile(r"\n[ ]*\n")
_NOT_IN_URL = re.compile(r"[\s<>\"'\\^`{|}\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class ValueInvalid(ValueError):  # noqa: N818
    """A value is wrong: `args` are what is wrong and, where it can be said, what would be right."""


def parse_value(field: FieldSpec | Column, value: Any) -> Any:
    """One value as the type that its kind says.

    Raises:
        ValueInvalid: With what is wrong and, as a second argument, what would be right.
    """
    if field.kind not in _PARSERS and isinstance(field, FieldSpec):
        if field.kind == "choice":
            return _choice(field, value)
        if field.kind == "list":
            return _list(field.items, value)
        return tuple(_items(value, lambda row: _row(field.columns, row), expected(field)))
    return _worded(field.kind, value)


def expected(field: FieldSpec | Column) -> str:
    """What would be right, in a few words."""
    if isinstance(field, FieldSpec) and field.kind == "choice":
        return f"give one of {', '.join(field.choices)}"
    if isinstance(field, FieldSpec) and field.kind == "table":
        return f"give a list of 1 to {MAX_ITEMS} objects with {', '.join(field.columns)}"
    return _EXPECTED[field.kind]


_EXPECTED: Mapping[str, str] = {
    "text": f"give text on one line, at most {MAX_TEXT} characters",
    "paragraphs": f"give text, at most {MAX_PARAGRAPHS} characters, paragraphs parted by a blank line",
    "datetime": "give a date and time with offset, like 2027-03-06T22:00+01:00 or 2027-03-06T21:00Z",
    "date": "give a date like 2027-03-06",
    "duration": "give a duration like PT2H30M or 2h 30m",
    "url": "give an address that begins with https:// or http://",
    "integer": "give a whole number",
    "boolean": "give true or false",
    "list": f"give a list of 1 to {MAX_ITEMS} entries",
    "address": "give one mail address, like name@example.com",
}


def _worded(kind: str, value: Any) -> Any:
    """A value of a kind that may be given per language, or of one that may not."""
    if type(value) is dict and kind in _WORDED:
        return _per_language(value, _PARSERS[kind])
    return _PARSERS[kind](value)


def _list(items: str, value: Any) -> Any:
    def parsed(one: Any) -> tuple[Any, ...]:
        return tuple(_items(one, _PARSERS[items], _EXPECTED[items]))

    if items in _WORDED and isinstance(value, dict):
        return _per_language(value, parsed)
    return tuple(_items(value, lambda one: _worded(items, one), _EXPECTED[items]))


def _per_language(value: Mapping[str, Any], parser: Callable[[Any], Any]) -> PerLanguage:
    if not value:
        raise ValueInvalid("is an object without a language", "give text, or an object like {en: …, ja: …}")
    parsed: dict[str, Any] = {}
    for code, one in value.items():
        if code not in LANGUAGES:
            raise ValueInvalid(f"is given in {shown(code)}, which is none of the nine languages", meant(code))
        try:
            parsed[code] = parser(one)
        except ValueInvalid as error:
            raise ValueInvalid(f"{code}: {error.args[0]}", *error.args[1:]) from None
    return PerLanguage(parsed)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueInvalid(f"is {kind_of(value)}, not text")
    text = value.strip()
    if not _visible(text):
        raise ValueInvalid("is empty")
    if len(text) > MAX_TEXT:
        raise ValueInvalid(f"is {len(text)} characters long")
    if not text.isprintable() and _UNPRINTABLE.search(text):
        raise ValueInvalid("holds a line break or another control character")
    return text


def _paragraphs(value: Any) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise ValueInvalid(f"is {kind_of(value)}, not text")
    value = value.replace("\r\n", "\n").replace("\t", " ").strip()
    if not _visible(value):
        raise ValueInvalid("is empty")
    if len(value) > MAX_PARAGRAPHS:
        raise ValueInvalid(f"is {len(value)} characters long")
    if not value.isprintable() and _UNPRINTABLE_BUT_NEWLINE.search(value):
        raise ValueInvalid("holds control characters")
    parts = [part for part in _PARTED.split(value) if part.strip()] if "\n" in value else [value]
    if len(parts) > MAX_PARTS:
        raise ValueInvalid(f"has {len(parts)} paragraphs", f"give at most {MAX_PARTS}, and link to the rest")
    return tuple([_FOLDED.sub(" ", part).strip() for part in parts])


def _datetime(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            return moment.parse_datetime(value.strip())
        except ValueError as error:
            if str(error).startswith(("has no", "is not in")):
                raise ValueInvalid(f"{value[:40]!r} {error}") from None
    raise ValueInvalid(f"{shown(value)} is no date and time")


def _date(value: Any) -> date:
    text = value.strip() if isinstance(value, str) else ""
    try:
        day = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        day = None
    if day is None:
        raise ValueInvalid(f"{shown(value)} is no date")
    try:
        moment.check_year(day)
    except ValueError as error:
        raise ValueInvalid(f"{shown(value)} {error}") from None
    return day


def _duration(value: Any) -> Any:
    try:
        return moment.parse_duration(value)
    except (ValueError, AttributeError, TypeError):
        raise ValueInvalid(f"{shown(value)} is no duration up to ten years") from None


def _visible(text: str) -> bool:
    """Whether there is anything to see: blanks and format characters alone are nothing."""
    # Nearly always the first character tells.
    return text[:1].isalnum() or any(
        unicodedata.category(character) not in {"Zs", "Cf", "Cc"} for character in text
    )


def _url(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(text)
        host = parts.hostname
        _ = parts.port  # raises for one that is no number up to 65535
    except ValueError:
        host = None
    plain = not _NOT_IN_URL.search(text) and len(text) <= MAX_URL
    if not (host and plain and parts.scheme in {"http", "https"} and "@" not in parts.netloc):
        raise ValueInvalid(f"{shown(value)} is no web address")
    if not host.isascii():
        # What looks like a well-known name may be another one; see docs/decisions/0007.
        raise ValueInvalid(f"{shown(value)} has a host outside ASCII", "write the host in its xn-- form")
    return text


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise ValueInvalid(f"{shown(value)} is no whole number")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueInvalid(f"{shown(value)} is neither true nor false")
    return value


def _mail_address(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueInvalid(f"is {kind_of(value)}, not a mail address")
    try:
        return canonical(value.strip())
    except AddressInvalid as error:
        raise ValueInvalid(f"{shown(value)} {error}") from None


def _choice(field: FieldSpec, value: Any) -> str:
    if not isinstance(value, str) or value not in field.choices:
        raise ValueInvalid(f"{shown(value)} is none of the choices")
    return value


def _items(value: Any, parser: Callable[[Any], Any], fix: str) -> Iterator[Any]:
    if not isinstance(value, list):
        raise ValueInvalid(f"is {kind_of(value)}, not a list")
    if not 0 < len(value) <= MAX_ITEMS:
        raise ValueInvalid(f"has {len(value)} entries")
    for number, item in enumerate(value, 1):
        try:
            yield parser(item)
        except ValueInvalid as error:
            raise ValueInvalid(f"entry {number}: {error.args[0]}", *(error.args[1:] or (fix,))) from None


def _row(columns: Mapping[str, Column], row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueInvalid(f"is {kind_of(row)}, not an object")
    if unknown := sorted(set(map(str, row)) - set(columns)):
        raise ValueInvalid(f"has no column {unknown[0][:60]!r}", f"the columns are {', '.join(columns)}")
    values: dict[str, Any] = {}
    for key, column in columns.items():
        if row.get(key) is None:
            if column.required:
                raise ValueInvalid(f"lacks {key!r}", expected(column))
            values[key] = None
            continue
        try:
            values[key] = parse_value(column, row[key])
        except ValueInvalid as error:
            raise ValueInvalid(f"{key}: {error.args[0]}", *(error.args[1:] or (expected(column),))) from None
    return values


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "text": _text,
    "paragraphs": _paragraphs,
    "datetime": _datetime,
    "date": _date,
    "duration": _duration,
    "url": _url,
    "integer": _integer,
    "boolean": _boolean,
    "address": _mail_address,
}
