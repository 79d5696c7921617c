"""Dates, spans and lists as a reader of one language in one time zone writes them.

Names and orders of words come from CLDR through Babel. What is this project's own, since CLDR is silent or
knows only the shortest way: clock times are always of 24 hours, so that a window that ends at "2:00" needs no
"am" to be read; English is written the way of most of the world (day, month, year); and Chinese and Japanese
say that a night ends on the next day, as announcements in these languages do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_timedelta, get_timezone_name, parse_pattern
from babel.lists import format_list
from babel.numbers import format_decimal

_NOON = time(12)
_LOCALES = {"en": "en_GB", "zh-Hans": "zh_Hans", "zh-Hant": "zh_Hant"}
_UNSPACED = frozenset({"ja", "zh-Hans", "zh-Hant"})
_PATTERNS = {
    ("en", "full"): "EEEE, d MMMM y",
    ("ja", "full"): "y年M月d日(E)",
    ("es", "Hm"): "HH:mm",  # CLDR's 2:00 beside 22:00 looks like another kind of time
}
# The first of a month is an ordinal; CLDR leaves that to programs.
_FIRST = {"fr": "1er", "pt": "1º"}
_FIRST_DAY = re.compile(r"(?<!\d)1(?= )")
# Between two times of a day, and between two moments of different days.
_RANGES = {"ja": ("～", " ～ "), "zh-Hans": ("–", " 至 "), "zh-Hant": ("–", " 至 ")}
_NEXT_DAY = {"ja": "翌", "zh-Hans": "次日", "zh-Hant": "翌日"}
_WITH_AND = frozenset({"es", "it", "pt"})
# CLDR's relative days, which Babel does not offer: yesterday, today, tomorrow.
_NEAR_DAYS = {
    "en": ("yesterday", "today", "tomorrow"),
    "es": ("ayer", "hoy", "mañana"),
    "fr": ("hier", "aujourd’hui", "demain"),
    "de": ("gestern", "heute", "morgen"),
    "it": ("ieri", "oggi", "domani"),
    "pt": ("ontem", "hoje", "amanhã"),
    "ja": ("昨日", "今日", "明日"),
    "zh-Hans": ("昨天", "今天", "明天"),
    "zh-Hant": ("昨天", "今天", "明天"),
}
#: Names of zones kept: there are some 600 zones with two names each, and nine languages.
_KNOWN_ZONES = 12_000
_ZONE_NAMES: dict[tuple[object, ...], str] = {}


@dataclass(frozen=True, slots=True)
class Format:
    """How a reader writes moments: the day, the clock, the zone.

    Attributes:
        language: One of the nine languages.
        time_zone: An IANA time zone.
    """

    language: str
    time_zone: str

    def local(self, moment: datetime) -> datetime:
        """`moment` on the reader's clock."""
        return moment.astimezone(ZoneInfo(self.time_zone))

    def long_datetime(self, moment: datetime) -> str:
        """``Saturday, 6 March 2027, 22:00 CET``."""
        local = self.local(moment)
        return f"{self._joined(self._day(local), self._clock(local))} {self.zone(moment)}"

    def short_datetime(self, moment: datetime) -> str:
        """``6 Mar 2027, 22:00 CET``: for subjects and tables."""
        local = self.local(moment)
        return f"{self._joined(self.short_date(local.date()), self._clock(local))} {self.zone(moment)}"

    def long_date(self, day: date) -> str:
        """``Saturday, 6 March 2027``; of a moment, its day in the reader's zone."""
        return self._day(self.local(day) if isinstance(day, datetime) else day)

    def short_date(self, day: date) -> str:
        """``6 Mar 2027``."""
        return self._written("yMMMd", day)

    def window(self, start: datetime, end: datetime | timedelta | None = None) -> str:
        """``Saturday, 6 March 2027, 22:00–02:00 CET``.

        A window of less than a day that ends before the next noon is one night and named by its first
        day; a longer one names both. Where the clocks change in between, both zones are named.

        Args:
            start: When it begins.
            end: When it ends, or how long it is; None where nobody knows.
        """
        return " ".join(self.window_parts(start, end))

    def window_parts(self, start: datetime, end: datetime | timedelta | None = None) -> tuple[str, str]:
        """The window in two parts, which a line may end between: days, last clock times."""
        end = start if end is None else _end(start, end)
        first, last = self.local(start), self.local(end)
        zones = (self.zone(start), self.zone(end))
        if start == end:
            return self._comma(self._day(first)), f"{self._clock(first)} {zones[0]}"
        if _one_night(first, last):
            return self._comma(self._day(first)), self._hours(first, last, zones)
        zone = f" {zones[0]}" if zones[0] != zones[1] else ""
        begin = f"{self._joined(self._day(first), self._clock(first))}{zone}"
        return f"{begin}{self._range[1]}{self._comma(self._day(last))}", f"{self._clock(last)} {zones[1]}"

    def utc(self, start: datetime, end: datetime | timedelta | None = None) -> str:
        """``21:00–01:00 UTC, 6 March``; empty where the reader's clock shows UTC anyway."""
        end = start if end is None else _end(start, end)
        if not any(self.local(moment).utcoffset() for moment in (start, end)):
            return ""
        first, last = start.astimezone(UTC), end.astimezone(UTC)
        day = self._written("MMMMd", first)
        if start == end or _one_night(first, last):
            hours = self._hours(first, last, ("UTC", "UTC")) if start != end else f"{self._clock(first)} UTC"
            return f"{day} {hours}" if self.language in _UNSPACED else f"{hours}, {day}"
        begin = self._joined(day, self._clock(first))
        return f"{begin}{self._range[1]}{self._joined(self._written('MMMMd', last), self._clock(last))} UTC"

    def zone(self, moment: datetime) -> str:
        """The reader's zone as it is called at `moment`: ``CET``, ``MESZ``, ``GMT+9``."""
        local = self.local(moment)
        # It depends on the moment only through these, and moments are many.
        key = (self.language, self.time_zone, local.tzname(), local.utcoffset(), local.dst())
        if (name := _ZONE_NAMES.get(key)) is None:
            name = _zone_name(self.language, self.time_zone, local)
            if len(_ZONE_NAMES) < _KNOWN_ZONES:
                _ZONE_NAMES[key] = name
        return name

    def duration(self, span: timedelta) -> str:
        """``2 hours 30 minutes``, exact to the minute; what is shorter counts as one minute."""
        minutes = max(1, round(span.total_seconds() / 60))
        days, minutes = divmod(minutes, 24 * 60)
        hours, minutes = divmod(minutes, 60)
        counted = (
            _counted(self.language, "day", days),
            _counted(self.language, "hour", hours),
            _counted(self.language, "minute", minutes),
        )
        parts = [part for part in counted if part]
        if self.language == "ja" and not hours and not minutes:
            return f"{parts[0]}間"  # 2日 alone is the second of a month
        if self.language in _WITH_AND:
            return self.listed(parts)
        return ("" if self.language in _UNSPACED else " ").join(parts)

    def days_until(self, moment: date, now: datetime) -> int:
        """Calendar days in the reader's zone from `now` to `moment`; negative when it is past."""
        day = self.local(moment).date() if isinstance(moment, datetime) else moment
        return (day - self.local(now).date()).days

    def countdown(self, moment: date, now: datetime) -> str:
        """``in 15 days``, ``tomorrow``, ``today``, ``yesterday``, ``15 days ago``."""
        days = self.days_until(moment, now)
        if -1 <= days <= 1:
            return _NEAR_DAYS[self.language][days + 1]
        return _in_days(self.language, days)

    def listed(self, items: Sequence[str]) -> str:
        """``a, b and c``."""
        return format_list(items, locale=_locale(self.language))

    def number(self, value: int) -> str:
        """``1,234``."""
        return format_decimal(value, locale=_locale(self.language))

    def _day(self, day: date) -> str:
        return self._written("full", day)

    def _clock(self, moment: datetime) -> str:
        return _clock(self.language, moment.hour, moment.minute)

    def _written(self, form: str, day: date) -> str:
        return _written(self.language, form, day.year, day.month, day.day)

    def _hours(self, first: datetime, last: datetime, zones: tuple[str, str]) -> str:
        ends = f"{_NEXT_DAY.get(self.language, '') if last.date() > first.date() else ''}{self._clock(last)}"
        if zones[0] == zones[1]:
            return f"{self._clock(first)}{self._range[0]}{ends} {zones[1]}"
        return f"{self._clock(first)} {zones[0]}{self._range[1]}{ends} {zones[1]}"

    @property
    def _range(self) -> tuple[str, str]:
        return _RANGES.get(self.language, ("–", " – "))

    def _joined(self, day: str, clock: str) -> str:
        return f"{self._comma(day)} {clock}"

    def _comma(self, day: str) -> str:
        return day if self.language in _UNSPACED else f"{day},"


def _end(start: datetime, end: datetime | timedelta) -> datetime:
    # In UTC: a wall clock's arithmetic is an hour out across a change of the clocks.
    return start.astimezone(UTC) + end if isinstance(end, timedelta) else end


def _one_night(first: datetime, last: datetime) -> bool:
    if first.date() == last.date():
        return True
    next_morning = last.date() == first.date() + timedelta(days=1) and last.time() < _NOON
    return next_morning and last.astimezone(UTC) - first.astimezone(UTC) < timedelta(days=1)


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(_LOCALES.get(language, language))


@cache
def _pattern(language: str, form: str) -> str:
    if own := _PATTERNS.get((language, form)):
        return own
    known = _locale(language)
    return str((known.date_formats if form == "full" else known.datetime_skeletons)[form].pattern)


@lru_cache(maxsize=4096)
def _written(language: str, form: str, year: int, month: int, day: int) -> str:
    """A day as it is written in a form of CLDR's."""
    pattern = parse_pattern(_pattern(language, form))
    text = str(pattern.apply(date(year, month, day), _locale(language)))
    first = _FIRST.get(language) if day == 1 else None
    return _FIRST_DAY.sub(first, text, count=1) if first else text


@lru_cache(maxsize=24 * 60)
def _clock(language: str, hour: int, minute: int) -> str:
    pattern = parse_pattern(_pattern(language, "Hm"))
    return str(pattern.apply(time(hour, minute), _locale(language)))


def _zone_name(language: str, zone: str, local: datetime) -> str:
    if zone in {"UTC", "Etc/UTC"}:
        return "UTC"
    # English abbreviations are those of the tz database: CLDR knows few of them outside its own country.
    name = local.tzname() or ""
    if language != "en":
        name = get_timezone_name(local, width="short", locale=_locale(language))
    offset = local.utcoffset() or timedelta()
    # Babel goes by `dst`, which in Ireland is negative in winter, and calls its summer GMT.
    untrue = name == "GMT" and bool(offset)
    return _offset(language, offset) if untrue or not name[:1].isalpha() else name


def _offset(language: str, offset: timedelta) -> str:
    """``GMT+9``, ``UTC-3:30``: what CLDR writes where a zone has no short name."""
    hours, minutes = divmod(abs(round(offset.total_seconds() / 60)), 60)
    sign = "-" if offset < timedelta() else "+"
    number = f"{sign}{hours}{f':{minutes:02}' if minutes else ''}" if offset else ""
    return str(_locale(language).zone_formats["gmt"]) % number


@lru_cache(maxsize=1024)
def _counted(language: str, unit: Literal["day", "hour", "minute"], number: int) -> str:
    if not number:
        return ""
    # A threshold that nothing reaches keeps Babel from choosing another unit and rounding.
    span = timedelta(**{f"{unit}s": number})
    text = format_timedelta(span, granularity=unit, threshold=1e12, locale=_locale(language))
    return text.replace(" ", "") if language in _UNSPACED else text


@lru_cache(maxsize=1024)
def _in_days(language: str, days: int) -> str:
    span = timedelta(days=days)
    text = format_timedelta(
        span, granularity="day", threshold=1e12, add_direction=True, locale=_locale(language)
    )
    return text.replace(" ", "") if language in _UNSPACED else text
