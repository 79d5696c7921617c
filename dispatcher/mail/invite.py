"""The window of a mail as an iCalendar file (RFC 5545), published as RFC 5546 says.

Nobody is invited: there is no attendee and nothing to answer, and the reader stays free at that time. Who has
put the window into a calendar sees it move, or go, with the next mail that has the same UID.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

from icalendar import Parameters

from dispatcher.domain.window import Entry
from dispatcher.mail.content import Invite, Method
from dispatcher.mail.locale import Format
from dispatcher.mail.subject import affected, shown, titled
from dispatcher.mail.translations import Translation, Translations
from dispatcher.mail.view import View

#: The field whose link goes along; templates put it under the text as well.
_LINK = "more_url"
_SAID = ("text", "paragraphs", "choice", "url")
_DESCRIPTION = 4_000  # characters; a calendar shows few, and the mail has them all
_OCTETS = 74  # a piece that goes on has a blank before it
_LINE_BREAK = re.compile(r"\n")
_ESCAPED = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
_UNREADABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def invite(view: View, translations: Translations) -> Invite | None:
    """The file for calendars that a mail of this view brings; None if it brings none."""
    if view.entry is None:
        return None
    method: Method = "CANCEL" if view.entry.window.cancelled else "PUBLISH"
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Dispatcher//Notices//EN",
        "CALSCALE:GREGORIAN",
        f"METHOD:{method}",
        *_event(view, view.entry, translations),
        "END:VCALENDAR",
    )
    return Invite(method, "".join(map(_folded, lines)))


def _event(view: View, entry: Entry, translations: Translations) -> Iterator[str]:
    texts = translations.find(view.type.language_for(view.language))
    window = entry.window
    title = view.type.calendar.title if view.type.calendar else None
    summary = titled(title, view, translations) if title else texts.gettext(view.type.title)
    yield "BEGIN:VEVENT"
    yield f"SUMMARY;LANGUAGE={texts.language}:{_text(summary)}"
    yield f"DTSTART:{_moment(window.starts_at)}"
    yield f"DTEND:{_moment(window.ends_at)}"
    yield f"DTSTAMP:{_moment(entry.stamped_at)}"
    yield f"UID:{_text(entry.uid)}"
    yield f"SEQUENCE:{entry.sequence:d}"
    yield f"DESCRIPTION;LANGUAGE={texts.language}:{_text(_description(view, texts))}"
    yield f"LOCATION;LANGUAGE={texts.language}:{_text(affected(view, texts))}"
    address = entry.organizer.address
    if _UNREADABLE.search(address) or "\n" in address:
        raise ValueError(f"the organizer's address {address[:80]!r} has a line break or control character")
    yield f"ORGANIZER;{_common_name(entry.organizer.name)}:mailto:{address}"
    yield f"STATUS:{'CANCELLED' if window.cancelled else 'CONFIRMED'}"
    # The work is ours: it must not make its readers look busy, in Outlook's terms either.
    yield "TRANSP:TRANSPARENT"
    if link := view.fields.get(_LINK):
        yield f"URL:{_LINE_BREAK.sub(' ', _clean(str(link)))}"
    yield "X-MICROSOFT-CDO-BUSYSTATUS:FREE"
    yield "END:VEVENT"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


@lru_cache(64)
def _common_name(name: str) -> str:
    named: bytes = Parameters({"CN": _LINE_BREAK.sub(" ", _UNREADABLE.sub(" ", name))}).to_ical()
    return named.decode()


def _clean(text: str) -> str:
    return _UNREADABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def _text(text: str) -> str:
    """Text as RFC 5545, 3.3.11, has it."""
    return _clean(text).translate(_ESCAPED)


def _folded(line: str) -> str:
    """The line with its CRLF, in pieces of at most 75 octets (RFC 5545, 3.1).

    No piece ends within a character, nor between a backslash or circumflex and what it escapes, which some
    calendars would not put together again.
    """
    octets, pieces, start = line.encode(), [], 0
    while len(octets) - start > _OCTETS:
        end = start + _OCTETS
        while octets[end] & 0xC0 == 0x80:
            end -= 1
        if octets[end - 1] in b"\\^":
            end -= 1
        pieces.append(octets[start:end])
        start = end
    return b"\r\n ".join([*pieces, octets[start:]]).decode() + "\r\n"


def _description(view: View, texts: Translation) -> str:
    """What the event says in words, each under its label."""
    text = "\n\n".join(_statements(view, texts))
    return text if len(text) <= _DESCRIPTION else f"{text[:_DESCRIPTION].rstrip()}…"


def _statements(view: View, texts: Translation) -> Iterator[str]:
    format_ = Format(view.language, view.time_zone)
    identity = view.type.calendar.identity if view.type.calendar else None
    for key, spec in view.type.fields.items():
        value = view.fields.get(key)
        if value is None or spec.kind not in _SAID or key == identity:
            continue
        words = "\n\n".join(value) if isinstance(value, tuple) else shown(spec, value, format_, texts)
        yield f"{texts.gettext(spec.label)}\n{words}"
