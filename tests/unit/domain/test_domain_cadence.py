from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import pytest
from domain_examples import shipped
from plan_examples import Life, cadence, utc
from pydantic import ValidationError

from dispatcher.domain.cadence import Cadence, Offset, Turn, parse_offset
from dispatcher.domain.plan import StepStatus

MAIL, CENTRE, PRODUCT = "mail", "admin-centre", "in-product"
ADMINS = {"admins", "recipients", "partners"}
#: Policy, section 2, row by row, with section 6 for who: what it is told at, its type, its roles by mail, and
#: whether it is an in-product alert, a mail, a message in the admin centre. The last row is our own.
POLICY: list[tuple[str, str, set[str], bool, bool, bool]] = [
    ("scheduled", "update-scheduled", ADMINS, True, True, True),
    ("-90d", "update-reminder", ADMINS, False, True, True),
    ("-30d", "update-reminder", ADMINS, False, True, True),
    ("-15d", "update-reminder", ADMINS, False, True, True),
    ("-7d", "update-reminder", ADMINS, True, True, True),
    ("-0d", "update-reminder", ADMINS, False, True, True),
    ("approved", "update-confirmed", set(), False, False, True),
    ("in-progress", "update-in-progress", set(), False, False, True),
    ("succeeded", "update-succeeded", {"admins", "recipients", "users"}, False, True, True),
    ("fallback", "update-fallback", ADMINS, False, True, True),
    ("rescheduled", "update-rescheduled", ADMINS, False, True, True),
    ("compatibility", "update-compatibility", ADMINS, False, True, True),
    ("cancelled", "update-cancelled", ADMINS, False, True, True),
]


@pytest.mark.parametrize("row", POLICY, ids=[row[0] for row in POLICY])
@pytest.mark.parametrize("channel", [PRODUCT, MAIL, CENTRE])
def test_a_major_update_is_told_as_the_policy_says(
    row: tuple[str, str, set[str], bool, bool, bool], channel: str
) -> None:
    """Every row of the policy's table is a step: its moment, its type, its people, each of its channels."""
    when, type_, roles, *channels = row
    (step,) = (one for one in cadence().steps.values() if when in (one.at, one.on))
    spec = shipped().types[type_]

    assert step.type == type_
    assert set(step.roles or spec.audience.roles) == roles
    told = dict(zip((PRODUCT, MAIL, CENTRE), channels, strict=True))
    assert (channel in (spec.channels if step.channels is None else step.channels)) == told[channel]


def test_a_major_update_has_no_step_that_the_policy_does_not_know() -> None:
    """The table above is the whole cadence, and the types of its turns have the same channels."""
    steps = cadence().steps.values()

    assert len(steps) == len(POLICY)
    assert {step.late for step in steps} == {"skip"}
    for step in steps:
        if step.on:
            assert step.channels == shipped().types[str(step.type)].channels


def test_an_update_at_one_instance_from_the_first_word_to_the_last() -> None:
    """Scheduled 120 days ahead, an update has its five reminders at nine, each once."""
    life = Life()
    life.begin(utc("2027-05-01 21:00"))

    assert {key: f"{at:%m-%d %H:%M}" for key, at in life.steps().items()} == {
        "reminder-90": "01-31 09:00",
        "reminder-30": "04-01 09:00",
        "reminder-15": "04-16 09:00",
        "reminder-7": "04-24 09:00",
        "reminder-0": "05-01 09:00",
    }
    assert life.steps(StepStatus.SKIPPED) == {}


@pytest.mark.parametrize(
    ("key", "about", "anchor", "steps"),
    [
        ("launch-readiness", "release", "release_date", ["scheduled", "-30d", "-7d", "+1d", "+30d"]),
        ("post-purchase", "product", "purchase_date", ["scheduled", "+7d", "+30d", "+90d", "+180d", "+365d"]),
    ],
)
def test_the_series_that_come_with_the_product(key: str, about: str, anchor: str, steps: list[str]) -> None:
    """A release is told of before and after its date, a purchase for a year; their event begins them."""
    series = cadence(key)

    assert (series.about, series.anchor, series.follows) == (about, anchor, "instance")
    assert [step.on or step.at for step in series.steps.values()] == steps
    assert {step.type for step in series.steps.values()} == {key}


def test_what_is_owed_for_an_incident() -> None:
    """The next update every hour, the report within five business days."""
    (update,) = cadence("major-incident").steps.values()
    (report,) = cadence("post-incident-report").steps.values()

    assert (update.every, update.owes) == ("PT1H", "major-service-incident")
    assert (report.at, report.owes) == ("+5 business days", "post-incident-report")
    assert {shipped().cadences[key].follows for key in ("major-incident", "post-incident-report")} == {
        "incident"
    }


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("-90d", Offset(days=-90)),
        ("-0d", Offset(days=0)),
        ("+0d", Offset(days=0)),
        ("+2w", Offset(days=14)),
        ("-3h", Offset(hours=-3)),
        ("+1 business day", Offset(business_days=1)),
        ("+5 business days", Offset(business_days=5)),
        ("-9999w", Offset(days=-69993)),
    ],
)
def test_distances_as_they_are_written(text: str, offset: Offset) -> None:
    """A sign, a number and a unit; business days in words."""
    assert parse_offset(text) == offset


@pytest.mark.parametrize(
    "text",
    [
        "",
        "90d",
        "-90",
        "- 90d",
        "-90 d",
        "-90m",
        "-90D",
        "+5 business  days",
        "+5business days",
        "-1d2h",
        "-٣d",
        "-90d\n",
    ],
)
def test_what_is_no_distance_is_refused(text: str) -> None:
    """Whoever writes one otherwise is shown how."""
    with pytest.raises(ValueError, match="write one like -30d, \\+1w, \\+2h or \\+5 business days"):
        parse_offset(text)


def small(**more: Any) -> Cadence:
    """A cadence of one step."""
    base = {
        "title": "A",
        "about": "update",
        "anchor": "at",
        "steps": {"one": {"on": "scheduled", "type": "note"}},
    }
    return Cadence.model_validate(base | more)


def test_hours_and_spans_are_what_they_say() -> None:
    """Nine o'clock and three hours, unless a cadence says otherwise."""
    assert (small().hour, small().lead) == (time(9), timedelta(hours=3))
    assert (small(send_at="17:30").hour, small(ahead="90m").lead) == (time(17, 30), timedelta(minutes=90))


@pytest.mark.parametrize(
    "wrong",
    [
        {"send_at": "9:00"},
        {"send_at": "24:00"},
        {"ahead": "three hours"},
        {"ahead": "PT0H"},
        {"follows": "thread"},
        {"steps": {"One": {"on": "scheduled", "type": "note"}}},
        {"steps": {"one": {"on": "started", "type": "note"}}},
        {"steps": {"one": {"at": -30, "type": "note"}}},
        {"steps": {"one": {"at": "-30d", "type": "note", "late": "always"}}},
        {"steps": {"one": {"at": "-30d", "type": "note", "to": ["admins"]}}},
    ],
)
def test_a_cadence_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """Hours, spans, turns and keys are checked where they stand."""
    with pytest.raises(ValidationError):
        small(**wrong)


@pytest.mark.parametrize(
    ("type_", "turn"),
    [
        ("update-confirmed", "approved"),
        ("update-cancelled", "cancelled"),
        ("update-reminder", None),
        ("note", None),
    ],
)
def test_the_turn_that_an_event_is(type_: str, turn: Turn | None) -> None:
    """The type of a turn's step tells; a reminder is no turn."""
    assert cadence().turn_of(type_) == turn


def test_the_step_that_stands_at_a_turn() -> None:
    """It is found by the turn, with its key."""
    found = cadence().step_on("approved")

    assert found
    assert (found[0], found[1].type) == ("confirmed", "update-confirmed")
    assert cadence("post-purchase").step_on("approved") is None
