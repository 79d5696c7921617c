"""The kinds of words that catalogue, cadences and recipient files are written with."""

from __future__ import annotations

import re
from collections.abc import Container
from contextlib import suppress
from datetime import date
from functools import cache, lru_cache
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, StringConstraints

#: Who somebody is to an instance; ``contact`` and ``owners`` stand in no recipient file.
Role = Literal["admins", "global_admins", "recipients", "users", "partners", "contact", "owners"]
#: What an audience may name. ``admins`` means system admins and global admins (policy, section 6).
AudienceRole = Literal["admins", "recipients", "users", "partners", "contact", "owners"]
Region = Literal["emea", "americas", "apac", "japan"]
Channel = Literal["mail", "admin-centre", "in-product"]

Line = Annotated[
    str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")
]
TypeKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=60)]
FieldKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


@lru_cache(maxsize=256)
def holiday_calendar(name: str) -> Container[date]:
    """The holidays of a country (``JP``), of a part of one (``DE-BY``) or of a market (``ECB``).

    Raises:
        ValueError: There is no such calendar.
    """
    import holidays  # noqa: PLC0415 - most commands need none, and it takes a while to load

    country, _, part = name.partition("-")
    # The library knows more names than those of calendars: to it, JAN is a number.
    if country in _calendars():
        find = holidays.financial_holidays if country in _markets() else holidays.country_holidays
        with suppress(NotImplementedError):
            return find(country, subdiv=part or None)
    raise ValueError(f"{name!r} is no calendar of holidays; write one like JP, DE-BY or ECB")


@cache
def _calendars() -> frozenset[str]:
    """The countries and markets that have a calendar."""
    from holidays.registry import EntityLoader  # noqa: PLC0415 - as above

    return _markets() | frozenset(EntityLoader.get_country_codes())


@cache
def _markets() -> frozenset[str]:
    from holidays.registry import EntityLoader  # noqa: PLC0415 - as above

    return frozenset(EntityLoader.get_financial_codes())


def _holidays(name: str) -> str:
    # To look into one calendar loads those of all countries, so only a part of a country is worth it.
    if name not in _calendars():
        holiday_calendar(name)
    return name


#: A calendar of holidays: a country, with a subdivision where it has its own, or a market.
HolidayCalendar = Annotated[
    str, StringConstraints(pattern=r"^[A-Z]{2,4}(-[A-Z0-9]{1,3})?$"), AfterValidator(_holidays)
]


@lru_cache(maxsize=1024)
def _zone(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_+/-]{1,60}", name):
        raise ValueError("is no IANA time zone; write one like Europe/Berlin")
    # A system has further files beside the zones (localtime, posixrules), which mean what it likes.
    if name not in _zones():
        raise ValueError(f"{name!r} is no IANA time zone; write one like Europe/Berlin")
    return name


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime", "posixrules", "Factory"}


TimeZone = Annotated[str, AfterValidator(_zone)]
