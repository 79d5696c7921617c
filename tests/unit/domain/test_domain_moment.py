from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from slow import PATIENT

from dispatcher.domain.moment import (
    day_in,
    is_relative,
    parse_datetime,
    parse_duration,
    resolve_relative,
)

NOW = datetime(2026, 3, 28, 23, 30, 59, 999_999, tzinfo=UTC)

RELATIVE = (
    ("+14d 22:00", "2026-04-11T22:00"),
    ("-45m", "2026-03-28T22:45"),
    ("+45m", "2026-03-29T00:15"),
    ("+2h", "2026-03-29T01:30"),
    ("-1d 00:00", "2026-03-27T00:00"),
    ("+1w", "2026-04-04T23:30"),
    ("+0d 21:00", "2026-03-28T21:00"),
    ("+0m", "2026-03-28T23:30"),
    ("+1h 08:00", "2026-03-29T08:00"),
    ("+3660d", "2036-04-04T23:30"),
)
NOT_RELATIVE = (
    "", "14d", "+14", "+14s", "+14d22:00", "+14d 24:00", "+14d 22:60", "+14d 9:00", "+14d 22:00 ", " +14d",
    "+14d\n", "+-1d", "+1d 1h", "+3661d", "-99999999d", "+99999999999999999999d", "+٣d", "tomorrow",
)  # fmt: skip

DURATIONS = (
    ("PT2H30M", 9000),
    ("2h 30m", 9000),
    ("2h30m", 9000),
    ("2H 30M", 9000),
    (" PT1S ", 1),
    ("P1D", 86_400),
    ("P1DT1H", 90_000),
    ("P2W", 1_209_600),
    ("1w 1d 1h 1m 1s", 694_861),
    ("PT90M", 5400),
    ("PT12H", 43_200),
    ("P3660D", 316_224_000),
    ("316224000s", 316_224_000),
    ("PT316224000S", 316_224_000),
)
NOT_DURATIONS = (
    "", " ", "P", "PT", "P1DT", "T1H", "1H30", "90", "1.5h", "PT1.5H", "-1h", "-PT1H", "PT-1H", "P1Y", "P1M",
    "1 h", "pt1h", "h", "0s", "PT0S", "P3661D", "PT316224001S", "2h\u00a030m", "٣h", "5ſ", "2h 5ſ",
    "P" + "9" * 5000 + "D", "9" * 5000 + "d",
)  # fmt: skip

DATETIMES = (
    ("2027-03-06T22:00+01:00", "2027-03-06T21:00:00+00:00"),
    ("2027-03-06T21:00Z", "2027-03-06T21:00:00+00:00"),
    ("2027-03-06 21:00:30.5+00:00", "2027-03-06T21:00:30.500000+00:00"),
    ("2027-01-01T00:30+14:00", "2026-12-31T10:30:00+00:00"),
    ("2026-12-31T23:30-11:30", "2027-01-01T11:00:00+00:00"),
    ("2028-02-29T00:00Z", "2028-02-29T00:00:00+00:00"),
    ("1970-01-01T00:00Z", "1970-01-01T00:00:00+00:00"),
    ("9000-12-31T23:59-12:00", "9001-01-01T11:59:00+00:00"),
)
NOT_DATETIMES = (
    ("2027-03-06T22:00", "has no offset from UTC"),
    ("2027-03-06", "has no offset from UTC"),
    ("1969-12-31T23:59Z", "is not in the years 1970 to 9000"),
    ("9001-01-01T00:00Z", "is not in the years 1970 to 9000"),
    ("0001-01-01T00:00Z", "is not in the years 1970 to 9000"),
    ("2027-02-29T00:00Z", "is not a date and time"),
    ("2027-03-06T24:01Z", "is not a date and time"),
    ("2027-03-06T22:00 Europe/Berlin", "is not a date and time"),
    ("06.03.2027 22:00+01:00", "is not a date and time"),
    ("+14d 22:00", "is not a date and time"),
    ("", "is not a date and time"),
)


@pytest.mark.parametrize(("text", "moment"), RELATIVE)
def test_a_relative_moment_is_seen_from_now(text: str, moment: str) -> None:
    """Days and hours are added in UTC, the time of day is set, seconds are cut off."""
    assert is_relative(text)
    assert resolve_relative(text, NOW) == datetime.fromisoformat(f"{moment}Z")
    assert resolve_relative(text, NOW.astimezone(timezone(timedelta(hours=9)))) == datetime.fromisoformat(
        f"{moment}Z"
    )


@pytest.mark.parametrize("text", NOT_RELATIVE)
def test_what_is_not_relative_is_refused(text: str) -> None:
    """What `is_relative` denies, `resolve_relative` refuses: the two never disagree."""
    assert not is_relative(text)
    with pytest.raises(ValueError, match="is not relative to now"):
        resolve_relative(text, NOW)


@pytest.mark.parametrize(("text", "seconds"), DURATIONS)
def test_a_duration_is_read_in_both_spellings(text: str, seconds: int) -> None:
    """ISO 8601 and the short form mean the same."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", NOT_DURATIONS)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Nothing, nonsense, zero, months and more than ten years are refused."""
    with pytest.raises(ValueError, match=r"is not a duration|is not between one second and ten years"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "moment"), DATETIMES)
def test_a_moment_keeps_its_offset(text: str, moment: str) -> None:
    """A moment is aware and is the one that was written."""
    parsed = parse_datetime(text)

    assert parsed.utcoffset() is not None
    assert parsed.astimezone(UTC).isoformat() == moment


@pytest.mark.parametrize(("text", "message"), NOT_DATETIMES)
def test_what_is_no_moment_is_refused(text: str, message: str) -> None:
    """Without an offset, out of range or out of the calendar there is no moment."""
    with pytest.raises(ValueError, match=message):
        parse_datetime(text)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("UTC", 31),
        ("Europe/Berlin", 31),
        ("Asia/Tokyo", 32),
        ("Pacific/Kiritimati", 32),
        ("America/Los_Angeles", 31),
    ],
)
def test_the_day_is_the_zone_s_own(zone: str, day: int) -> None:
    """At 15:30 UTC on New Year's Eve it is the new year in Tokyo already."""
    moment = datetime(2026, 12, 31, 15, 30, tzinfo=UTC)

    assert day_in(zone, moment) == date(2026, 12, 1) + timedelta(days=day - 1)


def test_the_day_follows_summer_time() -> None:
    """22:30 UTC is still today in Berlin's winter and tomorrow in its summer."""
    assert day_in("Europe/Berlin", datetime(2026, 3, 28, 22, 30, tzinfo=UTC)) == date(2026, 3, 28)
    assert day_in("Europe/Berlin", datetime(2026, 3, 29, 22, 30, tzinfo=UTC)) == date(2026, 3, 30)


@pytest.mark.parametrize(
    "text", ["1d " * 33_000 + "x", "1" * 100_000, "1d" + " " * 100_000 + "x", "P" * 100_000]
)
def test_a_huge_text_is_refused_at_once(text: str) -> None:
    """No text keeps the expressions busy."""
    start = time.process_time()
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
    assert not is_relative(f"+{text}")

    assert time.process_time() - start < 0.2 * PATIENT
