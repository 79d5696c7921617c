"""Whether an event comes long enough ahead of what it announces, and not ahead of what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dispatcher.domain.catalogue import CommunicationType
from dispatcher.domain.moment import parse_duration

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
#: By so much two clocks may differ.
_SKEW = timedelta(minutes=10)
#: The fields by which an event says since when something is over.
ENDS = ("resolved_at", "restored_at")


def short_notice(spec: CommunicationType, values: Mapping[str, Any], now: datetime) -> str:
    """In words, how far an event falls short of its type's minimum notice; empty if it does not.

    What is cancelled needs no notice. An event without that moment gives none to measure.

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
    left = moment - now
    if left <= timedelta():
        return f"gives no notice, and the policy asks for {_words(least)}"
    return f"gives {_words(left)} of notice, less than the {_words(least)} that the policy asks for"


def early_end(spec: CommunicationType, values: Mapping[str, Any], now: datetime) -> str:
    """In words, that an event says of an incident that it ended at a time that has not come; else empty.

    It counts as it is said, since whoever resolves it may know; but a slip in the year would hide for years
    what is owed after the end.

    Args:
        spec: The communication type.
        values: The event's typed values by field.
        now: When the event came.
    """
    for key in ENDS:
        moment = values.get(key) if key in spec.fields else None
        if isinstance(moment, datetime) and moment - now > _SKEW:
            when = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
            return f"has a {key} that lies ahead, {when}: what is owed after the end is counted from it"
    return ""


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return datetime.combine(value, time.min, UTC) if isinstance(value, date) else None


def _words(span: timedelta) -> str:
    """Whole days where there are two or more, else hours; rounded down, as what is left is never more."""
    count, unit = (span // _DAY, "day") if span >= 2 * _DAY else (span // _HOUR, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'}"
