"""An instance whose people are made while somebody goes through them."""

from __future__ import annotations

import pytest

from dispatcher.domain.instance import ROLES, Instance
from dispatcher.files import recipient_form
from dispatcher.files.recipient_files import read_instance
from dispatcher.files.recipient_form import Roll, Version, instance_of, version_of

FILE = """
instance: contoso
language: de
time_zone: Europe/Berlin
admins: [a1@contoso.example, {address: a2@contoso.example, name: Anna}]
recipients:
  - r1@contoso.example
  - {address: r2@contoso.example, only: [maintenance], until: 2030-01-01}
  - {address: r3@contoso.example, except: [maintenance], language: ja, time_zone: Asia/Tokyo}
users: [u1@contoso.example]
partners: []
"""


@pytest.fixture(params=[1, 2, 500])
def version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Version:
    """What is kept of the file, with so many people in a line, and unpacked by a few bytes."""
    monkeypatch.setattr(recipient_form, "_PIECE", request.param)
    monkeypatch.setattr(recipient_form, "_READ", 7 * request.param)
    reading = read_instance(FILE.encode(), "recipients/contoso.yaml", frozenset({"maintenance"}))
    assert reading.instance is not None
    return version_of(reading.instance, reading.form, changed=0)


def test_it_names_whom_the_instance_names(version: Version) -> None:
    """The same people with the same roles in the same order, each of its kind, however often it is asked."""
    roll, instance = Roll(version), instance_of(version)

    assert list(roll.named()) == list(instance.named()) == list(roll.named())
    assert [type(person) for _, person in roll.named()] == [type(person) for _, person in instance.named()]


def test_what_is_said_of_the_place_is_the_instance_s(version: Version) -> None:
    """Whoever looks for readers finds what the instance would say, and the outline names nobody."""
    roll, instance = Roll(version), instance_of(version)
    facts = ("id", "file", "language", "time_zone")

    assert [getattr(roll, fact) for fact in facts] == [getattr(instance, fact) for fact in facts]
    assert not any(roll.outline.people(role) for role in ROLES)
    assert roll.outline.title == instance.title


def test_what_is_kept_is_what_was_read(version: Version) -> None:
    """The instance that is made again equals the one that was read."""
    reading = read_instance(FILE.encode(), "recipients/contoso.yaml", frozenset({"maintenance"}))

    assert instance_of(version) == reading.instance


def test_a_file_that_is_right_needs_no_deep_places() -> None:
    """Places within an entry are looked for only when something is wrong, and are then exact."""
    wrong = FILE.replace("name: Anna", "nam: Anna")
    reading = read_instance(wrong.encode(), "recipients/contoso.yaml", frozenset({"maintenance"}))

    assert isinstance(reading.instance, Instance) is False
    assert [problem.where for problem in reading.problems] == ["recipients/contoso.yaml:5:60"]
