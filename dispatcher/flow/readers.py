"""Who reads what an event says: its audience, as the recipient lists or its thread tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dispatcher.domain.address import folded
from dispatcher.domain.audience import Question, Recipient, readers
from dispatcher.domain.catalogue import CommunicationType
from dispatcher.domain.delivery import Delivery, Reason
from dispatcher.domain.event import Event, Selection
from dispatcher.domain.fields import filled, known, parse_fields
from dispatcher.domain.house import Owner
from dispatcher.domain.instance import Instance
from dispatcher.domain.moment import day_in
from dispatcher.files.recipient_form import Roll
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.ledger.ledger import Ledger

#: What the plan of an event says where the event says nothing, by instance; plain JSON values by field.
Facts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Reader:
    """A recipient together with the instances that the mail is about, which name nobody here."""

    recipient: Recipient
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Readership:
    """The readers of one event, found one after the other; most are never all in memory.

    Attributes:
        found: To be asked in one thread at a time; it reads files, so not in that of the event loop.
        warnings: What the event's sender should know about those whom it does not reach; all of it is there
            once `found` has ended.
    """

    found: Iterator[Reader]
    warnings: list[str] = field(default_factory=list)


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

    async def of(self, event: Event, spec: CommunicationType, facts: Facts) -> Readership:
        """The readers of the event, by the recipient lists as they are when each instance is asked for.

        Which instances they are is settled now. Who reads of several in one mail, or was told of something
        earlier in a thread, is found all at once.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        warnings: list[str] = []
        names = self._names(event, warnings)
        if facts and event.selection.kind != "instances":
            # What turned the plans of a region is about those that have one.
            names = [name for name in names if name in facts]
        if event.roles is not None:
            audience = spec.audience.model_copy(update={"roles": list(event.roles)})
            spec = spec.model_copy(update={"audience": audience})
        if follows(event, spec):
            reached = await self._ledger.deliveries.told(event.thread or "", spec.audience.told)
            return Readership(self._told(event, reached, set(names)), warnings)
        found = self._resolved(event, spec, facts, self._there(names, warnings))
        return Readership(_by_person(found) if spec.group_by == "person" else found, warnings)

    def _names(self, event: Event, warnings: list[str]) -> Sequence[str]:
        selection = event.selection
        if selection.kind == "instances":
            return list(dict.fromkeys(selection.values))
        warnings += [
            f"{broken.file} is set aside and nothing of it is in force: {broken.problems[0]}"
            for broken in self._recipients.lost()
        ]
        return self._recipients.ids_of(Selection("all") if selection.kind == "thread" else selection)

    def _there(self, names: Iterable[str], warnings: list[str]) -> Iterator[Roll]:
        for name in names:
            if (roll := self._recipients.roll(name)) is None:
                warnings.append(f"instance {name} has left the recipient lists")
            else:
                yield roll

    def _resolved(
        self, event: Event, spec: CommunicationType, facts: Facts, rolls: Iterable[Roll]
    ) -> Iterator[Reader]:
        last: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
        for roll in rolls:
            fields = known(spec, filled(event.fields, facts.get(roll.id, {})))
            if last is None or last[0] != fields:  # those of many are the same, and are parsed once
                last = fields, parse_fields(spec, fields, partial=True)[0]
            about = (roll.outline,)
            for recipient in readers(self._question(event, spec, last[1], roll.outline), roll):
                yield Reader(recipient, about)

    def _question(
        self, event: Event, spec: CommunicationType, values: Mapping[str, Any], instance: Instance
    ) -> Question:
        today = day_in(instance.time_zone, self._clock())
        return Question(event.effective_type, spec, today, values, tuple(self._owners))

    def _told(self, event: Event, told: Sequence[Delivery], wanted: set[str]) -> Iterator[Reader]:
        """Exactly those who were sent the incident, as they were then."""
        for delivery in told:
            instances = tuple(
                self._recipients.outline(name) or _departed(name, delivery.address)
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


def _departed(name: str, address: str) -> Instance:
    """An instance that left the recipient lists; who was told about it still hears of the end."""
    return Instance.model_validate({"instance": name, "admins": [address]})


def follows(event: Event, spec: CommunicationType) -> bool:
    """Whether the event goes to those who were told of something earlier in its thread."""
    return bool(event.thread and spec.audience.told)


def _by_person(readers: Iterable[Reader]) -> Iterator[Reader]:
    """One reader per address, with all instances; language and zone are those of the first."""
    grouped: dict[str, list[Reader]] = {}
    for reader in readers:
        grouped.setdefault(folded(reader.recipient.address), []).append(reader)
    for same in grouped.values():
        first = same[0].recipient
        reasons = tuple(dict.fromkeys(reason for reader in same for reason in reader.recipient.reasons))
        merged = Recipient(first.address, first.name, first.language, first.time_zone, reasons)
        yield Reader(merged, tuple(instance for reader in same for instance in reader.instances))
