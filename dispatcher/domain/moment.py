"""Moments and spans of time as people write them in YAML, JSON and on a command line."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_UNITS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
# Numbers have at most nine digits: more is out of range anyway, and ASCII keeps ٣ and ſ out.
_SHORT = re.compile(r"(?:\d{1,9}[wdhms]\s*)+", re.IGNORECASE | re.ASCII)
_ISO = re.compile(
    r"P(?:(?P<w>\d{1,8})W)?(?:(?P<d>\d{1,8})D)?"
    r"(?:T(?=\d)(?:(?P<h>\d{1,8})H)?(?:(?P<m>\d{1,8})M)?(?:(?P<s>\d{1,9})S)?)?",
    re.ASCII,
)
_RELATIVE = re.compile(
    r"(?P<sign>[+-])(?P<number>\d{1,8})(?P<unit>[wdhm])(?:\s+(?P<at>(?:[01]\d|2[0-3]):[0-5]\d))?", re.ASCII
)
MAX_SPAN = timedelta(days=3660)
#: Before the first lies only what nobody meant (an empty date of some systems is the year 1); after the last,
#: an offset would lead out of the calendar.
FIRST_YEAR, LAST_YEAR = 1970, 9000


def parse_datetime(text: str) -> datetime:
    """An ISO 8601 date and time with its offset, as an aware datetime.

    Raises:
        ValueError: It is no such moment, has no offset, or lies outside the years 1970 to 9000.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a date and time") from None
    if moment.tzinfo is None:
        raise ValueError("has no offset from UTC")
    check_year(moment)
    return moment


def check_year(day: date) -> None:
    """Nothing, for a day or moment in the years that are dealt with.

    Raises:
        ValueError: It lies outside the years 1970 to 9000.
    """
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"is not in the years {FIRST_YEAR} to {LAST_YEAR}")


@lru_cache(maxsize=1024)  # those of the catalogue are asked for again with every event and every mail
def parse_duration(text: str) -> timedelta:
    """``PT2H30M`` (ISO 8601) or ``2h 30m``, as a positive timedelta.

    Raises:
        ValueError: It is neither, is zero, or is longer than ten years.
    """
    text = text.strip()
    if (iso := _ISO.fullmatch(text)) and any(iso.groups()):
        seconds = sum(int(number) * _UNITS[unit] for unit, number in iso.groupdict("0").items())
    elif _SHORT.fullmatch(text):
        parts = re.findall(r"(\d+)([wdhms])", text.lower())
        seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    else:
        raise ValueError("is not a duration")
    if not 0 < seconds <= MAX_SPAN.total_seconds():
        raise ValueError("is not between one second and ten years")
    return timedelta(seconds=seconds)


def is_relative(text: str) -> bool:
    """Whether `text` is a moment relative to now, at most ten years away: ``+14d 22:00``, ``-45m``."""
    match = _RELATIVE.fullmatch(text)
    return match is not None and abs(_distance(match)) <= MAX_SPAN


def resolve_relative(text: str, now: datetime) -> datetime:
    """``+14d 22:00`` or ``-45m`` as a moment in UTC, whole minutes, seen from `now`.

    Raises:
        ValueError: `text` is not of that form, or is more than ten years away.
    """
    match = _RELATIVE.fullmatch(text)
    if match is None or abs(_distance(match)) > MAX_SPAN:
        raise ValueError("is not relative to now")
    moment = now.astimezone(UTC) + _distance(match)
    if match["at"]:
        moment = datetime.combine(moment.date(), time.fromisoformat(match["at"]), UTC)
    return moment.replace(second=0, microsecond=0)


def _distance(match: re.Match[str]) -> timedelta:
    return timedelta(seconds=int(match["sign"] + match["number"]) * _UNITS[match["unit"]])


def day_in(zone: str, moment: datetime) -> date:
    """The calendar day of `moment` in the IANA time zone `zone`."""
    return moment.astimezone(ZoneInfo(zone)).date()


def by_clock(zone: str, moment: datetime) -> str:
    """What the clock of the IANA time zone `zone` shows, and its offset: ``2027-04-05 21:00 +02:00``."""
    there = moment.astimezone(ZoneInfo(zone)).replace(second=0, microsecond=0)
    return f"{there:%Y-%m-%d %H:%M} {there.isoformat()[len('2027-04-05T21:00:00') :]}"


def first_moment(zone: str, day: date, hour: time) -> datetime:
    """When the clock of the IANA time zone `zone` first shows `hour` on `day`, in UTC.

    Of an hour that comes twice it is the first; where clocks skip the hour, the moment at which they do.
    """
    there = ZoneInfo(zone)
    wanted = datetime.combine(day, hour)
    found = wanted.replace(tzinfo=there).astimezone(UTC)
    if found.astimezone(there).replace(tzinfo=None) == wanted:
        return found
    # PEP 495: of an hour in a gap, fold=1 is reckoned by the offset after it, which leads to before the gap.
    early = wanted.replace(tzinfo=there, fold=1).astimezone(UTC)
    offset = early.astimezone(there).utcoffset()
    while found - early > timedelta(seconds=1):
        middle = early + ((found - early) / 2 // timedelta(seconds=1)) * timedelta(seconds=1)
        early, found = (middle, found) if middle.astimezone(there).utcoffset() == offset else (early, middle)
    return found
