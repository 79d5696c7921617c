"""What a simulation remembers beside plans: incidents, who was told of them, and who wants no mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dispatcher.domain.address import folded
from dispatcher.domain.audience import Recipient
from dispatcher.domain.event import Heard, NewEvent
from dispatcher.domain.incident import Obligation, Statement
from dispatcher.domain.plan import Plan, PlanKey
from dispatcher.flow.incidents import Accounts


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody who was sent a mail of a thread."""

    type: str
    instance: str
    recipient: Recipient


@dataclass(frozen=True, slots=True)
class Start:
    """What a simulation begins with: nothing, or what the ledger has.

    Attributes:
        said: What was said of incidents, by their keys.
        told: Who was sent mail of a thread, by the thread.
        shown: The instances that there is a notice of, by the thread.
        opted_out: Folded addresses and the types that each wants no more mail of.
        known: The sources and ids of events that were accepted before.
        heard: What was said of plans that there were not, as far as events may begin them.
    """

    plans: Sequence[Plan] = ()
    said: Mapping[str, Sequence[Statement]] = field(default_factory=dict)
    told: Mapping[str, Sequence[Told]] = field(default_factory=dict)
    shown: Mapping[str, Sequence[str]] = field(default_factory=dict)
    opted_out: frozenset[tuple[str, str]] = frozenset()
    known: frozenset[tuple[str, str]] = frozenset()
    heard: Mapping[PlanKey, Sequence[Heard]] = field(default_factory=dict)


class Imagined:
    """Incidents as they come to be, and the people who were told."""

    def __init__(self, start: Start, accounts: Accounts) -> None:
        self._rules = accounts
        self._said = {key: {one.event: one for one in said} for key, said in start.said.items()}
        said = {key: list(found.values()) for key, found in self._said.items() if found}
        self._accounts = {key: accounts.account(found) for key, found in said.items()}
        self._told = {thread: list(told) for thread, told in start.told.items()}
        self._shown = {thread: dict.fromkeys(names) for thread, names in start.shown.items()}
        self._opted_out = start.opted_out

    def enter(self, event: NewEvent, id_: str, at: datetime) -> str:
        """Enter what an event says of an incident; the incident's key, or nothing."""
        statement = self._rules.statement(event, id_, at)
        if statement is None:
            return ""
        said = self._said.setdefault(statement.incident, {})
        said[id_] = statement
        self._accounts[statement.incident] = self._rules.account(list(said.values()))
        return statement.incident

    def open_incident(self, instance: str) -> str:
        """The incident that affects an instance; empty if none does."""
        for key, account in self._accounts.items():
            if account.incident.is_open and account.incident.affected.get(instance, account) is None:
                return key
        return ""

    def affected(self, key: str) -> Sequence[str]:
        """The instances that an incident affects, or did."""
        return sorted(self._accounts[key].incident.affected)

    def obligations(self) -> Iterator[Obligation]:
        """All that was ever owed."""
        for account in self._accounts.values():
            yield from account.obligations

    def tell(self, thread: str | None, told: Told) -> None:
        """Remember who was sent a mail of a thread."""
        if thread:
            self._told.setdefault(thread, []).append(told)

    def told(self, thread: str, types: Sequence[str]) -> Mapping[str, Sequence[Recipient]]:
        """Who was sent mail of these types in a thread, by instance, each person once."""
        found: dict[str, dict[str, Recipient]] = {}
        for one in self._told.get(thread, ()):
            if one.type in types:
                found.setdefault(one.instance, {}).setdefault(folded(one.recipient.address), one.recipient)
        return {instance: list(people.values()) for instance, people in found.items()}

    def show(self, thread: str | None, instance: str) -> None:
        """Remember that an event of a thread is shown at an instance."""
        if thread:
            self._shown.setdefault(thread, {})[instance] = None

    def shown(self, thread: str) -> Sequence[str]:
        """The instances at which something of a thread is shown."""
        return list(self._shown.get(thread, ()))

    def opted_out(self, address: str, type_: str) -> bool:
        """Whether somebody wants no more mail of an optional type."""
        return (folded(address), type_) in self._opted_out
