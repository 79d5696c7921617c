from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from domain_examples import shipped, steady, type_with
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.domain.catalogue import FieldSpec
from dispatcher.domain.fields import from_text, parse_fields, resolve_examples, sample

NOW = datetime(2026, 3, 28, 23, 30, 59, tzinfo=UTC)
MOMENT = "Give a date and time with offset, like 2027-03-06T22:00+01:00 or 2027-03-06T21:00Z"
MAINTENANCE = shipped().types["planned-maintenance"]
RIGHT = {"summary": "Work", "start": "2027-03-06T21:00Z", "end": "2027-03-07T01:00Z"}


def complaints(given: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in parse_fields(MAINTENANCE, given)[1]]


def test_a_right_event_gives_every_field() -> None:
    """Each field of the type has a value; an optional one that is missing is None."""
    values, problems = parse_fields(MAINTENANCE, RIGHT)

    assert problems == []
    assert list(values) == list(MAINTENANCE.fields)
    assert values["end"] - values["start"] == timedelta(hours=4)
    assert values["impact"] is None


def test_all_problems_come_at_once() -> None:
    """Unknown, missing and wrong fields are told together, each with its place and what to do."""
    assert complaints({"sumary": "x", "zzz": 1, "start": "soon", "more_url": "x"}) == [
        "fields.sumary: is no field of this type. Did you mean summary?",
        f"fields.zzz: is no field of this type. The fields are {', '.join(MAINTENANCE.fields)}.",
        "fields.summary: is missing. Give text on one line, at most 500 characters.",
        f"fields.start: 'soon' is no date and time. {MOMENT}.",
        f"fields.end: is missing. {MOMENT}.",
        "fields.more_url: 'x' is no web address. Give an address that begins with https:// or http://.",
    ]


@pytest.mark.parametrize("key", ["a\nb", "\x1b[2J", "\u202estart", "\ud800"])
def test_a_hostile_field_name_is_shown_escaped(key: str) -> None:
    """The name of an unknown field cannot break a line or a terminal."""
    assert len(complaints({**RIGHT, key: 1})) == 1
    assert all(text.isprintable() for text in complaints({**RIGHT, key: 1}))


def test_a_huge_field_name_is_shown_short() -> None:
    """The name of an unknown field is quoted in part."""
    assert len(complaints({**RIGHT, "x" * 1_000_000: 1})[0]) < 300


def test_a_type_without_fields_takes_none() -> None:
    """Where there are no fields to name, the advice is to leave it out."""
    problem = parse_fields(type_with({}), {"x": 1})[1][0]

    assert str(problem) == "fields.x: is no field of this type. Leave it out."


@pytest.mark.parametrize("end", ["2027-03-06T20:59Z", "2027-03-06T21:00Z", "2027-03-06T22:00+01:00"])
def test_an_end_that_is_not_after_its_start_is_refused(end: str) -> None:
    """The end comes after the start as moments, whatever their offsets."""
    problems = parse_fields(MAINTENANCE, {**RIGHT, "end": end})[1]

    assert [(problem.key, problem.fix) for problem in problems] == [("end", "give a moment after start")]
    assert "is not after start 2027-03-06T21:00:00+00:00" in problems[0].what


def test_an_end_in_an_earlier_looking_offset_is_right() -> None:
    """21:30 at -01:00 is an hour and a half after 21:00 UTC."""
    assert complaints({**RIGHT, "end": "2027-03-06T21:30-01:00"}) == []


def test_dates_are_ordered_too() -> None:
    """`after` holds for dates as it does for moments, and a missing one is not compared."""
    spec = type_with({"first": {"kind": "date"}, "last": {"kind": "date", "after": "first"}})

    assert parse_fields(spec, {"first": "2027-03-06", "last": "2027-03-07"})[1] == []
    assert parse_fields(spec, {"last": "2027-03-07"})[1] == []
    assert [p.key for p in parse_fields(spec, {"first": "2027-03-06", "last": "2027-03-06"})[1]] == ["last"]
    assert [p.key for p in parse_fields(spec, {"first": "x", "last": "2027-03-06"})[1]] == ["first"]


def test_an_order_between_unlike_kinds_is_left_to_the_catalogue() -> None:
    """A faulty catalogue makes no event crash."""
    spec = type_with({"note": {}, "day": {"kind": "date"}, "end": {"kind": "datetime", "after": "note"}})
    days = type_with({"day": {"kind": "date"}, "end": {"kind": "datetime", "after": "day"}})

    assert parse_fields(spec, {"note": "x", "end": "2027-03-06T21:00Z"})[1] == []
    assert parse_fields(days, {"day": "2027-03-07", "end": "2027-03-06T21:00Z"})[1] == []


@pytest.mark.parametrize(
    ("given", "value"), [({}, False), ({"mandatory": None}, False), ({"mandatory": True}, True)]
)
def test_a_default_stands_for_what_is_missing_or_null(given: dict[str, Any], value: bool) -> None:
    """A default is taken where nothing or null is given, and typed as a given value is."""
    values, _ = parse_fields(shipped().types["update-scheduled"], given, partial=True)

    assert values["mandatory"] is value
    assert values["window"] == timedelta(hours=12)


def test_null_does_not_satisfy_a_required_field() -> None:
    """Null counts as missing."""
    assert complaints({**RIGHT, "summary": None})[0].startswith("fields.summary: is missing.")


def test_a_question_may_leave_required_fields_out() -> None:
    """With `partial` nothing is missing, but what is given must still be right."""
    assert parse_fields(MAINTENANCE, {}, partial=True) == (dict.fromkeys(MAINTENANCE.fields), [])
    assert [p.key for p in parse_fields(MAINTENANCE, {"start": "x", "x": 1}, partial=True)[1]] == [
        "x",
        "start",
    ]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "42", 42),
        ("integer", " -7 ", -7),
        ("integer", "1.5", "1.5"),
        ("integer", "٤٢", "٤٢"),
        ("integer", "9" * 19, "9" * 19),
        ("boolean", "Yes", True),
        ("boolean", " true", True),
        ("boolean", "no", False),
        ("boolean", "FALSE", False),
        ("boolean", "1", "1"),
        ("list", "a, b,,c ", ["a", "b", "c"]),
        ("list", "", []),
        ("text", "42", "42"),
        ("text", " a, b ", " a, b "),
        ("datetime", "2027-03-06T22:00Z", "2027-03-06T22:00Z"),
        ("table", "a,b", "a,b"),
    ],
)
def test_typed_text_becomes_the_value_of_its_kind(kind: str, text: str, value: Any) -> None:
    """What cannot be understood stays text, for the check to complain of."""
    assert from_text(FieldSpec.model_validate({"kind": kind, "label": "Label"}), text) == value


def test_examples_become_plain_json() -> None:
    """Relative moments become absolute ones, at every depth; the rest stays."""
    value = {"at": "+1d 08:00", "all": ["-1h", "x", 5, None], "day": NOW.date()}

    assert resolve_examples(value, NOW) == {
        "at": "2026-03-29T08:00:00+00:00",
        "all": ["2026-03-28T22:30:00+00:00", "x", 5, None],
        "day": "2026-03-28",
    }


def test_only_moments_of_an_example_move() -> None:
    """``+1d`` is a moment where one is wanted, a day where a date is, and plain text in a text."""
    columns = {"at": {"label": "At", "kind": "date"}, "text": {"label": "Text"}}
    row = {"at": "+1d", "text": "+1d"}
    spec = type_with(
        {
            "text": {"example": "+1d"},
            "day": {"kind": "date", "example": "+1d"},
            "days": {"kind": "list", "items": "date", "example": ["+1d", "2027-01-01"]},
            "table": {"kind": "table", "columns": columns, "example": [row]},
            "none": {},
        }
    )
    values = sample(spec, NOW)

    assert values == {
        "text": "+1d",
        "day": "2026-03-29",
        "days": ["2026-03-29", "2027-01-01"],
        "table": [{"at": "2026-03-29", "text": "+1d"}],
    }
    assert parse_fields(spec, values)[1] == []


MOMENTS = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone itself
    max_value=datetime(2999, 12, 31),  # noqa: DTZ001
    timezones=st.sampled_from(
        [UTC, *map(ZoneInfo, ("Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Tokyo"))]
    ),
)


@pytest.mark.parametrize("key", shipped().types)
@steady
@given(now=MOMENTS)
@example(now=datetime(2027, 3, 28, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")))
@example(now=datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1))
@example(now=datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
@example(now=datetime(2028, 2, 29, 0, 0, tzinfo=UTC))
def test_every_sample_is_right_at_any_moment(key: str, now: datetime) -> None:
    """The examples of a shipped type make a right event whenever they are used."""
    spec = shipped().types[key]
    fields = sample(spec, now)
    values, problems = parse_fields(spec, fields)

    assert problems == []
    assert {name for name, field in spec.fields.items() if field.required} <= set(fields)
    assert all(values[name] is not None for name in fields)


def test_a_timeline_of_a_thousand_paragraphs_is_refused() -> None:
    """Rows within the limit, each of paragraphs within the limit, are still more than a mail can show."""
    columns = {"text": {"label": "Update", "kind": "paragraphs"}}
    spec = type_with({"updates": {"kind": "table", "columns": columns}})
    rows = [{"text": "\n\n".join("a" * 50)} for _ in range(40)]

    assert [str(one.what) for one in parse_fields(spec, {"updates": rows})[1]] == [
        "has 2000 paragraphs in all"
    ]
    assert parse_fields(spec, {"updates": rows[:20]})[1] == []
