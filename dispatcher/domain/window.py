"""The window that a mail brings for calendars: when it is, and what it is the same as.

A calendar replaces an entry by a later one with the same UID, so whatever speaks of one window must come to
the same UID, in whichever type and however often its dates move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.event import Event
from dispatcher.domain.house import Sender


@dataclass(frozen=True, slots=True)
class Window:
    """When something takes place, or would have; both ends in UTC, to the second."""

    starts_at: datetime
    ends_at: datetime
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A window as a calendar keeps it.

    Attributes:
        uid: The same for whatever is said of the window.
        sequence: Which of the window's changes this is; 0 is its first announcement.
        stamped_at: When it was said; aware.
        organizer: Who it comes from; the same for whatever is said of the window.
    """

    uid: str
    sequence: int
    window: Window
    stamped_at: datetime
    organizer: Sender


def window_of(spec: CommunicationType, values: Mapping[str, Any]) -> Window | None:
    """The window of an event with these typed values; None if the type has none, or an end is not known."""
    calendar = spec.calendar
    if calendar is None:
        return None
    start, end = values.get(calendar.start), values.get(calendar.end)
    if not isinstance(start, datetime) or not isinstance(end, datetime | timedelta):
        return None
    start = start.astimezone(UTC).replace(microsecond=0)
    end = start + end if isinstance(end, timedelta) else end.astimezone(UTC).replace(microsecond=0)
    return Window(start, end, cancelled=is_cancelled(spec, values)) if start < end else None


def is_cancelled(spec: CommunicationType, values: Mapping[str, Any]) -> bool:
    """Whether an event with these typed values says that its window will not take place."""
    return bool(spec.calendar and values.get(spec.calendar.cancelled or ""))


def takes_away(spec: CommunicationType, event: Event, values: Mapping[str, Any]) -> bool:
    """Whether an event without a window leaves none to calendars that know one of that name.

    It does if it is cancelled, or begins at a time of which nobody knows any more when it ends. What says
    nothing of when it begins says nothing of the window.
    """
    calendar = spec.calendar
    if calendar is None or not any(_identity(spec, event, values)[1:]):
        return False
    return is_cancelled(spec, values) or values.get(calendar.start) is not None


def uid_of(catalogue: Catalogue, event: Event, values: Mapping[str, Any], instance: str) -> str:
    """The UID of the window that an event announces to those who read of an instance.

    What the type calls the window's identity names it; without that the event's thread, which is the same
    whichever source names it; without that nothing but this event speaks of it.
    """
    spec = catalogue.types[event.effective_type]
    identity = _identity(spec, event, values)
    if not any(identity[1:]):
        identity = ("event", event.id)
    domain = catalogue.sender("default").domain
    parts = "\n".join((domain, *identity, instance))
    return f"{hashlib.sha256(parts.encode()).hexdigest()[:32]}@{domain}"


def _identity(spec: CommunicationType, event: Event, values: Mapping[str, Any]) -> tuple[str, ...]:
    """What names a window in every event about it; empty but for its first word if nothing does."""
    key = spec.calendar.identity if spec.calendar else None
    named = str(values.get(key or "") or "")
    return ("field", key or "", named) if named else ("thread", event.thread or "")
