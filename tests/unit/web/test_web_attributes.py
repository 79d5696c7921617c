"""The context attributes of CloudEvents 1.0."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dispatcher.web.attributes import is_json, parse_time, problems_of

RIGHT = {"id": "1", "source": "/changes", "specversion": "1.0", "type": "planned-maintenance"}
VALID: tuple[dict[str, Any], ...] = (
    {},
    {"source": "urn:example:billing"},
    {"source": "https://example.com/a?b=%20#c"},
    {"time": "2027-03-06t21:00:00.123456789z"},
    {"time": "2026-12-31T23:59:60Z"},
    {"time": None, "subject": None},
    {"datacontenttype": "application/vnd.example+json; charset=UTF-8"},
    {"dataschema": "https://example.com/schema"},
    {"correlationid": "c-1", "severity": 3, "urgent": True, "averyveryverylongextensionname1": ""},
)
INVALID: tuple[tuple[dict[str, Any], str], ...] = (
    ({"id": None}, "id"),
    ({"id": ""}, "id"),
    ({"id": 7}, "id"),
    ({"id": "a\nb"}, "id"),
    ({"source": "a b"}, "source"),
    ({"source": "/größe"}, "source"),
    ({"source": "/%zz"}, "source"),
    ({"specversion": "0.3"}, "specversion"),
    ({"specversion": 1.0}, "specversion"),
    ({"type": ""}, "type"),
    ({"time": "2027-03-06"}, "time"),
    ({"time": "2027-03-06T21:00:00"}, "time"),
    ({"time": "2027-02-30T21:00:00Z"}, "time"),
    ({"time": "0001-01-01T00:00:00+14:00"}, "time"),
    ({"time": "٢٠٢٧-03-06T21:00:00Z"}, "time"),
    ({"subject": ""}, "subject"),
    ({"dataschema": "/relative"}, "dataschema"),
    ({"datacontenttype": "application/xml"}, "datacontenttype"),
    ({"Correlation-Id": "x"}, "Correlation-Id"),
    ({"größe": "x"}, "größe"),
    ({"ext": {"a": 1}}, "ext"),
    ({"ext": 1.5}, "ext"),
    ({"ext": 2**31}, "ext"),
    ({"ext": "a\x00"}, "ext"),
)


@pytest.mark.parametrize("changed", VALID, ids=str)
def test_accepts_what_the_specification_allows(changed: dict[str, Any]) -> None:
    """Attributes as the specification describes them pass."""
    found = list(problems_of(RIGHT | changed, ""))

    assert found == []


@pytest.mark.parametrize(("changed", "where"), INVALID, ids=str)
def test_names_the_attribute_that_is_wrong(changed: dict[str, Any], where: str) -> None:
    """One wrong attribute is one problem, at its own place, with a word on what to do."""
    (problem,) = problems_of(RIGHT | changed, "events[3].")

    assert problem.where == f"events[3].{where}"
    assert problem.fix


def test_names_all_that_is_missing() -> None:
    """An empty event lacks each of the required attributes."""
    found = [problem.where for problem in problems_of({}, "")]

    assert found == ["id", "source", "specversion", "type"]


def test_reads_a_leap_second_as_the_one_before() -> None:
    """23:59:60 is 23:59:59, because Python knows no leap seconds."""
    moment = parse_time("2026-12-31T23:59:60Z")

    assert moment == datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ('application/json;charset="UTF-8"', True),
        ("application/problem+json", True),
        ("application/json; charset=latin-1", False),
        ("application/jsonp", False),
        ("", False),
    ],
)
def test_knows_json(media_type: str, expected: bool) -> None:
    """JSON is application/json and whatever ends in +json, in UTF-8."""
    known = is_json(media_type)

    assert known is expected
