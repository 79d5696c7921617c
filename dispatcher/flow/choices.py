"""What a reader may choose: which optional mail they want, from a link in a mail that needs no sign-in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dispatcher.domain.address import folded
from dispatcher.domain.audience import Question, resolve
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.instance import ROLES, Instance, Person
from dispatcher.domain.language import DEFAULT, LANGUAGES
from dispatcher.domain.link import LinkInvalid, LinkKey, key_of, sign, verify
from dispatcher.domain.moment import day_in
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.ledger.ledger import Ledger

#: Where the page stands below the public URL.
PATH = "/choices"
#: Instances of one reader that are looked at; a global admin may be named in thousands, in one role alike.
EXAMINED = 200
#: Of these, named on the page; the rest is counted.
NAMED = 20
#: Admins named as those to ask.
ASKED = 5


@dataclass(frozen=True, slots=True)
class Chooser:
    """Who follows a link, and from which mail.

    Attributes:
        type: The type of the mail.
        language: The language that the mail was written in.
    """

    address: str
    type: str
    language: str


@dataclass(frozen=True, slots=True)
class Place:
    """An instance whose recipient list names the reader, and in which roles."""

    instance: str
    title: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a reader gets, and why.

    Attributes:
        wanted: Each optional type of the catalogue, and whether they want it.
        bound: The types that they get and cannot opt out of.
        places: The instances that name them, at most `NAMED`.
        more: How many more there are.
        admins: Whom to ask about `bound`: admins of their instances other than themselves.
    """

    wanted: Mapping[str, bool]
    bound: Sequence[str]
    places: Sequence[Place]
    more: int
    admins: Sequence[str]


def choices_link(public_url: str, key: LinkKey, chooser: Chooser) -> str:
    """The URL at which the person chooses; it works for as long as the ledger has the key.

    Raises:
        ValueError: The address is too long for a link.
    """
    says = {"a": chooser.address, "t": chooser.type, "l": chooser.language}
    return f"{public_url}{PATH}/{sign(key, 'choices', says)}"


def optional_types(catalogue: Catalogue) -> frozenset[str]:
    """The types that a recipient may opt out of, as the catalogue says now."""
    return frozenset(key for key, spec in catalogue.types.items() if spec.optional)


class Choices:
    """Knows readers by their links, tells what they get, and keeps what they choose."""

    def __init__(
        self,
        catalogue: Catalogue,
        recipients: RecipientStore,
        ledger: Ledger,
        clock: Callable[[], datetime],
    ) -> None:
        self._catalogue = catalogue
        self._recipients = recipients
        self._ledger = ledger
        self._clock = clock

    async def who(self, token: str) -> Chooser:
        """Whose link it is.

        Raises:
            LinkInvalid: Nobody's.
            ServiceUnreachable: The ledger, which has the keys, does not answer.
        """
        key_of(token)  # what is no token costs the ledger nothing
        said = verify(token, "choices", await self._ledger.link_keys.all(), self._clock())
        try:
            chooser = Chooser(said["a"], said["t"], said["l"])
        except KeyError:
            raise LinkInvalid from None
        return chooser if chooser.language in LANGUAGES else Chooser(chooser.address, chooser.type, DEFAULT)

    def may_stop(self, chooser: Chooser) -> bool:
        """Whether the type that their link came with is optional, as the catalogue says now."""
        return chooser.type in optional_types(self._catalogue)

    async def stop(self, chooser: Chooser) -> None:
        """Let the reader get no more mail of the type that their link came with.

        Raises:
            ServiceUnreachable: The ledger cannot commit.
        """
        await self._ledger.suppressions.add(chooser.address, [chooser.type], "one-click")

    async def choose(self, chooser: Chooser, *, shown: Collection[str], wanted: Collection[str]) -> None:
        """Keep what the reader wants of the optional types that they were shown; of others nothing changes.

        Raises:
            ServiceUnreachable: The ledger cannot commit.
        """
        offered = optional_types(self._catalogue) & set(shown)
        await self._ledger.suppressions.choose(
            chooser.address, stop=offered - set(wanted), keep=offered & set(wanted)
        )

    async def look(self, chooser: Chooser) -> Standing:
        """What the reader gets, and why.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        stopped = {type_ for _, type_ in await self._ledger.suppressions.standing(chooser.address)}
        wanted = {key: key not in stopped for key, spec in self._catalogue.types.items() if spec.optional}
        # Ten thousand files take a tenth of a second; the loop must go on meanwhile.
        return await asyncio.to_thread(self._standing, chooser.address, wanted)

    def _standing(self, address: str, wanted: Mapping[str, bool]) -> Standing:
        found, total = self._recipients.naming(address, EXAMINED)
        mine = [_narrowed(instance, address) for instance in found]
        places = [_place(instance) for instance in mine[:NAMED]]
        return Standing(wanted, self._bound(mine), places, total - len(places), _admins(found, address))

    def _bound(self, mine: Sequence[Instance]) -> list[str]:
        """The types that nobody may opt out of and that go to the people of one of those instances."""
        types = self._catalogue.types.items()
        mandatory = [key for key, spec in types if not spec.optional and not spec.audience.nobody]
        return [key for key in mandatory if any(self._reaches(key, instance) for instance in mine)]

    def _reaches(self, key: str, instance: Instance) -> bool:
        today = day_in(instance.time_zone, self._clock())
        return bool(resolve(Question(key, self._catalogue.types[key], today, {}), instance).recipients)


def _narrowed(instance: Instance, address: str) -> Instance:
    """The instance as if it named nobody but the address."""
    people: dict[str, list[Person]] = {
        role: [one for one in instance.people(role) if folded(one.address) == folded(address)]
        for role in ROLES
    }
    return instance.model_copy(update=people)


def _place(mine: Instance) -> Place:
    return Place(mine.id, mine.title, tuple(role for role in ROLES if mine.people(role)))


def _admins(found: Sequence[Instance], address: str) -> list[str]:
    """A few admins, those of the first instance first, without the reader."""
    named: dict[str, str] = {}
    for instance in found[:NAMED]:
        for person in instance.people("admins"):
            named.setdefault(folded(person.address), person.address)
    named.pop(folded(address), None)
    return list(named.values())[:ASKED]
