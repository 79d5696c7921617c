"""What a template may see of an event, for one kind of reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatcher.domain.business import answer_due, calendar_of
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.fields import known, parse_fields, said_fields
from dispatcher.domain.instance import Instance
from dispatcher.domain.window import Entry, Window
from dispatcher.mail.view import View


@dataclass(frozen=True, slots=True)
class Reading:
    """How a mail is read: by whom, in which language and zone, and when.

    Attributes:
        entry: The window that it brings for calendars, if it brings one.
        moved_from: The window as its reader knows it, if it says that it is another time.
    """

    language: str
    time_zone: str
    roles: tuple[str, ...]
    sender: str
    now: datetime
    entry: Entry | None = None
    moved_from: Window | None = None


def view_of(
    catalogue: Catalogue,
    key: str,
    fields: Mapping[str, Any],
    instances: tuple[Instance, ...],
    reading: Reading,
) -> View:
    """What a template may see of one event for one kind of reader."""
    spec = catalogue.types[key]
    values = dict(parse_fields(spec, known(spec, fields), partial=True)[0])
    if spec.deadline and values.get(spec.deadline.field) is None:
        calendar = calendar_of(catalogue, instances[0])
        values[spec.deadline.field] = answer_due(spec.deadline, values, calendar)
    language = spec.language_for(reading.language)
    return View(
        key=key,
        type=spec,
        banner=catalogue.banners[spec.banner or ""],
        service=catalogue.service,
        sender=catalogue.sender(reading.sender),
        instances=instances,
        fields=said_fields(spec, values, language),
        language=language,
        time_zone=reading.time_zone,
        roles=reading.roles,
        now=reading.now,
        entry=reading.entry,
        moved_from=reading.moved_from,
    )
