"""Moments and spans of time as people write them in YAML, JSON and on a command line."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_UNITS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_SHORT = re.compile(r"(?:\d+[wdhms]\s*)+", re.IGNORECASE)
_ISO = re.compile(r"P(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+)S)?)?")
_RELATIVE = re.compile(r"(?P<sign>[+-])(?P<span>\d+[wdhm])(?:\s+(?P<at>\d{2}:\d{2}))?")
MAX_SPAN = timedelta(days=3660)


def parse_datetime(text: str) -> datetime:
    """An ISO 8601 date and time with its offset, as an aware datetime.

    Raises:
        ValueError: It is no such moment, has no offset, or lies outside the years 1970 to 9000.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("has no offset from UTC")
    if not 1970 <= moment.year <= 9000:
        raise ValueError("is not in the years 1970 to 9000")
    return moment


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


def format_duration(span: timedelta) -> str:
    """The duration as ISO 8601: ``PT2H30M``."""
    days, rest = divmod(int(span.total_seconds()), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    clock = "".join(f"{n}{u}" for n, u in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    return f"P{f'{days}D' if days else ''}{f'T{clock}' if clock else ''}"


def is_relative(text: str) -> bool:
    """Whether `text` is a moment relative to now: ``+14d 22:00``, ``-45m``."""
    return _RELATIVE.fullmatch(text) is not None


def resolve_relative(text: str, now: datetime) -> datetime:
    """``+14d 22:00`` or ``-45m`` as a moment in UTC, whole minutes, seen from `now`.

    Raises:
        ValueError: `text` is not of that form.
    """
    match = _RELATIVE.fullmatch(text)
    if match is None:
        raise ValueError("is not relative to now")
    span = parse_duration(match["span"])
    moment = now.astimezone(UTC) + (span if match["sign"] == "+" else -span)
    if match["at"]:
        moment = datetime.combine(moment.date(), time.fromisoformat(match["at"]), UTC)
    return moment.replace(second=0, microsecond=0)


def day_in(zone: str, moment: datetime) -> date:
    """The calendar day of `moment` in the IANA time zone `zone`."""
    return moment.astimezone(ZoneInfo(zone)).date()
