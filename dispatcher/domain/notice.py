"""Notices: what the admin centre, and the application itself, show of an event about one instance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from dispatcher.domain.cadence import Turn
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.expiry import expires_at
from dispatcher.domain.instance import Instance
from dispatcher.domain.words import Channel

#: How long an alert is shown that nothing ends: news of an incident is stale after that.
ALERT_LASTS: Final = timedelta(days=3)
#: The turns after which what an alert said of a date holds no more.
_ENDS_ALERTS: Final[frozenset[Turn]] = frozenset(
    {"rescheduled", "in-progress", "succeeded", "fallback", "cancelled"}
)


@dataclass(frozen=True, slots=True)
class Notice:
    """What is shown of one event about one instance.

    Attributes:
        event: The event's id.
        type: The effective type.
        subject: What later notices may go on from: the event's thread, else what its plan is about.
        admin_centre: Whether the admin centre shows it.
        in_product: Whether the application shows it to its users.
        ends_alerts: Whether alerts of the same subject that came before it hold no more.
        facts: What it says beside the event's own fields.
        shown_at: Since when.
        until: From when on it is of no use, if that is known.
    """

    event: str
    instance: str
    type: str
    subject: str | None
    admin_centre: bool
    in_product: bool
    ends_alerts: bool
    shown_at: datetime
    until: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """The event that notices are made of, as far as they need it.

    Attributes:
        type: The effective type's key.
        channels: Where it is told; None for where its type is.
        fields: Plain JSON values by field.
        at: When it was accepted.
    """

    event: str
    type: str
    channels: Sequence[Channel] | None
    thread: str | None
    fields: Mapping[str, Any]
    at: datetime


def is_shown(catalogue: Catalogue, told: Told) -> bool:
    """Whether an event is told on a channel that shows notices."""
    return any(_shown(catalogue, told))


def notices_of(
    catalogue: Catalogue,
    told: Told,
    instances: Iterable[Instance],
    facts: Mapping[str, Mapping[str, Any]],
) -> list[Notice]:
    """A notice for each instance; none where the event is told on no channel that shows any.

    Args:
        catalogue: The catalogue.
        told: The event.
        instances: Which it is about.
        facts: What it says beside its own fields, by instance.
    """
    spec = catalogue.types[told.type]
    shown = _shown(catalogue, told)
    if not any(shown):
        return []
    ends_alerts = shown[1] or _turn(catalogue, told.type) in _ENDS_ALERTS
    return [
        Notice(
            event=told.event,
            instance=instance.id,
            type=told.type,
            subject=told.thread or _about(catalogue, told.type, {**told.fields, **own}),
            admin_centre=shown[0],
            in_product=shown[1],
            ends_alerts=ends_alerts,
            shown_at=told.at,
            until=expires_at(spec, {**told.fields, **own}, instance.time_zone, told.at),
            facts=own,
        )
        for instance in instances
        for own in [facts.get(instance.id, {})]
    ]


def alerts_among(notices: Iterable[Notice], now: datetime) -> list[Notice]:
    """Those that the application shows its users at a moment.

    Of one subject that is the newest, unless something later ended it; each until it is over, or
    `ALERT_LASTS` where nothing says when that is.

    Args:
        notices: Of one instance, newest first.
        now: The moment.
    """
    ended: set[str] = set()
    found: list[Notice] = []
    for notice in notices:
        until = notice.until or notice.shown_at + ALERT_LASTS
        if notice.in_product and (notice.subject or notice.event) not in ended and now < until:
            found.append(notice)
        if notice.ends_alerts and notice.subject:
            ended.add(notice.subject)
    return found


def _shown(catalogue: Catalogue, told: Told) -> tuple[bool, bool]:
    """Whether the admin centre shows it, and whether the application does."""
    channels = catalogue.types[told.type].channels if told.channels is None else told.channels
    return "admin-centre" in channels, "in-product" in channels


def _turn(catalogue: Catalogue, key: str) -> Turn | None:
    turns = (cadence.turn_of(key) for cadence in catalogue.cadences.values())
    return next(filter(None, turns), None)


def _about(catalogue: Catalogue, key: str, fields: Mapping[str, Any]) -> str | None:
    """What a plan calls the subject of an event of that type, with the cadence's key before it."""
    for name, cadence in catalogue.cadences.items():
        told = any(key in {step.type, step.owes} for step in cadence.steps.values())
        subject = fields.get(cadence.about)
        if told and isinstance(subject, str):
            return f"{name}:{subject}"
    return None
