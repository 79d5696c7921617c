"""Cadences: what is told, or owed, at which distance from a date or at which turn of a plan's life.

These models mirror the catalogue's ``cadences``; its JSON Schema is made from them.
"""

from __future__ import annotations

import re
from datetime import time, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

from dispatcher.domain.model import Model
from dispatcher.domain.moment import parse_duration
from dispatcher.domain.words import AudienceRole, Channel, FieldKey, Line, TypeKey

#: The turns of a plan's life at which a step may stand.
Turn = Literal[
    "scheduled",
    "approved",
    "rescheduled",
    "in-progress",
    "succeeded",
    "fallback",
    "cancelled",
    "compatibility",
]
StepKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=60)]

_OFFSET = re.compile(r"(?P<sign>[+-])(?P<number>\d{1,4})(?:(?P<unit>[wdh])| business days?)", re.ASCII)
#: The same for JSON Schema, which knows no named groups as Python writes them.
_OFFSET_WRITTEN = r"^[+-][0-9]{1,4}([wdh]| business days?)$"
_HOUR = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)


def parse_offset(text: str) -> Offset:
    """``-90d``, ``+2w``, ``-0d``, ``+3h`` or ``+5 business days``.

    Raises:
        ValueError: It is none of these.
    """
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no distance; write one like -30d, +1w, +2h or +5 business days")
    number = int(match["sign"] + match["number"])
    if match["unit"] == "h":
        return Offset(hours=number)
    if match["unit"] is None:
        return Offset(business_days=number)
    return Offset(days=number * (7 if match["unit"] == "w" else 1))


class Offset(Model):
    """A distance from the anchor, of which one of the three counts.

    Attributes:
        days: Calendar days where the instance is; negative before the anchor.
        business_days: Working days of the instance's region.
        hours: Hours to the second, whatever the day.
    """

    days: int | None = None
    business_days: int | None = None
    hours: int | None = None


def _offset(text: str) -> str:
    parse_offset(text)
    return text


def _hour(text: str) -> str:
    if not _HOUR.fullmatch(text):
        raise ValueError(f'{text[:20]!r} is no time of day; write it in quotes, like "09:00"')
    return text


def _span(text: str) -> str:
    try:
        parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} {error}; write one like P5D, PT3H or 90m") from None
    return text


OffsetText = Annotated[
    str, AfterValidator(_offset), WithJsonSchema({"type": "string", "pattern": _OFFSET_WRITTEN})
]
Hour = Annotated[
    str, AfterValidator(_hour), WithJsonSchema({"type": "string", "pattern": f"^({_HOUR.pattern})$"})
]
SpanText = Annotated[str, AfterValidator(_span), WithJsonSchema({"type": "string"})]


class Step(Model):
    """One thing that a cadence tells, or that it makes somebody owe.

    Exactly one of `at`, `on` and `every` says when; exactly one of `type` and `owes` says what.

    Attributes:
        at: The distance from the anchor.
        on: The turn of the plan's life whose own event is the communication.
        every: How often it is owed until the incident is resolved.
        type: The communication type that is told.
        owes: The communication type that somebody must send by then.
        channels: Where it is told; without it, where the type is.
        roles: Who gets the mail; without it, who gets the type's.
        late: What becomes of it if its day has passed when the plan is made: it is skipped; or, of all such
            steps, the nearest is sent at once.
        fields: What the step's event says beside, or instead of, what the plan knows.
    """

    at: OffsetText | None = None
    on: Turn | None = None
    every: SpanText | None = None
    type: TypeKey | None = None
    owes: TypeKey | None = None
    channels: list[Channel] | None = None
    roles: list[AudienceRole] | None = None
    late: Literal["skip", "nearest"] = "skip"
    fields: dict[FieldKey, Any] = {}


class Cadence(Model):
    """Steps around a date.

    Attributes:
        about: The field that names what a plan is about; one plan per such name and instance. For a cadence
            that follows an incident, the incident has that name where its events have no thread.
        anchor: The field of kind ``datetime`` or ``date`` that steps are counted from.
        follows: Whether there is a plan per instance, or obligations per incident.
        send_at: The time of day, where the instance is, at which steps counted in days are told.
        ahead: How long before the anchor a step before it goes out at the latest.
        decisions: Whether admins approve the date or choose another, from a link in the mail.
    """

    title: Line
    about: FieldKey
    anchor: FieldKey
    follows: Literal["instance", "incident"] = "instance"
    send_at: Hour = "09:00"
    ahead: SpanText = "PT3H"
    decisions: bool = False
    steps: dict[StepKey, Step]

    @property
    def hour(self) -> time:
        """`send_at` as a time of day."""
        return time.fromisoformat(self.send_at)

    @property
    def lead(self) -> timedelta:
        """`ahead` as a span."""
        return parse_duration(self.ahead)

    def turn_of(self, type_: str) -> Turn | None:
        """The turn of a plan's life that an event of a type is; None if it is none of this cadence."""
        return next((step.on for step in self.steps.values() if step.on and step.type == type_), None)

    def step_on(self, turn: Turn) -> tuple[str, Step] | None:
        """The step that stands at a turn, with its key."""
        return next(((key, step) for key, step in self.steps.items() if step.on == turn), None)
