"""Files for calendars, held to the tables of RFC 5546 and to what RFC 5545 says of any such file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from domain_examples import shipped, steady
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar
from program import PROJECT

from dispatcher.domain.fields import sample
from dispatcher.domain.house import Sender
from dispatcher.domain.language import LANGUAGES
from dispatcher.domain.window import Entry, Window
from dispatcher.flow.reading import Reading, view_of
from dispatcher.flow.specimen import EXAMPLE
from dispatcher.mail.content import Invite
from dispatcher.mail.invite import invite
from dispatcher.mail.translations import Translations
from dispatcher.mail.view import View

NOW = datetime(2027, 3, 6, 12, 0, tzinfo=UTC)
START = datetime(2027, 3, 20, 21, 0, tzinfo=UTC)
ORGANIZER = Sender(address="notices@fabrikam.example", name='Fabrikam, "Cloud"; Größe')
ENTRY = Entry("window-1@fabrikam.example", 0, Window(START, START + timedelta(hours=4)), NOW, ORGANIZER)
CANCEL = replace(ENTRY, sequence=2, window=replace(ENTRY.window, cancelled=True))
TYPES = [key for key, spec in shipped().types.items() if spec.calendar]
TRANSLATIONS = Translations(PROJECT)

#: RFC 5546, 3.2.1 and 3.2.5: how often a property of a VEVENT may stand under PUBLISH and under CANCEL.
ONE, MAYBE, MANY, NONE = (1, 1), (0, 1), (0, 99), (0, 0)
TABLE: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    # property: (PUBLISH, CANCEL)
    "ATTACH": (MANY, MANY),
    "ATTENDEE": (NONE, NONE),  # CANCEL: those who were invited, and nobody was
    "CATEGORIES": (MANY, MANY),
    "CLASS": (MAYBE, MAYBE),
    "COMMENT": (MANY, MANY),
    "CONTACT": (MAYBE, MANY),
    "CREATED": (MAYBE, MAYBE),
    "DESCRIPTION": (MAYBE, MAYBE),
    "DTEND": (MAYBE, MAYBE),
    "DTSTAMP": (ONE, ONE),
    "DTSTART": (ONE, MAYBE),
    "DURATION": (MAYBE, MAYBE),
    "EXDATE": (MANY, MANY),
    "GEO": (MAYBE, MAYBE),
    "LAST-MODIFIED": (MAYBE, MAYBE),
    "LOCATION": (MAYBE, MAYBE),
    "ORGANIZER": (ONE, ONE),
    "PRIORITY": (MAYBE, MAYBE),
    "RDATE": (MANY, MANY),
    "RECURRENCE-ID": (NONE, NONE),  # only of one instance of what recurs, and nothing does
    "RELATED-TO": (MANY, MANY),
    "REQUEST-STATUS": (NONE, NONE),
    "RESOURCES": (MANY, MANY),
    "RRULE": (MAYBE, MAYBE),
    "SEQUENCE": (MAYBE, ONE),
    "STATUS": (MAYBE, MAYBE),
    "SUMMARY": (ONE, MAYBE),
    "TRANSP": (MAYBE, MAYBE),
    "UID": (ONE, ONE),
    "URL": (MAYBE, MAYBE),
}
#: The same of components beside and in the VEVENT. VALARM may stand in what is published.
COMPONENTS = {
    "VEVENT": (ONE, ONE),
    "VALARM": (MANY, NONE),
    "VTIMEZONE": (MANY, MANY),
    "VTODO": (NONE, NONE),
    "VJOURNAL": (NONE, NONE),
    "VFREEBUSY": (NONE, NONE),
}
#: RFC 5545, 3.6: the properties of the calendar itself.
AROUND = {"VERSION": ONE, "PRODID": ONE, "CALSCALE": MAYBE, "METHOD": ONE}
_LINE = re.compile(r'([A-Z0-9-]+)((?:;[A-Z-]+=(?:"[^"\x00-\x1f]*"|[^";:,\x00-\x1f]*))*):(.*)', re.DOTALL)
_UTC = re.compile(r"\d{8}T\d{6}Z")
#: What makes nobody look busy; our own rule, in the words of the RFC and of Outlook.
_FREE = {"TRANSP": "TRANSPARENT", "X-MICROSOFT-CDO-BUSYSTATUS": "FREE"}


@dataclass(frozen=True)
class Property:
    within: str
    name: str
    parameters: str
    value: str


def properties(text: str) -> Iterator[Property]:
    """The content lines of a file, unfolded, each with the component that it stands in."""
    inside: list[str] = []
    for line in text.removesuffix("\r\n").replace("\r\n ", "").replace("\r\n\t", "").split("\r\n"):
        found = _LINE.fullmatch(line)
        assert found, f"no content line: {line!r}"
        name, parameters, value = found.groups()
        if name == "END":
            assert inside.pop() == value
            continue
        yield Property(inside[-1] if inside else "", name, parameters, value)
        if name == "BEGIN":
            inside.append(value)
    assert not inside


def faults(text: str) -> list[str]:
    """What is wrong with a file for calendars by the tables, one word of it each."""
    found = list(_written(text))
    if found:
        return found
    said = list(properties(text))
    first = {one.name: one.value for one in reversed(said) if one.within in {"VCALENDAR", "VEVENT"}}
    method = first.get("METHOD", "")
    if method not in {"PUBLISH", "CANCEL"}:
        return ["METHOD"]
    column = 0 if method == "PUBLISH" else 1
    counted = Counter((one.within, one.name) for one in said)
    components = Counter(one.value for one in said if one.name == "BEGIN")
    found += [name for name, often in AROUND.items() if not _fits(counted["VCALENDAR", name], often)]
    found += [name for name, often in TABLE.items() if not _fits(counted["VEVENT", name], often[column])]
    found += [name for name, often in COMPONENTS.items() if not _fits(components[name], often[column])]
    known = {*TABLE, "BEGIN"}
    found += [
        name
        for within, name in counted
        if within == "VEVENT" and name not in known and not name.startswith("X-")
    ]
    return found + list(_values(first, said, method))


def _written(text: str) -> Iterator[str]:
    """RFC 5545, 3.1: CRLF after every line, none longer than 75 octets, no control characters."""
    if not text.endswith("\r\n") or re.search(r"(?<!\r)\n|\r(?!\n)", text):
        yield "CRLF"
    if any(len(line.encode()) > 75 for line in text.split("\r\n")):
        yield "75 octets"
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        yield "control"


def _fits(count: int, often: tuple[int, int]) -> bool:
    return often[0] <= count <= often[1]


def _values(first: dict[str, str], said: list[Property], method: str) -> Iterator[str]:
    """What the comments of the tables ask of values."""
    if {"DTEND", "DURATION"} <= first.keys():
        yield "DTEND and DURATION"
    times = [name for name in ("DTSTAMP", "DTSTART", "DTEND") if name in first]
    if any(not _UTC.fullmatch(first[name]) for name in times) or any(
        "TZID" in one.parameters for one in said
    ):
        yield "UTC"
    if first.get("DTEND", "9") <= first.get("DTSTART", ""):
        yield "DTEND before DTSTART"
    if not re.fullmatch("0|[1-9][0-9]*", first.get("SEQUENCE", "0")):
        yield "SEQUENCE"
    if method == "CANCEL" and (first.get("STATUS") != "CANCELLED" or first.get("SEQUENCE") == "0"):
        yield "CANCEL"
    if method == "PUBLISH" and first.get("STATUS", "CONFIRMED") != "CONFIRMED":
        yield "STATUS"
    if not first.get("ORGANIZER", "").startswith("mailto:"):
        yield "mailto"
    if any(first.get(name) != value for name, value in _FREE.items()):
        yield "free"


def view(key: str = "planned-maintenance", language: str = "en", entry: Entry = ENTRY, **given: Any) -> View:
    reading = Reading(language, "Europe/Berlin", ("admins",), "default", NOW, entry)
    return view_of(shipped(), key, sample(shipped().types[key], NOW) | given, (EXAMPLE,), reading)


def made(shown: View) -> Invite:
    found = invite(shown, TRANSLATIONS)
    assert found is not None
    return found


def value(text: str, name: str) -> str:
    [found] = [one.value for one in properties(text) if one.name == name and one.within == "VEVENT"]
    return found.replace("\\n", "\n").replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\")


@pytest.mark.parametrize("entry", [ENTRY, CANCEL], ids=["publish", "cancel"])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", TYPES)
def test_every_type_in_every_language_keeps_to_the_tables(key: str, language: str, entry: Entry) -> None:
    """What is published or cancelled has every property that it must have and none that it must not."""
    found = made(view(key, language, entry))

    assert faults(found.text) == []
    assert f"\r\nMETHOD:{found.method}\r\n" in found.text


Harm = Callable[[str], str]


def without(name: str) -> Harm:
    """The file without that property of the VEVENT."""
    return lambda text: re.sub(rf"\r\n{name}[;:][^\r]*(?:\r\n [^\r]*)*(?=\r\n)", "", text, count=1)


def added(line: str) -> Harm:
    """The file with another line in the VEVENT."""
    return lambda text: text.replace("END:VEVENT", f"{line}\r\nEND:VEVENT")


def changed(old: str, new: str) -> Harm:
    """The file with `new` for `old`."""

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


BAD: list[tuple[Entry, Harm, str]] = [
    *((ENTRY, without(name), name) for name in ("DTSTAMP", "DTSTART", "ORGANIZER", "SUMMARY", "UID")),
    *((CANCEL, without(name), name) for name in ("DTSTAMP", "ORGANIZER", "SEQUENCE", "UID")),
    *(
        (entry, added(f"{name}:x"), name)
        for entry, column in ((ENTRY, 0), (CANCEL, 1))
        for name, often in TABLE.items()
        if often[column] == NONE
    ),
    *(
        (entry, added(f"{name}:x\r\n{name}:x"), name)
        for entry, column in ((ENTRY, 0), (CANCEL, 1))
        for name, often in TABLE.items()
        if often[column][1] == 1
    ),
    (ENTRY, added("FLAVOUR:x"), "FLAVOUR"),
    *(
        (entry, changed("END:VCALENDAR", f"BEGIN:{name}\r\nUID:x\r\nEND:{name}\r\nEND:VCALENDAR"), name)
        for entry in (ENTRY, CANCEL)
        for name in ("VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY")
    ),
    (CANCEL, added("BEGIN:VALARM\r\nACTION:DISPLAY\r\nEND:VALARM"), "VALARM"),
    *((ENTRY, changed(f"\r\n{line}", ""), line[:6]) for line in ("VERSION:2.0", "METHOD:PUBLISH")),
    (ENTRY, changed("PRODID", "X-PRODID"), "PRODID"),
    (ENTRY, changed("METHOD:PUBLISH", "METHOD:REQUEST"), "METHOD"),
    (ENTRY, changed("METHOD:PUBLISH", "METHOD:PUBLISH\r\nMETHOD:PUBLISH"), "METHOD"),
    (ENTRY, added("DURATION:PT1H"), "DTEND and DURATION"),
    (ENTRY, changed("DTSTART:20270320T210000Z", "DTSTART:20270320T210000"), "UTC"),
    (ENTRY, changed("DTSTART:", "DTSTART;TZID=Europe/Berlin:"), "UTC"),
    (ENTRY, changed("DTEND:20270321T010000Z", "DTEND:20270320T210000Z"), "DTEND before DTSTART"),
    (ENTRY, changed("SEQUENCE:0", "SEQUENCE:-1"), "SEQUENCE"),
    (CANCEL, changed("SEQUENCE:2", "SEQUENCE:0"), "CANCEL"),
    (CANCEL, changed("STATUS:CANCELLED", "STATUS:CONFIRMED"), "CANCEL"),
    (CANCEL, without("STATUS"), "CANCEL"),
    (ENTRY, changed("STATUS:CONFIRMED", "STATUS:CANCELLED"), "STATUS"),
    (ENTRY, changed("mailto:", "https:"), "mailto"),
    (ENTRY, changed("TRANSP:TRANSPARENT", "TRANSP:OPAQUE"), "free"),
    (ENTRY, changed("BUSYSTATUS:FREE", "BUSYSTATUS:BUSY"), "free"),
    (ENTRY, changed("\r\n", "\n"), "CRLF"),
    (ENTRY, added(f"X-LONG:{'é' * 40}"), "75 octets"),
    (ENTRY, added("X-BELL:\a"), "control"),
]


@pytest.mark.parametrize(
    ("entry", "harm", "fault"), BAD, ids=[f"{number}-{fault}" for number, (_, _, fault) in enumerate(BAD)]
)
def test_the_tables_find_what_breaks_them(entry: Entry, harm: Harm, fault: str) -> None:
    """Each rule has a file that breaks it, so that the test above can fail."""
    text = made(view(entry=entry)).text
    harmed = harm(text)

    assert harmed != text
    assert any(found.startswith(fault) for found in faults(harmed)), faults(harmed)


def test_the_entry_says_when_what_and_where() -> None:
    """Times in UTC, the number, when it was said, the service's words and the link; and nobody is invited."""
    text = made(view(entry=replace(ENTRY, sequence=7), summary="Disks, racks; \\o/")).text

    assert value(text, "UID") == "window-1@fabrikam.example"
    assert (value(text, "DTSTART"), value(text, "DTEND")) == ("20270320T210000Z", "20270321T010000Z")
    assert (value(text, "DTSTAMP"), value(text, "SEQUENCE")) == ("20270306T120000Z", "7")
    assert value(text, "SUMMARY") == "Planned maintenance: Example Production"
    assert value(text, "LOCATION") == "Example Production"
    assert value(text, "URL") == "https://status.fabrikam.example/maintenance/4711"
    assert value(text, "DESCRIPTION").startswith("What happens\nDisks, racks; \\o/\n\nWhat you will notice\n")
    assert value(text, "ORGANIZER") == "mailto:notices@fabrikam.example"


def test_the_words_are_in_the_reader_s_language() -> None:
    """Title and labels are translated, and their language is named beside them."""
    text = made(view(language="de")).text

    assert "SUMMARY;LANGUAGE=de:" in text
    assert "Planned maintenance" not in text
    assert "What you will notice" not in text


def test_a_cancel_strikes_off_the_same_window() -> None:
    """What is cancelled keeps UID, organizer and times."""
    kept = ("UID", "ORGANIZER", "DTSTART", "DTEND", "SUMMARY")
    published, cancelled = made(view()), made(view(entry=CANCEL))

    assert (published.method, cancelled.method) == ("PUBLISH", "CANCEL")
    assert [value(published.text, name) for name in kept] == [value(cancelled.text, name) for name in kept]


def test_a_mail_without_a_window_brings_no_file() -> None:
    """Without an entry there is nothing to attach."""
    assert invite(replace(view(), entry=None), TRANSLATIONS) is None


@pytest.mark.parametrize(
    "evil", ["a\r\nATTENDEE:mailto:x@y.example", "a\nMETHOD:REQUEST", "a\x0bb", "\u2028x", "é" * 300]
)
def test_no_text_adds_a_line(evil: str) -> None:
    """Whatever upstream says is text of one property: it adds no property and breaks no line."""
    shown = view()
    fields = dict(shown.fields) | {"summary": evil, "impact": (evil, evil)}
    text = made(replace(shown, fields=fields)).text

    assert faults(text) == []


@pytest.mark.parametrize("address", ["a@b.example\r\nX-EVIL:1", "a@b.example\nx", "a\x00@b.example"])
def test_an_organizer_s_address_with_a_line_break_is_refused(address: str) -> None:
    """The address is written as it is, so one that would begin a line of its own makes no file."""
    organizer = Sender.model_construct(address=address, name="Fabrikam")

    with pytest.raises(ValueError, match="organizer's address"):
        invite(view(entry=replace(ENTRY, organizer=organizer)), TRANSLATIONS)


def test_a_long_description_is_cut() -> None:
    """A calendar is no place for all of a long text."""
    text = made(view(details="long words " * 1500)).text

    assert len(value(text, "DESCRIPTION")) <= 4_001
    assert value(text, "DESCRIPTION").endswith("…")


lines = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@steady
@given(said=lines, name=lines.filter(str.strip), title=lines.filter(str.strip), number=st.integers(0, 10**6))
def test_a_library_reads_what_was_said(said: str, name: str, title: str, number: int) -> None:
    """Whatever the words are, a parser of such files gets them back to the letter, line breaks as LF."""
    organizer = Sender.model_construct(address="notices@fabrikam.example", name=name)
    shown = view(entry=replace(ENTRY, organizer=organizer, sequence=number))
    instance = shown.instances[0].model_copy(update={"name": title})
    text = made(replace(shown, instances=(instance,), fields=dict(shown.fields) | {"summary": said})).text
    [found] = Calendar.from_ical(text).events
    event: Any = found

    assert faults(text) == []
    assert event["LOCATION"] == readable(title)
    assert event["DESCRIPTION"].split("\n", 1)[1].startswith(readable(said) + "\n\n")
    assert event["ORGANIZER"].params["CN"] == re.sub(UNREADABLE + "|\n", " ", name)
    assert (event["SEQUENCE"], event["UID"]) == (number, ENTRY.uid)
    assert (event.start, event.end) == (ENTRY.window.starts_at, ENTRY.window.ends_at)


def readable(text: str) -> str:
    return re.sub(UNREADABLE, "\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


UNREADABLE = "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]"
