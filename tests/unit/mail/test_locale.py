from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from dispatcher.domain.language import LANGUAGES
from dispatcher.mail.locale import Format

BERLIN = Format("en", "Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


DATETIMES = (
    ("en", "Europe/Berlin", "Saturday, 6 March 2027, 22:00 CET"),
    ("en", "America/New_York", "Saturday, 6 March 2027, 16:00 EST"),
    ("en", "Asia/Tokyo", "Sunday, 7 March 2027, 06:00 JST"),
    ("en", "America/Sao_Paulo", "Saturday, 6 March 2027, 18:00 GMT-3"),
    ("en", "Asia/Kathmandu", "Sunday, 7 March 2027, 02:45 GMT+5:45"),
    ("en", "UTC", "Saturday, 6 March 2027, 21:00 UTC"),
    ("de", "Europe/Berlin", "Samstag, 6. März 2027, 22:00 MEZ"),
    ("fr", "Europe/Paris", "samedi 6 mars 2027, 22:00 UTC+1"),
    ("es", "Europe/Madrid", "sábado, 6 de marzo de 2027, 22:00 CET"),
    ("it", "Europe/Rome", "sabato 6 marzo 2027, 22:00 CET"),
    ("pt", "Europe/Lisbon", "sábado, 6 de março de 2027, 21:00 GMT"),
    ("ja", "Asia/Tokyo", "2027年3月7日(日) 6:00 JST"),
    ("zh-Hans", "Asia/Shanghai", "2027年3月7日星期日 05:00 GMT+8"),
    ("zh-Hant", "Asia/Taipei", "2027年3月7日 星期日 05:00 GMT+8"),
)


@pytest.mark.parametrize(("language", "zone", "written"), DATETIMES)
def test_a_moment_is_written_as_the_reader_writes_it(language: str, zone: str, written: str) -> None:
    """A moment shows day, 24-hour clock and zone in the reader's language and time zone."""
    assert Format(language, zone).long_datetime(utc("2027-03-06T21:00")) == written


WINDOWS = (
    # one night: named by its first day
    ("2027-03-06T21:00", "2027-03-07T01:00", "Saturday, 6 March 2027, 22:00–02:00 CET"),
    ("2027-03-06T12:00", "2027-03-06T14:00", "Saturday, 6 March 2027, 13:00–15:00 CET"),
    ("2027-03-06T22:30", "2027-03-07T10:59", "Saturday, 6 March 2027, 23:30–11:59 CET"),
    # ends at noon or later, or lasts a day: both days are named
    (
        "2027-03-06T22:30",
        "2027-03-07T11:00",
        "Saturday, 6 March 2027, 23:30 – Sunday, 7 March 2027, 12:00 CET",
    ),
    (
        "2027-03-06T06:00",
        "2027-03-07T06:00",
        "Saturday, 6 March 2027, 07:00 – Sunday, 7 March 2027, 07:00 CET",
    ),
    # the clocks go forward in the night to 28 March and back in the night to 31 October 2027
    ("2027-03-27T21:00", "2027-03-28T02:00", "Saturday, 27 March 2027, 22:00 CET – 04:00 CEST"),
    ("2027-10-31T00:30", "2027-10-31T01:15", "Sunday, 31 October 2027, 02:30 CEST – 02:15 CET"),
    (
        "2027-03-27T08:00",
        "2027-03-28T12:00",
        "Saturday, 27 March 2027, 09:00 CET – Sunday, 28 March 2027, 14:00 CEST",
    ),
)


@pytest.mark.parametrize(("start", "end", "written"), WINDOWS)
def test_a_window_names_its_second_day_only_when_needed(start: str, end: str, written: str) -> None:
    """A night is named by its first day; longer windows name both, and both zones across a clock change."""
    assert BERLIN.window(utc(start), utc(end)) == written


NIGHTS = (
    ("de", "Samstag, 6. März 2027, 22:00–02:00 MEZ", "21:00–01:00 UTC, 6. März"),
    ("fr", "samedi 6 mars 2027, 22:00–02:00 UTC+1", "21:00–01:00 UTC, 6 mars"),
    ("es", "sábado, 6 de marzo de 2027, 22:00–02:00 CET", "21:00–01:00 UTC, 6 de marzo"),
    ("it", "sabato 6 marzo 2027, 22:00–02:00 CET", "21:00–01:00 UTC, 6 marzo"),
    ("pt", "sábado, 6 de março de 2027, 22:00–02:00 GMT+1", "21:00–01:00 UTC, 6 de março"),
    ("ja", "2027年3月6日(土) 22:00～翌2:00 GMT+1", "3月6日 21:00～翌1:00 UTC"),
    ("zh-Hans", "2027年3月6日星期六 22:00–次日02:00 GMT+1", "3月6日 21:00–次日01:00 UTC"),
    ("zh-Hant", "2027年3月6日 星期六 22:00–翌日02:00 GMT+1", "3月6日 21:00–翌日01:00 UTC"),
)


@pytest.mark.parametrize(("language", "window", "universal"), NIGHTS)
def test_a_night_is_written_as_announcements_in_the_language_write_it(
    language: str, window: str, universal: str
) -> None:
    """Every language has its order and signs; Chinese and Japanese name the next day."""
    format_, span = Format(language, "Europe/Berlin"), (utc("2027-03-06T21:00"), utc("2027-03-07T01:00"))

    assert (format_.window(*span), format_.utc(*span)) == (window, universal)


def test_days_that_lie_apart_are_parted_as_the_language_does() -> None:
    """A window over days has both of them, with the language's own sign between."""
    span = (utc("2027-03-06T21:00"), utc("2027-03-09T01:00"))

    assert Format("ja", "UTC").window(*span) == "2027年3月6日(土) 21:00 ～ 2027年3月9日(火) 1:00 UTC"
    assert Format("zh-Hans", "UTC").window(*span) == (
        "2027年3月6日星期六 21:00 至 2027年3月9日星期二 01:00 UTC"
    )
    assert Format("ja", "Asia/Tokyo").utc(*span) == "3月6日 21:00 ～ 3月9日 1:00 UTC"


def test_the_first_of_a_month_is_an_ordinal_where_it_is_said_so() -> None:
    """French and Brazilian Portuguese count the first day and number the others."""
    assert Format("fr", "UTC").long_date(date(2027, 5, 1)) == "samedi 1er mai 2027"
    assert Format("fr", "UTC").short_date(date(2027, 5, 11)) == "11 mai 2027"
    assert Format("pt", "UTC").short_date(date(2027, 5, 1)) == "1º de mai. de 2027"
    assert Format("pt", "UTC").long_date(date(2021, 1, 31)) == "domingo, 31 de janeiro de 2021"


def test_a_window_may_be_given_by_its_length_or_have_no_end() -> None:
    """Twelve hours across a change of the clocks are twelve hours; without an end the start stands alone."""
    start = utc("2027-03-27T21:00")

    assert BERLIN.window(start, timedelta(hours=12)).endswith("22:00 CET – 11:00 CEST")
    assert BERLIN.window(start) == BERLIN.long_datetime(start)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_two_parts_of_a_window_make_the_window(language: str) -> None:
    """The parts that a line may end between are the whole window, in every language."""
    format_ = Format(language, "Asia/Tokyo")
    span = (utc("2027-03-06T21:00"), utc("2027-03-08T01:00"))

    assert " ".join(format_.window_parts(*span)) == format_.window(*span)


def test_utc_stands_beside_the_readers_time() -> None:
    """The line in UTC has the times and the day, and is empty for a reader whose clock shows UTC."""
    start, end = utc("2027-03-06T21:00"), utc("2027-03-07T01:00")

    assert BERLIN.utc(start, end) == "21:00–01:00 UTC, 6 March"
    assert BERLIN.utc(start) == "21:00 UTC, 6 March"
    assert BERLIN.utc(start, utc("2027-03-08T01:00")) == "6 March, 21:00 – 8 March, 01:00 UTC"
    assert Format("en", "Europe/London").utc(start, end) == ""
    assert Format("en", "Europe/London").utc(utc("2027-07-06T21:00")) == "21:00 UTC, 6 July"


COUNTDOWNS = (
    ("en", "2027-03-21T12:00", "in 15 days"),
    ("en", "2027-03-07T12:00", "tomorrow"),
    ("en", "2027-03-06T22:59", "today"),
    ("en", "2027-03-06T23:00", "tomorrow"),  # 00:00 in Berlin
    ("en", "2027-03-05T12:00", "yesterday"),
    ("en", "2027-02-19T12:00", "15 days ago"),
    ("de", "2027-03-21T12:00", "in 15 Tagen"),
    ("ja", "2027-03-21T12:00", "15日後"),
    ("zh-Hant", "2027-02-19T12:00", "15天前"),
    ("es", "2027-03-21T12:00", "dentro de 15 días"),
    ("pt", "2027-03-07T12:00", "amanhã"),
)


@pytest.mark.parametrize(("language", "moment", "written"), COUNTDOWNS)
def test_a_countdown_counts_calendar_days_of_the_reader(language: str, moment: str, written: str) -> None:
    """What is left is told in calendar days of the reader's zone, not in spans of 24 hours."""
    format_ = Format(language, "Europe/Berlin")

    assert format_.countdown(utc(moment), utc("2027-03-06T09:00")) == written


def test_a_countdown_to_a_date_takes_the_date_as_it_is() -> None:
    """A date has no zone, so it is counted to from the reader's own today."""
    assert Format("en", "Asia/Tokyo").countdown(date(2027, 3, 7), utc("2027-03-06T21:00")) == "today"


DURATIONS = (
    ("en", timedelta(hours=2, minutes=30), "2 hours 30 minutes"),
    ("en", timedelta(days=1, hours=1, minutes=1), "1 day 1 hour 1 minute"),
    ("en", timedelta(seconds=20), "1 minute"),
    ("it", timedelta(days=2), "2 giorni"),
    ("it", timedelta(hours=2, minutes=30), "2 ore e 30 minuti"),
    ("es", timedelta(days=2, hours=18, minutes=40), "2 días, 18 horas y 40 minutos"),
    ("pt", timedelta(hours=1, minutes=1), "1 hora e 1 minuto"),
    ("ja", timedelta(days=2), "2日間"),
    ("ja", timedelta(days=1, hours=1), "1日1時間"),
    ("de", timedelta(hours=12), "12 Stunden"),
    ("ja", timedelta(hours=2, minutes=30), "2時間30分"),
    ("zh-Hans", timedelta(hours=1), "1小时"),
)


@pytest.mark.parametrize(("language", "span", "written"), DURATIONS)
def test_a_duration_is_exact(language: str, span: timedelta, written: str) -> None:
    """A span is written in days, hours and minutes, never rounded to the largest unit."""
    assert Format(language, "UTC").duration(span) == written


def test_a_short_date_is_for_subjects() -> None:
    """Short forms keep the month's name, so that no reader takes the day for the month."""
    assert BERLIN.short_datetime(utc("2027-03-06T21:00")) == "6 Mar 2027, 22:00 CET"
    assert Format("de", "Europe/Berlin").short_date(date(2027, 3, 6)) == "6. März 2027"


def test_lists_and_numbers_follow_the_language() -> None:
    """Lists are joined and numbers grouped as the language does."""
    assert BERLIN.listed(["a", "b", "c"]) == "a, b and c"
    assert Format("ja", "UTC").listed(["a", "b"]) == "a、b"
    assert Format("de", "UTC").number(1234) == "1.234"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_summer_that_is_the_standard_time_has_no_winters_name(language: str) -> None:
    """Ireland's winter is the exception by law, and its summer an hour ahead of GMT all the same."""
    summer = Format(language, "Europe/Dublin").short_datetime(utc("2027-07-10T21:00"))

    assert "22:00" in summer
    assert not summer.endswith(("GMT", "UTC"))
