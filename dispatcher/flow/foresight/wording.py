"""Dates and distances in words, for those who look ahead."""

from __future__ import annotations

from datetime import date, datetime

from dispatcher.domain.cadence import Cadence, parse_offset
from dispatcher.domain.moment import by_clock


def at_anchor(cadence: Cadence, step: str, anchor: datetime | date, zone: str) -> str:
    """How far a step is from its anchor: ``30 days before 2027-04-05 21:00 +02:00``, or before a day."""
    told = by_clock(zone, anchor) if isinstance(anchor, datetime) else anchor.isoformat()
    text = cadence.steps[step].at
    if text is None:
        return f"follows {told}"
    offset = parse_offset(text)
    for number, unit in (
        (offset.days, "day"),
        (offset.business_days, "business day"),
        (offset.hours, "hour"),
    ):
        if number:
            side = "before" if number < 0 else "after"
            return f"{abs(number)} {unit}{'' if abs(number) == 1 else 's'} {side} {told}"
    return f"the day of {told}"
