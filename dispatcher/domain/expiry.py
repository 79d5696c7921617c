"""When a mail is over: from then on nobody gains from it, so it is not sent any more.

A type names the field that tells (docs/decisions/0012). A moment is the same everywhere; a day ends where
its reader is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dispatcher.domain.catalogue import CommunicationType
from dispatcher.domain.moment import parse_duration
from dispatcher.domain.values import ValueInvalid, parse_value


def expires_at(
    spec: CommunicationType, fields: Mapping[str, Any], time_zone: str, accepted_at: datetime | None = None
) -> datetime | None:
    """From when on a mail must not leave any more, in UTC; None if it always may.

    Args:
        spec: The communication type, whose `expires` names the field.
        fields: Plain JSON values by field, as the event gave them.
        time_zone: The reader's IANA zone: there a date lasts until midnight.
        accepted_at: When the event was accepted; what the type's `expires_after` counts from.
    """
    found = [_by_field(spec, fields, time_zone)]
    if spec.expires_after and accepted_at:
        found.append(accepted_at.astimezone(UTC) + parse_duration(spec.expires_after))
    return min((moment for moment in found if moment is not None), default=None)


def _by_field(spec: CommunicationType, fields: Mapping[str, Any], time_zone: str) -> datetime | None:
    field = spec.fields.get(spec.expires or "")
    if field is None or (given := _given(spec, fields)) is None:
        return None
    try:
        value = parse_value(field, given)
    except ValueInvalid:
        return None  # the catalogue has changed since the event was accepted: rather late than never
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return _end_of_day(value, time_zone) if isinstance(value, date) else None


def is_over(ends: datetime | None, now: datetime) -> bool:
    """Whether a mail that ends at that moment must not leave any more."""
    return ends is not None and ends <= now


def too_late(spec: CommunicationType, fields: Mapping[str, Any], over: int, made: int) -> list[str]:
    """What the sender of an event should know of those deliveries that are over before they begin.

    Args:
        spec: The communication type.
        fields: Plain JSON values by field, as the event gave them.
        over: How many they are.
        made: Of how many.
    """
    if not over:
        return []
    named = f"{spec.expires} ({str(_given(spec, fields))[:60]})" if spec.expires else "expires_after"
    passed = f"{named} has passed"
    if over == made:
        return [f"{passed}, so nobody is mailed"]
    return [f"{passed} for {over} of {made} deliveries, which are not sent"]


def _given(spec: CommunicationType, fields: Mapping[str, Any]) -> Any:
    key = spec.expires or ""
    given = fields.get(key)
    return spec.fields[key].default if given is None else given


def _end_of_day(day: date, time_zone: str) -> datetime:
    """The first moment of the next day; where clocks skip midnight, the moment at which they do."""
    return datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(time_zone)).astimezone(UTC)
