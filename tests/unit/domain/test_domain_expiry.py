from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from domain_examples import shipped, steady, type_with
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.domain.catalogue import CommunicationType
from dispatcher.domain.delivery import NewDelivery
from dispatcher.domain.expiry import expires_at, is_over, too_late
from dispatcher.domain.fields import sample
from dispatcher.domain.moment import day_in

NOW = datetime(2027, 3, 6, 12, 0, tzinfo=UTC)
ZONES = (
    "Asia/Tokyo",
    "America/Los_Angeles",
    "Europe/Berlin",
    "America/St_Johns",
    "Pacific/Kiritimati",
    "UTC",
)


def expiring(kind: str, **more: Any) -> CommunicationType:
    """A type that expires by its only field, ``over``."""
    return type_with({"over": {"kind": kind, **more}}).model_copy(update={"expires": "over"})


def delivery(at: datetime | None) -> NewDelivery:
    return NewDelivery("a", ("a",), "a@example.com", None, "en", "UTC", (), "v", "default", at)


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2027-03-07T02:00+01:00", "2027-03-07T01:00"),
        ("2027-03-06T22:00:30.5-03:30", "2027-03-07T01:30:30.500000"),
        ("9000-12-31T23:59-12:00", "9001-01-01T11:59"),
    ],
)
@pytest.mark.parametrize("zone", ZONES)
def test_a_moment_is_the_same_for_every_reader(given: str, moment: str, zone: str) -> None:
    """A date-time is an instant in UTC, wherever the reader is."""
    found = expires_at(expiring("datetime"), {"over": given}, zone)

    assert found == datetime.fromisoformat(f"{moment}Z")
    assert getattr(found, "tzinfo", None) is UTC


@pytest.mark.parametrize(
    ("day", "zone", "moment"),
    [
        ("2027-03-06", "Asia/Tokyo", "2027-03-06T15:00"),
        ("2027-03-06", "America/Los_Angeles", "2027-03-07T08:00"),
        ("2027-03-13", "America/Los_Angeles", "2027-03-14T08:00"),  # the day before clocks go forward
        ("2027-03-14", "America/Los_Angeles", "2027-03-15T07:00"),  # a day of 23 hours
        ("2026-11-01", "America/Los_Angeles", "2026-11-02T08:00"),  # a day of 25 hours
        ("2018-11-03", "America/Sao_Paulo", "2018-11-04T03:00"),  # the next day begins at 01:00
        ("2018-11-03", "America/Havana", "2018-11-04T04:00"),  # midnight comes twice; the first ends it
        ("2011-12-29", "Pacific/Apia", "2011-12-30T10:00"),  # the next day does not exist
        ("2028-02-28", "UTC", "2028-02-29T00:00"),
        ("2026-12-31", "Pacific/Kiritimati", "2026-12-31T10:00"),
        ("9000-12-31", "UTC", "9001-01-01T00:00"),
    ],
)
def test_a_day_ends_where_its_reader_is(day: str, zone: str, moment: str) -> None:
    """A date lasts until midnight in the reader's zone, whatever the clocks do."""
    assert expires_at(expiring("date"), {"over": day}, zone) == datetime.fromisoformat(f"{moment}Z")


@steady
@given(day=st.dates(date(2015, 1, 1), date(2999, 12, 31)), zone=st.sampled_from(ZONES))
@example(day=date(2027, 3, 28), zone="Europe/Berlin")
def test_a_day_is_used_to_its_end_and_no_longer(day: date, zone: str) -> None:
    """At the moment found the day is over for the reader, and a microsecond before it is not."""
    found = expires_at(expiring("date"), {"over": day.isoformat()}, zone)

    assert found is not None
    assert day_in(zone, found) == day + timedelta(days=1)
    assert day_in(zone, found - timedelta(microseconds=1)) == day


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        (type_with({"over": {"kind": "datetime"}}), {"over": "2027-03-07T02:00Z"}),
        (expiring("datetime"), {}),
        (expiring("datetime"), {"over": None}),
        (expiring("datetime"), {"over": "soon"}),
        (expiring("datetime"), {"over": "2027-03-07"}),
        (expiring("date"), {"over": ["2027-03-07"]}),
        (expiring("text"), {"over": "2027-03-07"}),
        (type_with({}).model_copy(update={"expires": "gone"}), {"gone": "2027-03-07T02:00Z"}),
    ],
)
def test_what_does_not_say_when_never_expires(spec: CommunicationType, fields: dict[str, Any]) -> None:
    """Without the key or the value, or under a catalogue that has changed, a mail goes out however late."""
    assert expires_at(spec, fields, "UTC") is None
    assert not is_over(None, NOW)


def test_a_default_counts_like_a_given_value() -> None:
    """A moment that is the field's default ends the mail as one of the event would."""
    spec = expiring("datetime", default="2027-03-05T00:00Z")

    assert expires_at(spec, {}, "UTC") == datetime(2027, 3, 5, tzinfo=UTC)
    assert is_over(expires_at(spec, {}, "UTC"), NOW)
    assert too_late(spec, {}, 1, 1) == ["over (2027-03-05T00:00Z) has passed, so nobody is mailed"]


def test_the_sender_is_told_that_nobody_is_mailed() -> None:
    """An event that is over when it arrives says which of its fields had passed."""
    spec = shipped().types["planned-maintenance"]
    fields = sample(spec, NOW) | {"start": "2027-03-01T21:00Z", "end": "2027-03-06T13:00+01:00"}
    ends = expires_at(spec, fields, "Europe/Berlin")

    assert is_over(ends, NOW)
    assert too_late(spec, fields, 2, 2) == ["end (2027-03-06T13:00+01:00) has passed, so nobody is mailed"]
    assert not is_over(ends, NOW - timedelta(microseconds=1))
    assert too_late(spec, fields, 0, 2) == []
    assert too_late(spec, fields, 0, 0) == []


def test_the_sender_is_told_how_many_are_too_late() -> None:
    """A day that is over in Auckland is not over in Honolulu."""
    spec, fields = expiring("date"), {"over": "2027-03-06"}
    zones = ("Pacific/Auckland", "Europe/Berlin", "Pacific/Honolulu")
    over = sum(is_over(expires_at(spec, fields, zone), NOW) for zone in zones)

    assert too_late(spec, fields, over, len(zones)) == [
        "over (2027-03-06) has passed for 1 of 3 deliveries, which are not sent"
    ]


@pytest.mark.parametrize("key", [key for key, spec in shipped().types.items() if spec.expires])
@pytest.mark.parametrize("zone", ZONES)
def test_a_sample_of_a_shipped_type_goes_out(key: str, zone: str) -> None:
    """The examples of every type lie ahead for long enough to be tried."""
    spec = shipped().types[key]
    found = expires_at(spec, sample(spec, NOW), zone)

    assert found is not None
    assert found > NOW + timedelta(days=1)


def test_a_type_may_expire_some_time_after_its_event() -> None:
    """Of the field's moment and the span after acceptance the earlier counts."""
    spec = expiring("datetime").model_copy(update={"expires_after": "P2D"})
    late, soon = "2027-03-20T00:00+00:00", "2027-03-07T00:00+00:00"

    assert expires_at(spec, {"over": late}, "UTC", NOW) == NOW + timedelta(days=2)
    assert expires_at(spec, {"over": soon}, "UTC", NOW) == datetime.fromisoformat(soon)
    assert expires_at(spec, {}, "UTC", NOW) == NOW + timedelta(days=2)
    assert expires_at(spec, {}, "UTC") is None
