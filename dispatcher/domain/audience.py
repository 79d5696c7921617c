"""Who gets a mail of a type about an instance, and why; and why somebody else does not.

The rules are those of the policy: roles are read from the instance's file, one person gets one mail however
many roles name the address, every role is kept as a reason, an entry of the notification list may be narrowed
and may end, admins cannot be narrowed, addresses compare without regard to case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from dispatcher.domain.address import folded
from dispatcher.domain.catalogue import CommunicationType
from dispatcher.domain.delivery import Reason
from dispatcher.domain.house import Owner
from dispatcher.domain.instance import ROLES, Instance, ListedPerson, Person
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
        return tuple(dict.fromkeys(reason.role for reason in self.reasons))

    @property
    def sender(self) -> str:
        """The sender's key: partners of record hear from an address of their own."""
        return "partners" if set(self.roles) == {"partners"} else "default"


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


def resolve(question: Question, instance: Instance) -> Audience:
    """The audience of one type about one instance, in the order of the roles and of the file."""
    wanted = _wanted(question.type)
    reasons: dict[str, list[Reason]] = {}
    first: dict[str, Person] = {}
    omissions: list[Omission] = []
    for role, person in _named(question, instance):
        at = _place(instance, role, person)
        why = _refusal(question, role, person, wanted)
        if why:
            omissions.append(Omission(person.address, role, at, why))
            continue
        reasons.setdefault(folded(person.address), []).append(Reason(role, at))
        first.setdefault(folded(person.address), person)
    profiles = _profiles(question, instance)
    recipients = tuple(
        _recipient(instance, first[key].address, profiles.get(key, {}), tuple(found))
        for key, found in reasons.items()
    )
    return Audience(recipients, tuple(omissions))


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


def _named(question: Question, instance: Instance) -> Iterator[tuple[str, Person]]:
    for role in ROLES:
        for person in instance.people(role):
            yield role, person
    contact = question.fields.get("contact") if "contact" in question.type.audience.roles else None
    if contact:
        yield "contact", Person(address=contact)
    yield from (("owners", person) for person in _owners(question))


def _owners(question: Question) -> list[Person]:
    if "owners" not in question.type.audience.roles:
        return []
    return [Person.model_validate(owner.model_dump()) for owner in question.owners]


def _place(instance: Instance, role: str, person: Person) -> str:
    if role == "contact":
        return "the event's field contact"
    if role == "owners":
        return "owners in catalogue.yaml"
    return f"{instance.file}:{person.line}" if instance.file else f"instance {instance.id}"


def _refusal(question: Question, role: str, person: Person, wanted: tuple[str, ...]) -> str:
    """Why this entry does not count for this type today, or an empty string."""
    if role not in wanted:
        roles = ", ".join(wanted) or "nobody"
        return f"{question.key} goes to {roles}, not to {role}"
    if role != "recipients" or not isinstance(person, ListedPerson):
        return ""  # only the notification list can be narrowed
    keys = {question.key, question.type.banner}
    if person.until is not None and question.today > person.until:
        return f"the entry ended on {person.until.isoformat()} (until)"
    if person.only and not keys & set(person.only):
        return f"the entry asks for only {', '.join(person.only)}"
    if keys & set(person.except_):
        return f"the entry asks for all except {', '.join(person.except_)}"
    return ""


def _profiles(question: Question, instance: Instance) -> dict[str, dict[str, str]]:
    """Name, language and zone by address: the first role that gives each (policy, section 6).

    To what the owners get, their own entries come first.
    """
    profiles: dict[str, dict[str, str]] = {}
    for people in (_owners(question), *(instance.people(role) for role in ROLES)):
        for person in people:
            if person.name is person.language is person.time_zone is None:
                continue  # most of a hundred thousand say nothing of themselves
            profile = profiles.setdefault(folded(person.address), {})
            for key in ("name", "language", "time_zone"):
                if (value := getattr(person, key)) is not None:
                    profile.setdefault(key, value)
    return profiles


def _recipient(
    instance: Instance, address: str, profile: Mapping[str, str], reasons: tuple[Reason, ...]
) -> Recipient:
    return Recipient(
        address=address,
        name=profile.get("name"),
        language=profile.get("language", instance.language),
        time_zone=profile.get("time_zone", instance.time_zone),
        reasons=reasons,
    )
