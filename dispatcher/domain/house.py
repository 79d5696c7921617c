"""The house: the service that the mails speak of, who sends them, its own people and when they work."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from dispatcher.domain.address import AddressInvalid, canonical
from dispatcher.domain.cadence import Hour
from dispatcher.domain.language import DEFAULT, Language
from dispatcher.domain.model import Model
from dispatcher.domain.words import HolidayCalendar, Line, TimeZone


def _address(text: str) -> str:
    try:
        return canonical(text)
    except AddressInvalid as error:
        raise ValueError(f"{text[:80]!r} {error}") from None


Address = Annotated[
    str, AfterValidator(_address), WithJsonSchema({"type": "string", "format": "email", "maxLength": 254})
]


class Sender(Model):
    """Who a mail comes from."""

    address: Address
    name: Line

    @property
    def domain(self) -> str:
        """What stands after the ``@`` of the address."""
        return self.address.rpartition("@")[2]


class Service(Model):
    """The cloud application that the mails speak of."""

    name: Line
    support_url: str | None = None


class Owner(Model):
    """One of the service's own people."""

    address: Address
    name: Line | None = None
    language: Language = DEFAULT
    time_zone: TimeZone = "UTC"


class BusinessHours(Model):
    """When people work in a region.

    Attributes:
        open: The time of day at which work begins.
        close: The time of day at which it ends.
        time_zone: Where those times hold; without it, in the instance's zone.
        holidays: Country codes (ISO 3166-1, with a subdivision like ``DE-BY`` where it has holidays of its
            own) or the market ``ECB``; a day that is a holiday in any of them is none to work on.
    """

    open: Hour = "09:00"
    close: Hour = "17:00"
    time_zone: TimeZone | None = None
    holidays: list[HolidayCalendar] = []
