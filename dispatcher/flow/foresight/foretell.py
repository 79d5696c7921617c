"""One accepted event as rows: who would get it, by the rules that its expansion uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dispatcher.domain.audience import Question, Recipient, resolve
from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.delivery import Reason
from dispatcher.domain.event import NewEvent, Selection
from dispatcher.domain.expiry import expires_at
from dispatcher.domain.fields import filled, known, parse_fields
from dispatcher.domain.instance import Instance
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.foresight.imagined import Imagined, Told
from dispatcher.flow.foresight.outlook import Fate, Row, zone_of
from dispatcher.flow.incidents import waiting_types

_NOBODY_NAMED = "nobody is named for this type in the recipient list"
_NOBODY_TOLD = "nobody was told of an incident in this thread about this instance"


@dataclass(frozen=True, slots=True)
class Telling:
    """An event as it is told.

    Attributes:
        at: When it is accepted.
        facts: What it says beside its own fields, by instance.
        record_only: Why nobody is mailed; empty if mail goes out.
        reason: Why it is told at this moment.
        overtaken: Whether a newer word on the date came before it; it is then shown nowhere.
    """

    event: NewEvent
    at: datetime
    facts: Mapping[str, Mapping[str, Any]]
    record_only: str
    reason: str
    cadence: str = ""
    subject: str = ""
    step: str = ""
    overtaken: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """Mail that is held for an incident, with what it takes to let it go."""

    row: Row
    telling: Telling
    recipients: tuple[Recipient, ...]


class Foretell:
    """Makes rows of events."""

    def __init__(self, catalogue: Catalogue, recipients: RecipientStore, world: Imagined) -> None:
        self._catalogue = catalogue
        self._recipients = recipients
        self._world = world
        self._waits = waiting_types(catalogue)
        self.held: list[Waiting] = []

    def instances(self, event: NewEvent, facts: Mapping[str, Any]) -> Sequence[Instance]:
        """The instances that an event is about, as its expansion finds them."""
        selection = event.selection
        if selection.kind == "thread":
            told = self._world.told(event.thread or "", self._spec(event).audience.told)
            there = (*told, *self._world.shown(event.thread or ""))
            selection = Selection("instances", there)
        everybody = self._recipients.selected(selection)
        if not facts or event.selection.kind == "instances":
            return everybody
        return [one for one in everybody if one.id in facts]

    def rows(self, telling: Telling) -> Iterator[Row]:
        """A row for each instance; whoever is mailed counts as told from then on."""
        event, spec = telling.event, self._spec(telling.event)
        channels = tuple(spec.channels if event.channels is None else event.channels)
        told = self._told(event, spec)
        parsed: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
        for instance in self.instances(event, telling.facts):
            if telling.record_only:
                unmailed = () if telling.overtaken else _unmailed(channels)
                yield self._row(telling, instance, unmailed, _fate(unmailed), telling.record_only)
                continue
            given = known(spec, filled(event.fields, telling.facts.get(instance.id, {})))
            if parsed is None or parsed[0] != given:
                parsed = given, parse_fields(spec, given, partial=True)[0]
            people = self._people(telling, instance, parsed[1], told)
            yield self._addressed(telling, instance, channels, tuple(people))

    def release(self, at: datetime) -> Iterator[Row]:
        """What was held and is let go at a moment, because no incident affects its instance any more."""
        still = []
        for waiting in self.held:
            if self._world.open_incident(waiting.row.instance):
                still.append(waiting)
                continue
            instance = self._recipients.get(waiting.row.instance)
            if instance is not None:
                since = f"{waiting.row.at:%Y-%m-%d %H:%M}"
                reason = f"{waiting.telling.reason}; held since {since} for an incident"
                freed = replace(waiting.telling, at=at, reason=reason)
                yield self._sent(
                    freed, instance, waiting.row.channels, waiting.recipients, waiting.telling.at
                )
        self.held = still

    def _told(self, event: NewEvent, spec: CommunicationType) -> Mapping[str, Sequence[Recipient]] | None:
        """Exactly those who were told of something earlier in the thread; None where roles count."""
        if not event.thread or not spec.audience.told:
            return None
        return self._world.told(event.thread, spec.audience.told)

    def _people(
        self,
        telling: Telling,
        instance: Instance,
        values: Mapping[str, Any],
        told: Mapping[str, Sequence[Recipient]] | None,
    ) -> Iterator[Recipient]:
        event, spec = telling.event, self._spec(telling.event)
        if told is not None:
            at = f"thread {event.thread}"
            named = [replace(one, reasons=(Reason("thread", at),)) for one in told.get(instance.id, ())]
        else:
            if event.roles is not None:
                audience = spec.audience.model_copy(update={"roles": list(event.roles)})
                spec = spec.model_copy(update={"audience": audience})
            today = telling.at.astimezone(zone_of(instance.time_zone)).date()
            question = Question(event.effective_type, spec, today, values)
            named = list(resolve(question, instance).recipients)
        for one in named:
            if not (spec.optional and self._world.opted_out(one.address, event.effective_type)):
                yield one

    def _addressed(
        self, telling: Telling, instance: Instance, channels: tuple[str, ...], people: tuple[Recipient, ...]
    ) -> Row:
        event = telling.event
        if not people:
            follows = event.thread and self._spec(event).audience.told
            why = _NOBODY_TOLD if follows else _NOBODY_NAMED
            unmailed = _unmailed(channels)
            return self._row(telling, instance, unmailed, _fate(unmailed), why)
        incident = self._world.open_incident(instance.id) if event.effective_type in self._waits else ""
        if incident:
            why = f"the major incident {incident} affects {instance.id}; it goes out when that is over"
            row = self._row(telling, instance, channels, Fate.HELD, why, people)
            self.held.append(Waiting(row, telling, people))
            return row
        return self._sent(telling, instance, channels, people, telling.at)

    def _sent(
        self,
        telling: Telling,
        instance: Instance,
        channels: tuple[str, ...],
        people: tuple[Recipient, ...],
        accepted_at: datetime,
    ) -> Row:
        """The row of mail that leaves now, as far as it is not over for its readers."""
        event, spec = telling.event, self._spec(telling.event)
        fields = filled(event.fields, telling.facts.get(instance.id, {}))
        in_time = []
        for one in people:
            over = expires_at(spec, fields, one.time_zone, accepted_at)
            if over is None or telling.at < over:
                in_time.append(one)
        if not in_time:
            why = f"{spec.expires or 'expires_after'} has passed, so nobody is mailed"
            return self._row(telling, instance, channels, Fate.SKIPPED, why)
        for one in in_time:
            self._world.tell(event.thread, Told(event.effective_type, instance.id, one))
        return self._row(telling, instance, channels, Fate.WOULD_SEND, telling.reason, tuple(in_time))

    def _row(
        self,
        telling: Telling,
        instance: Instance,
        channels: tuple[str, ...],
        fate: Fate,
        reason: str,
        people: tuple[Recipient, ...] = (),
    ) -> Row:
        event = telling.event
        if _unmailed(channels):
            self._world.show(event.thread, instance.id)
        return Row(
            at=telling.at.astimezone(zone_of(instance.time_zone)),
            instance=instance.id,
            type=event.effective_type,
            step=telling.step,
            channels=channels,
            to=tuple(one.address for one in people),
            status=fate,
            reason=reason,
            cadence=telling.cadence,
            subject=telling.subject or event.thread or "",
            event=f"{event.source} {event.external_id}",
            why={one.address: tuple(f"{place.role} {place.at}" for place in one.reasons) for one in people},
        )

    def _spec(self, event: NewEvent) -> CommunicationType:
        return self._catalogue.types[event.effective_type]


def _fate(channels: Sequence[str]) -> Fate:
    """What becomes of what nobody is mailed: it is told where it is shown, or nowhere."""
    return Fate.WOULD_SEND if channels else Fate.RECORDED


def _unmailed(channels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one for one in channels if one != "mail")
