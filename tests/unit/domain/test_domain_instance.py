from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from dispatcher.domain.instance import ROLES, Instance, ListedPerson, Person

ADMIN = {"instance": "contoso", "admins": ["Ann@Contoso.Example"]}


def instance(**more: Any) -> Instance:
    return Instance.model_validate(ADMIN | more)


def test_an_address_alone_is_a_person() -> None:
    """``ops@example.com`` is short for an entry with that address, in its canonical form."""
    found = instance(recipients=["ops@contoso.example"], partners=[{"address": "p@fabrikam.example"}])

    assert found.admins == [Person(address="Ann@contoso.example")]
    assert found.recipients == [ListedPerson.model_validate({"address": "ops@contoso.example"})]
    assert [len(found.people(role)) for role in ROLES] == [1, 0, 1, 0, 1]
    assert found.people("contact") == []


def test_the_defaults_are_plain() -> None:
    """Without more an instance is a production in English and UTC, called by its id."""
    found = instance()

    assert (found.kind, found.language, found.time_zone, found.region) == ("production", "en", "UTC", None)
    assert found.title == "contoso"
    assert instance(name="Contoso Production").title == "Contoso Production"


def test_a_list_of_people_is_no_window() -> None:
    """Who changes the list that was asked for does not change the instance."""
    found = instance()
    found.people("admins").clear()

    assert len(found.people("admins")) == 1


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "UTC"])
def test_a_time_zone_is_known_by_its_name(zone: str) -> None:
    """Every name of the IANA data base will do."""
    assert instance(time_zone=zone).time_zone == zone


ZONE = "no IANA time zone; write one like Europe/Berlin"
WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"time_zone": "Europe/Bern"}, ZONE),
    ({"time_zone": "Europe"}, ZONE),
    ({"time_zone": "/etc/localtime"}, ZONE),
    ({"time_zone": "../../etc/passwd"}, ZONE),
    ({"time_zone": "+VERSION"}, ZONE),
    ({"time_zone": ""}, ZONE),
    ({"time_zone": "UTC\n"}, ZONE),
    ({"time_zone": "x" * 61}, ZONE),
    ({"instance": "../contoso"}, "pattern"),
    ({"instance": ".contoso"}, "pattern"),
    ({"instance": "contoso\n"}, "pattern"),
    ({"instance": "x" * 101}, "pattern"),
    ({"url": "javascript:alert(1)"}, "pattern"),
    ({"url": "https://contoso.example/<b>"}, "pattern"),
    ({"url": "https://contoso.example/\n"}, "pattern"),
    ({"name": "One\nTwo"}, "pattern"),
    ({"kind": "test"}, "production"),
    ({"region": "mars"}, "emea"),
    ({"language": "zh"}, "zh-Hant"),
    ({"admins": []}, "at least 1"),
    ({"admins": ["ops@localhost"]}, "has no full domain after the @"),
    ({"admins": [{"address": "a@contoso.example", "until": "2027-01-01"}]}, "Extra inputs"),
    ({"admins": [{"address": "a@contoso.example", "only": ["incident"]}]}, "Extra inputs"),
    ({"owners": ["a@contoso.example"]}, "Extra inputs"),
    ({"recipients": [{"address": "a@contoso.example", "until": "soon"}]}, "'soon' is no date"),
    ({"recipients": [{"address": "a@contoso.example", "until": 1_800_000_000}]}, "is no date"),
    ({"recipients": [{"address": "a@contoso.example", "until": "2027-02-29"}]}, "date"),
    ({"recipients": [{"address": "a@contoso.example", "until": datetime(2027, 1, 1, 5)}]}, "date"),  # noqa: DTZ001
    ({"recipients": [{"address": "a@contoso.example", "only": ["All Of It"]}]}, "pattern"),
)


@pytest.mark.parametrize(
    ("change", "message"), WRONG, ids=[f"{next(iter(change))}-{n}" for n, (change, _) in enumerate(WRONG)]
)
def test_a_wrong_entry_is_refused(change: dict[str, Any], message: str) -> None:
    """Nothing that is not understood is guessed at; admins cannot carry a narrowing."""
    with pytest.raises(ValidationError, match=message):
        instance(**change)


def test_an_entry_of_the_list_ends_on_a_day() -> None:
    """`until` is a day, `except` a word of the file that Python keeps for itself."""
    entry = {"address": "a@contoso.example", "until": "2027-03-31", "only": ["incident"], "except": ["note"]}
    (listed,) = instance(recipients=[entry]).recipients

    assert (listed.until, listed.only, listed.except_) == (date(2027, 3, 31), ["incident"], ["note"])
