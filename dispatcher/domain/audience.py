"""Who gets a mail of a type about an instance, and why; and why somebody else does not.

The rules are those of the policy: roles are read from the instance's file, one person gets one mail however
many roles name the address, every role is kept as a reason, an entry of the notification list may be narrowed
and may end, admins cannot be narrowed, addresses compare without regard to case.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from dispatcher.domain.address import folded
from dispatcher.domain.catalogue import CommunicationType
from dispatcher.domain.delivery import Reason
from dispatcher.domain.house import Owner
from dispatcher.domain.instance import Instance, ListedPerson, Person
from dispatcher.domain.words import Role

#: The roles of a file that one word of an audience stands for.
_EXPANSION: Mapping[str, tuple[Role, ...]] = {"admins": ("admins", "global_admins")}


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person who gets the mail.

    Attributes:
        reasons: At least one, in the order of the roles.
    """

    address: str
    name: str | None
    language: str
    time_zone: str
    reasons: tuple[Reason, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles among the reasons, each once, in their order."""
        if len(self.reasons) == 1:  # nearly everybody; asked for several times a reader
            return (self.reasons[0].role,)
        return tuple(dict.fromkeys(reason.role for reason in self.reasons))

    @property
    def sender(self) -> str:
        """The sender's key: partners of record hear from an address of their own."""
        return "partners" if self.roles == ("partners",) else "default"


@dataclass(frozen=True, slots=True)
class Omission:
    """Somebody who is named in the file and does not get the mail, and why."""

    address: str
    role: str
    at: str
    why: str


@dataclass(frozen=True, slots=True)
class Audience:
    """Who gets a mail about one instance, and who of those named does not."""

    recipients: tuple[Recipient, ...]
    omissions: tuple[Omission, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What the audience is asked for: a type, its fields, the instance's day, the service's own people."""

    key: str
    type: CommunicationType
    today: date
    fields: Mapping[str, Any]
    owners: tuple[Owner, ...] = ()


class Place(Protocol):
    """What is asked of an instance to find its readers; `Instance` has it."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def file(self) -> str:
        """The file that names its people; empty where there is none."""
        ...

    @property
    def language(self) -> str:
        """The language of those who have none of their own."""
        ...

    @property
    def time_zone(self) -> str:
        """The zone of those who have none of their own."""
        ...

    def named(self) -> Iterator[tuple[Role, Person]]:
        """Every entry with its role, in the order of the roles and of the file."""
        ...


def resolve(question: Question, place: Place) -> Audience:
    """The audience of one type about one instance, in the order of the roles and of the file."""
    omissions: list[Omission] = []
    return Audience(tuple(_found(question, place, omissions.append)), tuple(omissions))


def readers(question: Question, place: Place) -> Iterator[Recipient]:
    """Those of `resolve` who get the mail, one after the other.

    All entries are looked at before the first is given, for one person may have several; but what is held of
    each is little.
    """
    return _found(question, place, lambda _: None)


class _Known:
    """What the entries of one person come to, as far as they were looked at."""

    __slots__ = ("address", "language", "name", "reasons", "time_zone")

    def __init__(self, address: str) -> None:
        self.address = address
        self.name: str | None = None
        self.language: str | None = None
        self.time_zone: str | None = None
        self.reasons: tuple[Reason, ...] = ()

    def hear(self, person: Person) -> None:
        """Name, language and zone: the first entry that gives each (policy, section 6)."""
        if self.name is None:
            self.name = person.name
        # Interned: there are some dozens of them among a hundred thousand people.
        if self.language is None and person.language is not None:
            self.language = sys.intern(person.language)
        if self.time_zone is None and person.time_zone is not None:
            self.time_zone = sys.intern(person.time_zone)


def _found(question: Question, place: Place, omit: Callable[[Omission], None]) -> Iterator[Recipient]:
    """Who gets it; who of those named does not is handed to `omit` before the first is given."""
    found: dict[str, _Known] = {}
    # Of those who do not get it, or not yet, what they say of themselves.
    silent: dict[str, _Known] = {}
    for person in _owners(question):
        # To what the owners get, their own entries come first.
        silent.setdefault(folded(person.address), _Known(person.address)).hear(person)
    wanted = _wanted(question.type)
    for role, person in _named(question, place):
        key = folded(person.address)
        if key == person.address:
            key = person.address  # one text instead of two
        known = found.get(key)
        at = _place(place, role, person)
        if why := _refusal(question, role, person, wanted):
            omit(Omission(person.address, role, at, why))
            if not person.name is person.language is person.time_zone is None:
                (known or silent.setdefault(key, _Known(person.address))).hear(person)
            continue
        if known is None:
            known = found[key] = silent.pop(key) if key in silent else _Known(person.address)
            known.address = person.address
        known.hear(person)
        known.reasons += (Reason(role, at),)
    for one in found.values():
        yield Recipient(
            one.address,
            one.name,
            one.language or place.language,
            one.time_zone or place.time_zone,
            one.reasons,
        )


def explain_absence(question: Question, instance: Instance, address: str) -> list[str]:
    """Why `address` does not get the mail, one sentence a role; empty if it does get it."""
    audience = resolve(question, instance)
    if any(folded(person.address) == folded(address) for person in audience.recipients):
        return []
    if question.type.audience.nobody:
        return [f"{question.key} mails nobody: {question.type.audience.nobody}"]
    found = [entry for entry in audience.omissions if folded(entry.address) == folded(address)]
    where = instance.file or f"instance {instance.id}"
    return [f"{entry.role} at {entry.at}: {entry.why}" for entry in found] or [
        f"{where} does not name {address}"
    ]


def _wanted(spec: CommunicationType) -> tuple[str, ...]:
    return tuple(role for word in spec.audience.roles for role in _EXPANSION.get(word, (word,)))


def _named(question: Question, place: Place) -> Iterator[tuple[str, Person]]:
    yield from place.named()
    contact = question.fields.get("contact") if "contact" in question.type.audience.roles else None
    if contact:
        yield "contact", Person(address=contact)
    yield from (("owners", person) for person in _owners(question))


def _owners(question: Question) -> list[Person]:
    if "owners" not in question.type.audience.roles:
        return []
    return [Person.model_validate(owner.model_dump()) for owner in question.owners]


def _place(place: Place, role: str, person: Person) -> str:
    if role == "contact":
        return "the event's field contact"
    if role == "owners":
        return "owners in catalogue.yaml"
    return f"{place.file}:{person.line}" if place.file else f"instance {place.id}"


def _refusal(question: Question, role: str, person: Person, wanted: tuple[str, ...]) -> str:
    """Why this entry does not count for this type today, or an empty string."""
    if role not in wanted:
        roles = ", ".join(wanted) or "nobody"
        return f"{question.key} goes to {roles}, not to {role}"
    if role != "recipients" or not isinstance(person, ListedPerson):
        return ""  # only the notification list can be narrowed
    if person.until is None and not (person.only or person.except_):
        return ""
    keys = {question.key, question.type.banner}
    if person.until is not None and question.today > person.until:
        return f"the entry ended on {person.until.isoformat()} (until)"
    if person.only and not keys & set(person.only):
        return f"the entry asks for only {', '.join(person.only)}"
    if keys & set(person.except_):
        return f"the entry asks for all except {', '.join(person.except_)}"
    return ""
