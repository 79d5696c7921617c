"""Who reads what an event says: its audience, as the recipient lists or its thread tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatcher.domain.address import folded
from dispatcher.domain.audience import Question, Recipient, resolve
from dispatcher.domain.catalogue import CommunicationType
from dispatcher.domain.delivery import Delivery, Reason
from dispatcher.domain.event import Event
from dispatcher.domain.fields import filled, known, parse_fields
from dispatcher.domain.house import Owner
from dispatcher.domain.instance import Instance
from dispatcher.domain.moment import day_in
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.ledger.ledger import Ledger

#: What the plan of an event says where the event says nothing, by instance; plain JSON values by field.
Facts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Reader:
    """A recipient together with the instances that the mail is about."""

    recipient: Recipient
    instances: tuple[Instance, ...]


class Readers:
    """Finds the readers of events."""

    def __init__(
        self,
        recipients: RecipientStore,
        ledger: Ledger,
        clock: Callable[[], datetime],
        owners: Sequence[Owner] = (),
    ) -> None:
        self._owners = owners
        self._recipients = recipients
        self._ledger = ledger
        self._clock = clock

    async def of(
        self, event: Event, spec: CommunicationType, facts: Facts
    ) -> tuple[Sequence[Reader], Sequence[str]]:
        """The readers of the event, and what its sender should know about those it does not reach.

        By the recipient lists as they were at their last refresh.
        """
        warnings: list[str] = []
        instances = self._instances(event, warnings)
        if facts and event.selection.kind != "instances":
            # What turned the plans of a region is about those that have one.
            instances = [one for one in instances if one.id in facts]
        if event.roles is not None:
            audience = spec.audience.model_copy(update={"roles": list(event.roles)})
            spec = spec.model_copy(update={"audience": audience})
        if follows(event, spec):
            reached = await self._ledger.deliveries.told(event.thread or "", spec.audience.told)
            return list(self._told(event, reached, {one.id for one in instances})), warnings
        given = {one.id: known(spec, filled(event.fields, facts.get(one.id, {}))) for one in instances}
        values = _parsed(spec, given)
        found = [
            Reader(recipient, (instance,))
            for instance in instances
            for recipient in resolve(
                self._question(event, spec, values[instance.id], instance), instance
            ).recipients
        ]
        return list(_by_person(found)) if spec.group_by == "person" else found, warnings

    def _instances(self, event: Event, warnings: list[str]) -> Sequence[Instance]:
        selection = event.selection
        if selection.kind != "instances":
            warnings += [
                f"{broken.file} is set aside and nothing of it is in force: {broken.problems[0]}"
                for broken in self._recipients.lost()
            ]
        if selection.kind == "region":
            return self._recipients.by_region(selection.values[0])
        if selection.kind != "instances":
            return self._recipients.all()
        found = []
        for name in dict.fromkeys(selection.values):
            instance = self._recipients.get(name)
            if instance is None:
                warnings.append(f"instance {name} has left the recipient lists")
            else:
                found.append(instance)
        return found

    def _question(
        self, event: Event, spec: CommunicationType, values: Mapping[str, Any], instance: Instance
    ) -> Question:
        today = day_in(instance.time_zone, self._clock())
        return Question(event.effective_type, spec, today, values, tuple(self._owners))

    def _told(self, event: Event, told: Sequence[Delivery], wanted: set[str]) -> Iterator[Reader]:
        """Exactly those who were sent the incident, as they were then."""
        for delivery in told:
            instances = tuple(
                self._recipients.get(name) or _departed(name, delivery.address)
                for name in delivery.instances
                if name in wanted or event.selection.kind in {"thread", "all"}
            )
            if instances:
                at = f"thread {event.thread}, told by {delivery.event}"
                recipient = Recipient(
                    delivery.address,
                    delivery.name,
                    delivery.language,
                    delivery.time_zone,
                    (Reason("thread", at),),
                )
                yield Reader(recipient, instances)


def _parsed(
    spec: CommunicationType, given: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Mapping[str, Any]]:
    """The typed values of each instance; those of many are the same, and are parsed once."""
    found: dict[str, Mapping[str, Any]] = {}
    last: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
    for name, fields in given.items():
        if last is None or last[0] != fields:
            last = fields, parse_fields(spec, fields, partial=True)[0]
        found[name] = last[1]
    return found


def instances_of(readers: Sequence[Reader]) -> Sequence[Instance]:
    """The instances that somebody reads of, each once."""
    return list({one.id: one for reader in readers for one in reader.instances}.values())


def _departed(name: str, address: str) -> Instance:
    """An instance that left the recipient lists; who was told about it still hears of the end."""
    return Instance.model_validate({"instance": name, "admins": [address]})


def follows(event: Event, spec: CommunicationType) -> bool:
    """Whether the event goes to those who were told of something earlier in its thread."""
    return bool(event.thread and spec.audience.told)


def _by_person(readers: Sequence[Reader]) -> Iterator[Reader]:
    """One reader per address, with all instances; language and zone are those of the first."""
    grouped: dict[str, list[Reader]] = {}
    for reader in readers:
        grouped.setdefault(folded(reader.recipient.address), []).append(reader)
    for same in grouped.values():
        first = same[0].recipient
        reasons = tuple(dict.fromkeys(reason for reader in same for reason in reader.recipient.reasons))
        merged = Recipient(first.address, first.name, first.language, first.time_zone, reasons)
        yield Reader(merged, tuple(instance for reader in same for instance in reader.instances))
