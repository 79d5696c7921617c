"""What a template may see: one variant of one event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatcher.domain.catalogue import Banner, CommunicationType
from dispatcher.domain.house import Sender, Service
from dispatcher.domain.instance import Instance
from dispatcher.domain.window import Entry, Window


@dataclass(frozen=True, slots=True)
class View:
    """Everything that differs between two mails, but the reader's address.

    Attributes:
        key: The key of `type`: of the effective one, after ``becomes``.
        instances: At least one; more only where the type is grouped by person.
        fields: Every field of the type with its typed value, as `dispatcher.domain.fields` gives them;
            None where an optional one is missing.
        language: The reader's language, one of the nine.
        time_zone: The reader's IANA time zone.
        roles: Why this reader gets the mail: ``admins``, ``global_admins``, ``recipients``, ``users``,
            ``partners``, ``contact``, ``thread``.
        now: When the mail is rendered; aware.
        entry: The window that the mail brings for calendars, if it brings one.
        moved_from: The window as its reader knows it, if the mail says that it is another time.
    """

    key: str
    type: CommunicationType
    banner: Banner
    service: Service
    sender: Sender
    instances: tuple[Instance, ...]
    fields: Mapping[str, Any]
    language: str
    time_zone: str
    roles: tuple[str, ...]
    now: datetime
    entry: Entry | None = None
    moved_from: Window | None = None

    @property
    def calendar_attached(self) -> bool:
        """Whether the mail brings its window for calendars."""
        return self.entry is not None
