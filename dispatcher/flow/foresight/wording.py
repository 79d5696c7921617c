"""Dates and distances in words, for those who look ahead."""

from __future__ import annotations

from datetime import datetime

from dispatcher.domain.cadence import Cadence, parse_offset
from dispatcher.flow.foresight.outlook import zone_of


def date_of(moment: datetime, zone: str) -> str:
    """A moment as the clock in an IANA zone shows it, with the offset: ``2027-04-05 21:00 +02:00``."""
    there = moment.astimezone(zone_of(zone))
    day, offset = f"{there:%Y-%m-%d %H:%M}", there.isoformat()[-6:]
    return f"{day} {offset}"


def at_anchor(cadence: Cadence, step: str, anchor: datetime, zone: str) -> str:
    """How far a step is from its anchor: ``30 days before 2027-04-05 21:00 +02:00``."""
    text = cadence.steps[step].at
    if text is None:
        return f"follows {date_of(anchor, zone)}"
    offset = parse_offset(text)
    for number, unit in (
        (offset.days, "day"),
        (offset.business_days, "business day"),
        (offset.hours, "hour"),
    ):
        if number:
            side = "before" if number < 0 else "after"
            return f"{abs(number)} {unit}{'' if abs(number) == 1 else 's'} {side} {date_of(anchor, zone)}"
    return f"the day of {date_of(anchor, zone)}"
