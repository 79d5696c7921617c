"""An accepted event becomes deliveries: its audience is resolved and its content rendered.

Content is rendered once per *variant*: what differs between two readers of one event is the instance, the
language, the time zone, the roles that the footer names and the sender, and nothing else until a message is
finished for one address.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dispatcher.domain.address import folded
from dispatcher.domain.audience import Question, Recipient, resolve
from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.delivery import Delivery, NewDelivery, NewVariant, Reason
from dispatcher.domain.event import Event, EventStatus
from dispatcher.domain.fields import parse_fields
from dispatcher.domain.instance import Instance
from dispatcher.domain.moment import day_in
from dispatcher.errors import TemplateInvalid
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.ledger.expansions import Expansion
from dispatcher.ledger.ledger import Ledger
from dispatcher.mail.message import list_headers, message_id, seal
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.view import View
from dispatcher.queue.bell import Bell

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Reader:
    """A recipient together with the instances that the mail is about."""

    recipient: Recipient
    instances: tuple[Instance, ...]


@dataclass(slots=True)
class _Draft:
    """What one event comes to."""

    variants: dict[str, NewVariant] = field(default_factory=dict)
    deliveries: list[NewDelivery] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Expand:
    """Makes deliveries of accepted events."""

    def __init__(
        self,
        catalogue: Catalogue,
        recipients: RecipientStore,
        ledger: Ledger,
        renderer: Renderer,
        bell: Bell,
        clock: Callable[[], datetime],
    ) -> None:
        self._catalogue = catalogue
        self._recipients = recipients
        self._ledger = ledger
        self._renderer = renderer
        self._bell = bell
        self._clock = clock

    async def __call__(self, event_id: str) -> None:
        """Expand one event; doing it again changes nothing.

        Raises:
            NotFound: There is no such event.
            ServiceUnreachable: The ledger cannot commit; the sweep tries again.
        """
        event = await self._ledger.events.get(event_id)
        spec = self._catalogue.types.get(event.effective_type)
        if event.status is not EventStatus.ACCEPTED:
            return
        if spec is None:
            await self._ledger.expansions.fail(event.id, f"type {event.effective_type} left the catalogue")
            return
        self._recipients.refresh()
        draft = _Draft()
        for reader in await self._readers(event, spec, draft):
            self._add(event, spec, reader, draft)
        domain = self._catalogue.senders["default"].address.rpartition("@")[2]
        expansion = Expansion(
            variants=list(draft.variants.values()),
            deliveries=draft.deliveries,
            message_ids=[_message_id(event, delivery, domain) for delivery in draft.deliveries],
            on_uncertain=spec.on_uncertain,
            reason="nobody is named for this type in the recipient lists",
            warnings=draft.warnings,
        )
        if await self._ledger.expansions.store(event.id, expansion):
            await self._bell.ring_deliver(event.lane)

    async def _readers(self, event: Event, spec: CommunicationType, draft: _Draft) -> list[_Reader]:
        instances = self._instances(event, draft)
        if event.thread and spec.audience.told:
            told = await self._ledger.deliveries.told(event.thread, spec.audience.told)
            return list(self._told(event, told, {one.id for one in instances}))
        found = [
            _Reader(recipient, (instance,))
            for instance in instances
            for recipient in resolve(self._question(event, spec, instance), instance).recipients
        ]
        return list(_by_person(found)) if spec.group_by == "person" else found

    def _instances(self, event: Event, draft: _Draft) -> Sequence[Instance]:
        selection = event.selection
        if selection.kind == "region":
            return self._recipients.by_region(selection.values[0])
        if selection.kind != "instances":
            return self._recipients.all()
        found = []
        for name in dict.fromkeys(selection.values):
            instance = self._recipients.get(name)
            if instance is None:
                draft.warnings.append(f"instance {name} has left the recipient lists")
            else:
                found.append(instance)
        return found

    def _question(self, event: Event, spec: CommunicationType, instance: Instance) -> Question:
        today = day_in(instance.time_zone, self._clock())
        return Question(event.effective_type, spec, today, event.fields)

    def _told(self, event: Event, told: Sequence[Delivery], wanted: set[str]) -> Iterator[_Reader]:
        """Exactly those who were sent the incident, as they were then."""
        for delivery in told:
            names = [name for name in delivery.instances if name in wanted]
            instances = tuple(filter(None, map(self._recipients.get, names)))
            if instances:
                at = f"thread {event.thread}, told by {delivery.event}"
                recipient = Recipient(
                    delivery.address,
                    delivery.name,
                    delivery.language,
                    delivery.time_zone,
                    (Reason("thread", at),),
                )
                yield _Reader(recipient, instances)

    def _add(self, event: Event, spec: CommunicationType, reader: _Reader, draft: _Draft) -> None:
        recipient = reader.recipient
        names = tuple(instance.id for instance in reader.instances)
        language = spec.language_for(recipient.language)
        parts = (",".join(names), language, recipient.time_zone, "+".join(recipient.roles), recipient.sender)
        key = "|".join(parts)
        if key not in draft.variants:
            draft.variants[key] = self._variant(key, event, spec, reader)
        draft.deliveries.append(
            NewDelivery(
                instance=names[0],
                instances=names,
                address=recipient.address,
                name=recipient.name,
                language=language,
                time_zone=recipient.time_zone,
                reasons=recipient.reasons,
                variant=key,
                sender=recipient.sender,
            )
        )

    def _variant(self, key: str, event: Event, spec: CommunicationType, reader: _Reader) -> NewVariant:
        """The content for one kind of reader; empty where it cannot be rendered, so that others get theirs."""
        view = self._view(event, reader)
        try:
            content = self._renderer.render(view)
            domain = view.sender.address.rpartition("@")[2]
            headers = list_headers(view.key, content.language, domain)
            return NewVariant(key, content.subject, seal(content, headers=headers), content.template)
        except (TemplateInvalid, ValueError) as error:
            _log.error("event %s cannot be rendered for %s: %s", event.id, reader.instances[0].id, error)
            return NewVariant(key, "", b"", f"{spec.template}: {str(error)[:300]}")

    def _view(self, event: Event, reader: _Reader) -> View:
        recipient = reader.recipient
        return view_of(
            self._catalogue,
            event.effective_type,
            event.fields,
            reader.instances,
            Reading(
                recipient.language, recipient.time_zone, recipient.roles, recipient.sender, self._clock()
            ),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """How a mail is read: by whom, in which language and zone, and when."""

    language: str
    time_zone: str
    roles: tuple[str, ...]
    sender: str
    now: datetime


def view_of(
    catalogue: Catalogue, key: str, fields: Any, instances: tuple[Instance, ...], reading: Reading
) -> View:
    """What a template may see of one event for one kind of reader."""
    spec = catalogue.types[key]
    known = {name: value for name, value in fields.items() if name in spec.fields}
    return View(
        key=key,
        type=spec,
        banner=catalogue.banners[spec.banner or ""],
        service=catalogue.service,
        sender=catalogue.senders["partners" if reading.sender == "partners" else "default"],
        instances=instances,
        fields=parse_fields(spec, known, partial=True)[0],
        language=spec.language_for(reading.language),
        time_zone=reading.time_zone,
        roles=reading.roles,
        now=reading.now,
    )


def _message_id(event: Event, delivery: NewDelivery, domain: str) -> str:
    """The same for the same delivery, however often the event is expanded."""
    what = "\n".join((event.id, delivery.instance, folded(delivery.address)))
    return message_id(hashlib.sha256(what.encode()).hexdigest()[:32], domain)


def _by_person(readers: Sequence[_Reader]) -> Iterator[_Reader]:
    """One reader per address, with all instances; language and zone are those of the first."""
    grouped: dict[str, list[_Reader]] = {}
    for reader in readers:
        grouped.setdefault(folded(reader.recipient.address), []).append(reader)
    for same in grouped.values():
        first = same[0].recipient
        reasons = tuple(dict.fromkeys(reason for reader in same for reason in reader.recipient.reasons))
        merged = Recipient(first.address, first.name, first.language, first.time_zone, reasons)
        yield _Reader(merged, tuple(instance for reader in same for instance in reader.instances))
