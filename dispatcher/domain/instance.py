"""An instance (one organisation's copy of the application) and the people around it.

These models mirror ``recipients/<instance>.yaml``; its JSON Schema is made from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from dispatcher.domain.house import Address
from dispatcher.domain.language import DEFAULT, Language
from dispatcher.domain.model import Model
from dispatcher.domain.words import HolidayCalendar, Line, Region, Role, TimeZone, TypeKey

InstanceId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
HttpUrl = Annotated[
    str, StringConstraints(pattern=r"""^https?://[^\s<>"'\\^`{|}\x00-\x1f]+$""", max_length=2000)
]

#: The keys of a recipient file that hold people, in the order in which they give name, language and zone.
ROLES: tuple[Role, ...] = ("admins", "global_admins", "recipients", "users", "partners")


def _day(value: Any) -> Any:
    """A date is written in full; left to itself pydantic also takes seconds since 1970."""
    if isinstance(value, date) or (
        isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)
    ):
        return value
    raise ValueError(f"{str(value)[:40]!r} is no date; write it like 2027-03-31")


Day = Annotated[date, BeforeValidator(_day)]


def _entry(value: Any) -> Any:
    """``ops@example.com`` is short for ``{address: ops@example.com}``."""
    return {"address": value} if isinstance(value, str) else value


class Person(Model):
    """Somebody named in a recipient file.

    Attributes:
        line: The line of the file that names them, counted from 1; 0 where there is no file.
    """

    address: Address
    name: Line | None = None
    language: Language | None = None
    time_zone: TimeZone | None = None
    line: Annotated[SkipJsonSchema[int], Field(exclude=True)] = 0


class ListedPerson(Person):
    """An entry of the notification list, which may be narrowed and may end.

    Attributes:
        only: Types or banners; nothing else is sent. Empty means everything.
        except_: Types or banners that are not sent.
        until: The last day, in the instance's zone, on which the entry counts.
    """

    only: Annotated[list[TypeKey], Field(default_factory=list)]
    except_: Annotated[list[TypeKey], Field(alias="except", default_factory=list)]
    until: Day | None = None


AnyPerson = Annotated[Person, BeforeValidator(_entry, json_schema_input_type=Address | Person)]
AnyListedPerson = Annotated[
    ListedPerson, BeforeValidator(_entry, json_schema_input_type=Address | ListedPerson)
]


class Instance(Model):
    """One instance and its people.

    Attributes:
        id: Unique among all files.
        sandbox_of: For a sandbox: the production instance that it belongs to.
        holidays: Calendars of holidays that hold here in place of the region's; None for the region's.
        file: The file it was read from, relative to the root; empty where there is none.
    """

    id: Annotated[InstanceId, Field(alias="instance")]
    name: Line | None = None
    kind: Literal["production", "sandbox"] = "production"
    url: HttpUrl | None = None
    region: Region | None = None
    language: Language = DEFAULT
    time_zone: TimeZone = "UTC"
    version: Line | None = None
    sandbox_of: InstanceId | None = None
    holidays: list[HolidayCalendar] | None = None
    admins: Annotated[list[AnyPerson], Field(min_length=1)]
    global_admins: Annotated[list[AnyPerson], Field(default_factory=list)]
    recipients: Annotated[list[AnyListedPerson], Field(default_factory=list)]
    users: Annotated[list[AnyPerson], Field(default_factory=list)]
    partners: Annotated[list[AnyPerson], Field(default_factory=list)]
    file: Annotated[SkipJsonSchema[str], Field(exclude=True)] = ""

    @property
    def title(self) -> str:
        """What people call it: its name, else its id."""
        return self.name or self.id

    def people(self, role: Role) -> list[Person]:
        """The entries of one role; none for a role that no file holds (``contact``)."""
        return list(getattr(self, role, ()))

    def named(self) -> Iterator[tuple[Role, Person]]:
        """Every entry with its role, in the order of the roles and of the file."""
        for role in ROLES:
            for person in self.people(role):
                yield role, person
