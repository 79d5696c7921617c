"""Business time: which days people work on, and when a span of working hours is over.

Hours are those of the policy (section 4), by region; holidays come from the package `holidays`. An instance
may name calendars of its own, which then hold there in place of its region's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.deadline import Deadline
from dispatcher.domain.house import BusinessHours
from dispatcher.domain.instance import Instance
from dispatcher.domain.words import holiday_calendar

_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
#: Days in a row without work after which something is wrong with a calendar; no country rests for so long.
_LONGEST_REST: Final = 60


@dataclass(frozen=True, slots=True)
class BusinessCalendar:
    """The working days and hours of one place.

    Attributes:
        open: When work begins, by the clock of `time_zone`.
        close: When it ends; later than `open`.
        time_zone: An IANA zone.
        holidays: Calendars of holidays; a day that is one in any of them is none to work on.
    """

    open: time
    close: time
    time_zone: str
    holidays: tuple[str, ...] = ()

    def day_of(self, moment: datetime) -> date:
        """The calendar day of a moment here."""
        return moment.astimezone(ZoneInfo(self.time_zone)).date()

    def is_business_day(self, day: date) -> bool:
        """Whether people work on that day: Monday to Friday, holidays excluded."""
        return day.weekday() < _SATURDAY and not any(day in holiday_calendar(name) for name in self.holidays)

    def add_days(self, day: date, count: int) -> date:
        """The business day so many business days after `day`, or before it where `count` is negative.

        The day itself never counts, so five business days after a Saturday are the Friday after it. With a
        count of 0 it is the day itself, or the next business day where it is none.
        """
        if count == 0:
            return day if self.is_business_day(day) else self.add_days(day, 1)
        step, left, rest = (_DAY if count > 0 else -_DAY), abs(count), 0
        while left and rest < _LONGEST_REST:
            day += step
            if self.is_business_day(day):
                left, rest = left - 1, 0
            else:
                rest += 1
        return day

    def opening(self, day: date) -> datetime:
        """When work begins on a day, in UTC."""
        return self._at(day, self.open)

    def closing(self, day: date) -> datetime:
        """When work ends on a day, in UTC."""
        return self._at(day, self.close)

    def add_hours(self, moment: datetime, span: timedelta) -> datetime:
        """When so much working time has passed since a moment, in UTC.

        What comes outside working hours counts from when they next begin.
        """
        day = self.add_days(self.day_of(moment), 0)
        begins = max(moment.astimezone(UTC), self.opening(day))
        left = span
        while (there := self.closing(day) - begins) < left:
            left -= max(there, timedelta())
            day = self.add_days(day, 1)
            begins = self.opening(day)
        return begins + left

    def _at(self, day: date, hour: time) -> datetime:
        return datetime.combine(day, hour, ZoneInfo(self.time_zone)).astimezone(UTC)


def answer_due(deadline: Deadline, values: Mapping[str, Any], calendar: BusinessCalendar) -> datetime | None:
    """Until when an answer is promised, in UTC; None where the event does not tell enough.

    Args:
        deadline: The type's rule.
        values: The event's typed values by field.
        calendar: Of the instance that it is about.
    """
    since, span = values.get(deadline.since), deadline.span(values)
    if not isinstance(since, datetime) or span is None:
        return None
    if deadline.counts_always(values):
        return since.astimezone(UTC) + span
    return calendar.add_hours(since, span)


def calendar_of(catalogue: Catalogue, instance: Instance) -> BusinessCalendar:
    """The business calendar of an instance: its region's hours and holidays, or holidays of its own.

    Without a region it is Monday to Friday, 09:00 to 17:00 where the instance is (policy, section 4).
    """
    hours = catalogue.business.get(instance.region) if instance.region else None
    own = None if instance.holidays is None else tuple(instance.holidays)
    return _calendar(hours, instance.time_zone, own)


@lru_cache(maxsize=4096)
def _calendar_of_hours(
    opens: str, closes: str, time_zone: str, holidays: tuple[str, ...]
) -> BusinessCalendar:
    return BusinessCalendar(time.fromisoformat(opens), time.fromisoformat(closes), time_zone, holidays)


def _calendar(hours: BusinessHours | None, time_zone: str, own: tuple[str, ...] | None) -> BusinessCalendar:
    hours = hours or BusinessHours()
    named = tuple(hours.holidays) if own is None else own
    return _calendar_of_hours(hours.open, hours.close, hours.time_zone or time_zone, named)
