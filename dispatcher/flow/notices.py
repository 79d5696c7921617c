"""What the admin centre and the application show: made of events, and read out again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Event, Selection
from dispatcher.domain.instance import Instance
from dispatcher.domain.notice import Notice, Told, alerts_among, is_shown, notices_of
from dispatcher.errors import NotFound
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.present import moment_json
from dispatcher.flow.reading import Reading, view_of
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.notices import Shown, add_notices
from dispatcher.mail.subject import subject
from dispatcher.mail.translations import Translations

#: Notices that are looked at for alerts; an instance has a few a month.
RECENT = 200


class NoticeBook:
    """Makes the notices of events."""

    def __init__(self, catalogue: Catalogue, recipients: RecipientStore, ledger: Ledger) -> None:
        self._catalogue = catalogue
        self._recipients = recipients
        self._ledger = ledger

    async def recorded(self, transaction: AsyncConnection, fresh: Sequence[Intake]) -> None:
        """Keep the notices of events that nobody is mailed, as they are accepted.

        An event that its plan calls overtaken is shown nowhere: what it says was never in force.
        """
        notices: list[Notice] = []
        for one in fresh:
            if one.event.record_only and not one.advance.record_only:
                new = one.event
                told = Told(one.id, new.effective_type, new.channels, new.thread, new.fields, one.at)
                facts = one.advance.facts_of(one.id)
                instances = self._recipients.outlines(new.selection)
                notices += notices_of(self._catalogue, told, instances, facts)
        await add_notices(transaction, notices)

    async def shown_about(self, event: Event, reached: Collection[str]) -> Sequence[str]:
        """The instances that there is a notice of, once an event is expanded.

        Args:
            event: The event.
            reached: The ids of the instances that somebody is mailed about.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        selection = event.selection
        if not is_shown(self._catalogue, _told(event)):
            return ()
        if selection.kind == "thread":
            there = await self._ledger.notices.instances_in(event.thread) if event.thread else ()
            selection = Selection("instances", (*reached, *sorted(there)))
        return self._recipients.ids_of(selection)

    def expanded(
        self, event: Event, instances: Sequence[str], facts: Mapping[str, Mapping[str, Any]]
    ) -> Sequence[Notice]:
        """The notices of an event about some of its instances.

        Args:
            event: The event.
            instances: Their ids; one that has left the lists meanwhile has none.
            facts: What it says beside its own fields, by instance.
        """
        there = filter(None, map(self._recipients.outline, instances))
        return notices_of(self._catalogue, _told(event), there, facts)


def _told(event: Event) -> Told:
    return Told(event.id, event.effective_type, event.channels, event.thread, event.fields, event.accepted_at)


class NoticeBoard:
    """Reads out the notices of an instance."""

    def __init__(
        self,
        catalogue: Catalogue,
        recipients: RecipientStore,
        ledger: Ledger,
        translations: Translations,
        clock: Callable[[], datetime],
    ) -> None:
        self._catalogue = catalogue
        self._recipients = recipients
        self._ledger = ledger
        self._translations = translations
        self._clock = clock

    async def notices(
        self, instance: str, language: str | None, *, limit: int, before: int | None = None
    ) -> tuple[list[dict[str, Any]], int | None]:
        """What the admin centre shows, newest first, and the number that the next page begins before.

        Args:
            instance: Its id.
            language: The reader's; None for the instance's.
            limit: How many are looked at.
            before: Where the page before ended.

        Raises:
            NotFound: No recipient file has that instance.
            ServiceUnreachable: The ledger does not answer.
        """
        place = self._place(instance)
        rows = await self._ledger.notices.of(instance, limit=limit, before=before)
        follows = rows[-1].number if len(rows) == limit else None
        shown = [row for row in rows if row.notice.admin_centre and row.notice.type in self._catalogue.types]
        return [self._json(row, place, language) for row in shown], follows

    async def alerts(self, instance: str, language: str | None) -> list[dict[str, Any]]:
        """What the application shows its users now, newest first.

        Raises:
            NotFound: No recipient file has that instance.
            ServiceUnreachable: The ledger does not answer.
        """
        place = self._place(instance)
        rows = await self._ledger.notices.of(instance, limit=RECENT)
        valid = {row.notice.event: row for row in rows if row.cancelled_at is None}
        found = alerts_among((row.notice for row in valid.values()), self._clock())
        return [self._json(valid[one.event], place, language) for one in found]

    def _place(self, instance: str) -> Instance:
        self._recipients.refresh()
        place = self._recipients.outline(instance)
        if place is None:
            raise NotFound(f"There is no instance {instance[:80]!r} in the recipient lists.")
        return place

    def _json(self, row: Shown, place: Instance, language: str | None) -> dict[str, Any]:
        notice = row.notice
        reading = Reading(language or place.language, place.time_zone, ("admins",), "default", self._clock())
        view = view_of(self._catalogue, notice.type, {**row.fields, **notice.facts}, (place,), reading)
        texts = self._translations.find(view.language)
        banner = self._catalogue.types[notice.type].banner
        return {
            "id": f"ntc_{row.number}",
            "event": notice.event,
            "instance": notice.instance,
            "type": notice.type,
            "banner": banner,
            "language": view.language,
            "title": texts.gettext(self._catalogue.types[notice.type].title),
            "subject": subject(view, self._translations),
            "about": notice.subject,
            "fields": {key: _plain(value) for key, value in view.fields.items() if value is not None},
            "admin_centre": notice.admin_centre,
            "in_product": notice.in_product,
            "shown_at": moment_json(notice.shown_at),
            "until": moment_json(notice.until),
            "cancelled_at": moment_json(row.cancelled_at),
        }


def _plain(value: Any) -> Any:
    """A typed value as JSON has it."""
    if isinstance(value, datetime):
        return moment_json(value.astimezone(UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"PT{int(value.total_seconds())}S"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value
