"""What lies ahead, row by row: who would get what about which instance, when, on which channel, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from dispatcher.domain.moment import MAX_SPAN, check_year, parse_datetime
from dispatcher.errors import EventInvalid, Problem

#: No clock is further from UTC than this, so a calendar day begins and ends within it everywhere.
_FURTHEST = timedelta(hours=14)


class Fate(StrEnum):
    """What becomes of a row. The same words stand in JSON, in policy tests and in the docs."""

    WOULD_SEND = "would-send"  # it is told on its channels; these people get a mail, or nobody does
    RECORDED = "recorded"  # the ledger has it, and nobody is told
    HELD = "held"  # the mail waits for the end of a major incident
    SKIPPED = "skipped"  # its day had passed when the plan was made, or what it announces is over
    REFUSED = "refused"  # the event would not be accepted
    OWED = "owed"  # somebody of the service's own people must have sent it by then
    SUPERSEDED = "superseded"  # the date moved, or the cadence changed
    CANCELLED = "cancelled"  # the thing will not take place, or has


#: What is shown only to who asks for everything.
ASIDE = frozenset({Fate.SUPERSEDED, Fate.CANCELLED})


@dataclass(frozen=True, slots=True)
class Row:
    """One communication, or what is in its place, about one instance.

    Attributes:
        at: When; aware, with the offset of the instance's zone.
        instance: Its id; empty where an event named none that there is.
        type: The communication type, after ``becomes``.
        step: The step of the cadence; empty for an event that is none.
        to: The addresses that get a mail, in the order of the roles and of the file.
        reason: Why it is so, in words.
        cadence: The cadence; empty for an event of none.
        subject: What the plan is about, or the incident; empty for neither.
        event: The event that tells it, by its source and id.
        why: For each address its roles and the places that name it.
    """

    at: datetime
    instance: str
    type: str
    step: str
    channels: tuple[str, ...]
    to: tuple[str, ...]
    status: Fate
    reason: str
    cadence: str = ""
    subject: str = ""
    event: str = ""
    why: Mapping[str, Sequence[str]] = field(default_factory=dict)


def row_json(row: Row) -> dict[str, Any]:
    """The row as JSON values; its moment is ISO 8601 with the offset of the instance."""
    return {
        "at": row.at.isoformat(timespec="seconds"),
        "instance": row.instance,
        "type": row.type,
        "step": row.step,
        "channels": list(row.channels),
        "to": list(row.to),
        "status": row.status.value,
        "reason": row.reason,
        "cadence": row.cadence,
        "subject": row.subject,
        "event": row.event,
        "why": {address: list(places) for address, places in row.why.items()},
    }


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when. A date is the whole day where the instance is, a moment is exact.

    Attributes:
        first: Its first day or moment.
        last: Its last day or moment, which belongs to it.
    """

    first: date
    last: date

    @property
    def begins(self) -> datetime:
        """The moment before which it has begun nowhere, in UTC."""
        if isinstance(self.first, datetime):
            return self.first.astimezone(UTC)
        return datetime.combine(self.first, datetime.min.time(), UTC) - _FURTHEST

    @property
    def ends(self) -> datetime:
        """The moment after which it lasts nowhere, in UTC."""
        if isinstance(self.last, datetime):
            return self.last.astimezone(UTC)
        return datetime.combine(self.last, datetime.max.time(), UTC) + _FURTHEST

    def covers(self, at: datetime, zone: str) -> bool:
        """Whether a moment at an instance in that IANA zone lies in it."""
        day = at.astimezone(zone_of(zone)).date()
        after = self.first <= at if isinstance(self.first, datetime) else self.first <= day
        return after and (at <= self.last if isinstance(self.last, datetime) else day <= self.last)

    def beginning(self, zone: str) -> datetime:
        """The moment at which it begins in an IANA zone, in UTC."""
        if isinstance(self.first, datetime):
            return self.first.astimezone(UTC)
        return datetime.combine(self.first, datetime.min.time(), zone_of(zone)).astimezone(UTC)


def period_of(first: str, last: str, where: tuple[str, str] = ("--from", "--to")) -> Period:
    """The period between two dates or moments as people write them.

    Raises:
        EventInvalid: One of them is neither, or the second comes before the first.
    """
    period = Period(day_or_moment(first, where[0]), day_or_moment(last, where[1]))
    if _before(period.last, period.first):
        what = f"{last[:40]} comes before {first[:40]}"
        raise EventInvalid(Problem(where[1], what, f"name a later day than {where[0]} does"))
    if period.ends - period.begins > MAX_SPAN + 3 * _FURTHEST:
        raise EventInvalid(Problem(where[1], "is over ten years away", "look at a shorter time"))
    return period


def _before(one: date, other: date) -> bool:
    """Whether one day or moment certainly comes before another."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one < other
    if isinstance(one, datetime) or isinstance(other, datetime):
        return Period(one, one).ends < Period(other, other).begins
    return one < other


def day_or_moment(text: str, where: str) -> date:
    """A date like ``2027-01-05``, or a date and time with its offset.

    Raises:
        EventInvalid: It is neither.
    """
    try:
        if len(text) == len("2027-01-05"):
            day = date.fromisoformat(text)
            check_year(day)
            return day
        return parse_datetime(text)
    except ValueError:
        fix = "write a day like 2027-01-05, or a moment like 2027-01-05T09:00+01:00"
        raise EventInvalid(Problem(where, f"{text[:40]!r} is no date", fix)) from None


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The zone of that IANA name."""
    return ZoneInfo(name)
