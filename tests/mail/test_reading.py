"""What is read by those who see no layout: the HTML in w3m, and the plain text."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from html import unescape
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dispatcher.domain.fields import parse_fields, sample
from dispatcher.domain.window import window_of
from mail.checkers import read_aloud
from mail.mails import CATALOGUE, CONTOSO, NOW, TRANSLATIONS, Mail

INVISIBLE = re.compile("[\u034f\u200b\u200c]")
_HEADING = re.compile(r"<h1\b[^>]*>(.*?)</h1>", re.DOTALL)
_TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)


def squeezed(text: str) -> str:
    """Without spaces and line ends: where a line is broken says nothing about the order."""
    return re.sub(r"\s+", "", text)


def window_of_mail(mail: Mail) -> str | None:
    """A pattern of the window's day, year and times where the reader is; None if the type has no window."""
    spec = CATALOGUE.types[mail.key]
    found = window_of(spec, parse_fields(spec, sample(spec, NOW))[0])
    if found is None:
        return None
    zone = ZoneInfo(CONTOSO.time_zone)
    start, end = found.starts_at.astimezone(zone), found.ends_at.astimezone(zone)
    day = rf"(?=\S{{0,30}}{start.year})\S{{0,30}}?(?<!\d){start.day}(?!\d)"
    return rf"{day}\S{{0,40}}?{_clock(start)}\S{{0,40}}?{_clock(end)}"


def _clock(moment: datetime) -> str:
    return rf"(?<!\d)0?{moment.hour}:{moment.minute:02}(?!\d)"


def missing(mail: Mail, text: str) -> list[str]:
    """What of label, title, window and service does not stand in a text after what comes before it."""
    [heading] = _HEADING.findall(mail.html)
    label = TRANSLATIONS.find(mail.language).gettext(CATALOGUE.types[mail.key].title)
    wanted = {
        "label": re.escape(squeezed(label)),
        "title": re.escape(squeezed(unescape(_TAG.sub("", heading)))),
        "window": window_of_mail(mail),
        "service": re.escape(squeezed(CATALOGUE.service.name)),
    }
    lacking, at, where = [], 0, squeezed(text)
    for what, pattern in wanted.items():
        if pattern is None:
            continue
        if found := re.compile(pattern).search(where, at):
            at = found.end()
        else:
            lacking.append(what)
    return lacking + (["invisible characters"] if INVISIBLE.search(text) else [])


def test_the_plain_text_is_in_order(mails: tuple[Mail, ...]) -> None:
    """Type label, title, window and service follow each other, and no character is invisible."""
    found = {mail.name: missing(mail, mail.text) for mail in mails}

    assert {name: lacking for name, lacking in found.items() if lacking} == {}


def test_every_type_with_a_calendar_has_a_window_to_look_for(mails: tuple[Mail, ...]) -> None:
    """The examples have both ends, or the order of windows was never checked."""
    without = {mail.key for mail in mails if window_of_mail(mail) is None}

    assert {key for key in without if CATALOGUE.types[key].calendar} == set()


@pytest.mark.debian
@pytest.mark.timeout(300)
def test_the_html_is_in_order_in_w3m(mails: tuple[Mail, ...], folder: Path) -> None:
    """The same, as a browser without layout or colours reads the HTML."""
    with ThreadPoolExecutor(2) as pool:
        dumps = pool.map(read_aloud, [folder / f"{mail.name}.html" for mail in mails])
        found = {mail.name: missing(mail, dump) for mail, dump in zip(mails, dumps, strict=True)}

    assert {name: lacking for name, lacking in found.items() if lacking} == {}


def test_a_text_out_of_order_is_seen(mails: tuple[Mail, ...]) -> None:
    """Turned round, and with invisible filling, a text lacks what it lacks."""
    mail = next(one for one in mails if one.key == "planned-maintenance")
    turned = "\n".join(reversed(mail.text.splitlines()))

    assert {"title", "invisible characters"} <= set(missing(mail, turned + "\u200c"))


@pytest.mark.debian
def test_a_poor_mail_says_nothing_in_w3m(mails: tuple[Mail, ...], poor: Path) -> None:
    """The control lacks all that a reader looks for."""
    mail = next(one for one in mails if one.key == "planned-maintenance")

    assert missing(mail, read_aloud(poor / "poor.html")) == ["label", "title", "window", "service"]
