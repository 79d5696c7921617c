"""Whether an event comes long enough ahead of what it announces."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dispatcher.domain.catalogue import CommunicationType
from dispatcher.domain.moment import parse_duration

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


def short_notice(spec: CommunicationType, values: Mapping[str, Any], now: datetime) -> str:
    """In words, how far an event falls short of its type's minimum notice; empty if it does not.

    What is cancelled needs no notice, and what has begun, or is no such moment, is told as it is.

    Args:
        spec: The communication type.
        values: The event's typed values by field.
        now: When the event came.
    """
    rule = spec.minimum_notice
    if rule is None or (spec.calendar and values.get(spec.calendar.cancelled or "")):
        return ""
    moment = _moment(values.get(rule.field))
    least = parse_duration(rule.least)
    if moment is None or moment - now >= least:
        return ""
    left = max(moment - now, timedelta())
    return f"gives {_words(left)} of notice, less than the {_words(least)} that the policy asks for"


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return datetime.combine(value, time.min, UTC) if isinstance(value, date) else None


def _words(span: timedelta) -> str:
    """Whole days where there are two or more, else hours; rounded down, as what is left is never more."""
    count, unit = (span // _DAY, "day") if span >= 2 * _DAY else (span // _HOUR, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'}"
