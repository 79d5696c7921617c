from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from domain_examples import shipped, steady
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.business import BusinessCalendar, answer_due, calendar_of
from dispatcher.domain.instance import Instance
from dispatcher.domain.words import holiday_calendar

BERLIN = BusinessCalendar(time(9), time(17), "Europe/Berlin", ("ECB",))
TOKYO = BusinessCalendar(time(9), time(17, 30), "Asia/Tokyo", ("JP",))
PACIFIC = BusinessCalendar(time(6), time(18), "America/Los_Angeles", ("US",))
EMPTY = BusinessCalendar(time(9), time(17), "UTC")


def instance(**given: object) -> Instance:
    """An instance of these facts."""
    return Instance.model_validate({"instance": "contoso-prod", "admins": ["ada@contoso.example"]} | given)


@pytest.mark.parametrize(
    ("calendar", "day", "count", "then"),
    [
        (BERLIN, date(2026, 11, 19), 5, date(2026, 11, 26)),  # a weekend between
        (BERLIN, date(2026, 12, 24), 5, date(2027, 1, 4)),  # Christmas, New Year, two weekends
        (BERLIN, date(2026, 12, 26), 5, date(2027, 1, 4)),  # from a Saturday
        (BERLIN, date(2027, 3, 25), 1, date(2027, 3, 30)),  # Good Friday, Easter Monday
        (BERLIN, date(2027, 1, 4), -1, date(2026, 12, 31)),
        (BERLIN, date(2027, 1, 2), 0, date(2027, 1, 4)),
        (BERLIN, date(2027, 1, 4), 0, date(2027, 1, 4)),
        (PACIFIC, date(2026, 11, 25), 1, date(2026, 11, 27)),  # Thanksgiving
        (PACIFIC, date(2027, 7, 2), 1, date(2027, 7, 6)),  # Independence Day on a Sunday: the Monday after
        (TOKYO, date(2027, 4, 28), 1, date(2027, 4, 30)),  # Showa Day
        (TOKYO, date(2027, 4, 30), 1, date(2027, 5, 6)),  # Golden Week
        (EMPTY, date(2028, 2, 28), 2, date(2028, 3, 1)),  # 29 February counts
    ],
)
def test_business_days(calendar: BusinessCalendar, day: date, count: int, then: date) -> None:
    """Weekends and the holidays of a region are no days to work on."""
    assert calendar.add_days(day, count) == then


@pytest.mark.parametrize(
    ("calendar", "moment", "hours", "then"),
    [
        # B, Standard: under 4 hours; asked at 15:00 in Berlin, two of them are left for the next morning.
        (BERLIN, datetime(2026, 11, 19, 14, tzinfo=UTC), 4, datetime(2026, 11, 20, 10, tzinfo=UTC)),
        (BERLIN, datetime(2026, 11, 21, 14, tzinfo=UTC), 8, datetime(2026, 11, 23, 16, tzinfo=UTC)),
        (BERLIN, datetime(2026, 12, 24, 15, 30, tzinfo=UTC), 2, datetime(2026, 12, 28, 9, 30, tzinfo=UTC)),
        (BERLIN, datetime(2026, 11, 19, 2, tzinfo=UTC), 1, datetime(2026, 11, 19, 9, tzinfo=UTC)),
        (TOKYO, datetime(2026, 11, 20, 8, tzinfo=UTC), 1, datetime(2026, 11, 24, 0, 30, tzinfo=UTC)),
        (PACIFIC, datetime(2026, 11, 20, 13, tzinfo=UTC), 4, datetime(2026, 11, 20, 18, tzinfo=UTC)),
        # The clock goes back on Sunday, 25 October: the same hours, another offset.
        (BERLIN, datetime(2026, 10, 23, 14, tzinfo=UTC), 2, datetime(2026, 10, 26, 9, tzinfo=UTC)),
    ],
)
def test_business_hours(calendar: BusinessCalendar, moment: datetime, hours: int, then: datetime) -> None:
    """What comes outside working hours counts from when they next begin."""
    assert calendar.add_hours(moment, timedelta(hours=hours)) == then


@steady
@given(
    st.sampled_from([BERLIN, TOKYO, PACIFIC, EMPTY]),
    st.dates(date(2024, 1, 1), date(2032, 12, 31)),
    st.integers(1, 60),
)
def test_business_days_are_counted_one_by_one(calendar: BusinessCalendar, day: date, count: int) -> None:
    """So many of the days after it, up to the one that is found, are days to work on."""
    then = calendar.add_days(day, count)
    between = [day + timedelta(days=n) for n in range(1, (then - day).days + 1)]

    assert calendar.is_business_day(then)
    assert sum(calendar.is_business_day(one) for one in between) == count


def test_an_instance_works_as_its_region_does_unless_it_says_otherwise() -> None:
    """Hours are the region's; holidays are the instance's own where it names some."""
    there = instance(region="japan", time_zone="Europe/Berlin")
    own = instance(region="japan", time_zone="Europe/Berlin", holidays=["DE-BY"])
    none = instance(region="japan", time_zone="Europe/Berlin", holidays=[])

    assert calendar_of(shipped(), there).time_zone == "Asia/Tokyo"
    assert calendar_of(shipped(), there).close == time(17, 30)
    assert not calendar_of(shipped(), there).is_business_day(date(2027, 4, 29))
    assert calendar_of(shipped(), own).is_business_day(date(2027, 4, 29))
    assert not calendar_of(shipped(), own).is_business_day(date(2027, 5, 27))  # where Corpus Christi is kept
    assert calendar_of(shipped(), none).is_business_day(date(2027, 1, 1))


def test_an_instance_without_a_region_works_from_nine_to_five() -> None:
    """Monday to Friday, where it is."""
    found = calendar_of(shipped(), instance(time_zone="Pacific/Kiritimati"))

    assert (found.open, found.close, found.time_zone) == (time(9), time(17), "Pacific/Kiritimati")
    assert found.holidays == ()


@pytest.mark.parametrize("name", ["ZZ", "DE-XX", "ECB-DE", "", "JAN", "MON", "BANK", "JAN-DE"])
def test_a_calendar_that_there_is_not(name: str) -> None:
    """Its name is refused, with how to write one."""
    with pytest.raises(ValueError, match="write one like JP, DE-BY or ECB"):
        holiday_calendar(name)


@pytest.mark.parametrize(
    ("severity", "plan", "chosen", "then"),
    [
        ("A", "standard", False, "2026-11-20T17:00"),  # a Friday, 17:00 in Berlin
        ("A", "unified", False, "2026-11-20T17:00"),
        ("B", "standard", False, "2026-11-23T12:00"),  # the Monday after, 13:00 in Berlin
        ("B", "prodirect", False, "2026-11-23T10:00"),
        ("B", "unified", False, "2026-11-23T10:00"),
        ("B", "standard", True, "2026-11-20T20:00"),
        ("B", "unified", True, "2026-11-20T18:00"),
        ("C", "standard", False, "2026-11-23T16:00"),
        ("C", "prodirect", False, "2026-11-23T12:00"),
        ("C", "unified", True, "2026-11-23T12:00"),  # business hours only
        ("C", None, False, None),
        (None, "standard", False, None),
    ],
)
def test_every_support_deadline_of_the_policy(
    severity: str | None, plan: str | None, chosen: bool, then: str | None
) -> None:
    """Policy, section 4: by severity, plan and clock."""
    spec = shipped().types["support-case-received"]
    values = {
        "severity": severity,
        "plan": plan,
        "around_the_clock": chosen,
        "received_at": datetime(2026, 11, 20, 16, tzinfo=UTC),
    }
    assert spec.deadline is not None
    found = answer_due(spec.deadline, values, BERLIN)

    assert found == (datetime.fromisoformat(f"{then}Z") if then else None)
