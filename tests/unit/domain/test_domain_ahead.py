from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from domain_examples import shipped, type_with

from dispatcher.domain.ahead import early_end, short_notice
from dispatcher.domain.catalogue import CommunicationType, MinimumNotice

NOW = datetime(2027, 3, 6, 12, 0, tzinfo=UTC)


def noticed(kind: str, least: str = "P5D") -> CommunicationType:
    """A type whose only field asks for some days' notice."""
    rule = MinimumNotice(field="start", least=least)
    return type_with({"start": {"kind": kind}}).model_copy(update={"minimum_notice": rule})


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ("2027-03-11T12:00:00+00:00", ""),
        ("2027-03-11T11:59:59+00:00", "gives 4 days of notice, less than the 5 days"),
        ("2027-03-11T13:00:00+01:00", ""),
        ("2027-03-08T00:00:00+00:00", "gives 36 hours of notice, less than the 5 days"),
        ("2027-03-06T13:30:00+00:00", "gives 1 hour of notice, less than the 5 days"),
        ("2027-03-01T00:00:00+00:00", "gives no notice, and the policy asks for 5 days"),
    ],
)
def test_how_much_notice_is_given(start: str, told: str) -> None:
    """It is said in the unit that tells most, and never more than is left."""
    found = short_notice(noticed("datetime"), {"start": datetime.fromisoformat(start)}, NOW)

    assert found.startswith(told) if told else not found


def test_a_day_begins_at_midnight() -> None:
    """A day without an hour counts from its first moment."""
    values = {"start": NOW.date()}

    assert "no notice, and the policy asks for 36 hours" in short_notice(
        noticed("date", "PT36H"), values, NOW
    )


@pytest.mark.parametrize("values", [{}, {"start": None}, {"start": "soon"}])
def test_what_has_no_moment_is_told_as_it_is(values: dict[str, Any]) -> None:
    """A field that is not given gives no notice to measure."""
    assert short_notice(noticed("datetime"), values, NOW) == ""


def test_what_is_cancelled_needs_no_notice() -> None:
    """That the work will not take place may be said until it would have begun."""
    spec = shipped().types["planned-maintenance"]
    values = {"start": NOW, "cancelled": True}

    assert short_notice(spec, values | {"cancelled": False}, NOW)
    assert short_notice(spec, values, NOW) == ""


@pytest.mark.parametrize("key", ["resolved_at", "restored_at"])
def test_an_end_that_has_not_come_is_told(key: str) -> None:
    """A slip in the year shows; what a clock that is ahead says is no matter."""
    spec = type_with({key: {"kind": "datetime"}})
    later = NOW.replace(year=2030)

    assert early_end(spec, {key: later}, NOW) == (
        f"has a {key} that lies ahead, 2030-03-06T12:00Z: what is owed after the end is counted from it"
    )
    for moment in (NOW - timedelta(days=1), NOW + timedelta(minutes=10), None):
        assert early_end(spec, {key: moment}, NOW) == ""
    assert early_end(type_with({"start": {"kind": "datetime"}}), {key: later}, NOW) == ""
