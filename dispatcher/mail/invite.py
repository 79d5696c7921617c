"""The window of a mail as an iCalendar file (RFC 5545), published as RFC 5546 says.

Nobody is invited: there is no attendee and nothing to answer, and the reader stays free at that time. Who has
put the window into a calendar sees it move, or go, with the next mail that has the same UID.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC

from icalendar import Calendar, Event, Parameters, vCalAddress, vText

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
_UNREADABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def invite(view: View, translations: Translations) -> Invite | None:
    """The file for calendars that a mail of this view brings; None if it brings none."""
    if view.entry is None:
        return None
    method: Method = "CANCEL" if view.entry.window.cancelled else "PUBLISH"
    calendar = Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//Dispatcher//Notices//EN")
    calendar.add("CALSCALE", "GREGORIAN")
    calendar.add("METHOD", method)
    calendar.add_component(_event(view, view.entry, translations))
    return Invite(method, calendar.to_ical().decode())


def _event(view: View, entry: Entry, translations: Translations) -> Event:
    texts = translations.find(view.type.language_for(view.language))
    window, event = entry.window, Event()
    event.add("UID", entry.uid)
    event.add("SEQUENCE", entry.sequence)
    event.add("DTSTAMP", entry.stamped_at.astimezone(UTC).replace(microsecond=0))
    event.add("DTSTART", window.starts_at)
    event.add("DTEND", window.ends_at)
    event.add("ORGANIZER", _organizer(entry))
    title = view.type.calendar.title if view.type.calendar else None
    summary = titled(title, view, translations) if title else texts.gettext(view.type.title)
    for name, text in (
        ("SUMMARY", summary),
        ("LOCATION", affected(view, texts)),
        ("DESCRIPTION", _description(view, texts)),
    ):
        event.add(name, _text(text, texts.language))
    if link := view.fields.get(_LINK):
        event.add("URL", str(link))
    event.add("STATUS", "CANCELLED" if window.cancelled else "CONFIRMED")
    # The work is ours: it must not make its readers look busy, in Outlook's terms either.
    event.add("TRANSP", "TRANSPARENT")
    event.add("X-MICROSOFT-CDO-BUSYSTATUS", "FREE")
    return event


def _organizer(entry: Entry) -> vCalAddress:
    organizer = vCalAddress(f"mailto:{entry.organizer.address}")
    organizer.params["CN"] = _UNREADABLE.sub(" ", entry.organizer.name)
    return organizer


def _text(text: str, language: str) -> vText:
    clean = _UNREADABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    return vText(clean, params=Parameters({"LANGUAGE": language}))


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
