from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from domain_examples import shipped, steady
from hypothesis import given
from hypothesis import strategies as st
from plan_examples import Life, cadence, place, utc

from dispatcher.domain.cadence import Cadence
from dispatcher.domain.instance import Instance
from dispatcher.domain.plan import PlannedStep, StepStatus
from dispatcher.domain.planning import (
    digest,
    due_fields,
    lies_behind,
    moment_of,
    place_of,
    replanned,
    steps_for,
)

LONG_AGO = utc("2020-01-01 00:00")
#: UTC-11 to UTC+14, and those with offsets of half an hour and a quarter.
ZONES = (
    "Pacific/Pago_Pago",
    "America/Los_Angeles",
    "America/St_Johns",
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
)


def of(steps: dict[str, Any], **more: Any) -> Cadence:
    """A cadence with these steps, each of the type ``note`` unless it says otherwise."""
    told = {
        key: {"type": "note"} | ({"at": step} if isinstance(step, str) else step)
        for key, step in steps.items()
    }
    return Cadence.model_validate(
        {"title": "Series", "about": "update", "anchor": "scheduled_at", "steps": told} | more
    )


def due(
    at: str, anchor: datetime | date, zone: str = "UTC", made: datetime = LONG_AGO, **more: Any
) -> PlannedStep:
    """The one step at that distance."""
    (step,) = steps_for(of({"one": at}, **more), anchor, place(zone), made, 1)
    return step


@pytest.mark.parametrize(
    ("zone", "anchor", "at", "expected"),
    [
        # Nine o'clock there, whatever the clock does between the step and the date.
        ("Europe/Berlin", "2027-04-10 20:00", "-30d", "2027-03-11 08:00"),
        ("Europe/Berlin", "2027-04-10 20:00", "-7d", "2027-04-03 07:00"),
        ("Europe/Berlin", "2027-11-10 20:00", "-15d", "2027-10-26 07:00"),
        ("Europe/Berlin", "2027-11-10 20:00", "-7d", "2027-11-03 08:00"),
        ("America/Los_Angeles", "2027-03-20 04:00", "-7d", "2027-03-12 17:00"),
        ("America/Los_Angeles", "2027-03-20 04:00", "-0d", "2027-03-19 16:00"),
        # The day is that of the instance: 2027-03-06T21:00Z is the seventh in Tokyo.
        ("Asia/Tokyo", "2027-03-06 21:00", "-1d", "2027-03-06 00:00"),
        ("Pacific/Kiritimati", "2027-03-06 21:00", "-1d", "2027-03-05 19:00"),
        ("Pacific/Pago_Pago", "2027-03-06 09:00", "-1d", "2027-03-04 20:00"),
        # Leap day and year end.
        ("UTC", "2028-03-30 21:00", "-30d", "2028-02-29 09:00"),
        ("UTC", "2027-03-30 21:00", "-30d", "2027-02-28 09:00"),
        ("UTC", "2028-02-29 21:00", "-7d", "2028-02-22 09:00"),
        ("UTC", "2028-02-29 21:00", "+52w", "2029-02-27 09:00"),
        ("Asia/Tokyo", "2027-01-03 12:00", "-7d", "2026-12-27 00:00"),
        ("UTC", "2026-12-31 21:00", "+1d", "2027-01-01 09:00"),
        # Hours are hours, over a clock change too.
        ("Europe/Berlin", "2027-03-28 06:00", "-12h", "2027-03-27 18:00"),
        ("Europe/Berlin", "2027-03-28 06:00", "+2h", "2027-03-28 08:00"),
        # Working days.
        ("UTC", "2027-01-08 12:00", "+5 business days", "2027-01-15 09:00"),
        ("UTC", "2027-01-09 12:00", "+1 business day", "2027-01-11 09:00"),
        ("UTC", "2027-01-11 12:00", "-1 business day", "2027-01-08 09:00"),
    ],
)
def test_a_step_is_due_at_nine_where_the_instance_is(zone: str, anchor: str, at: str, expected: str) -> None:
    """Days are counted on the calendar there, and told at nine by the clock there."""
    assert due(at, utc(anchor), zone).due_at == utc(expected)


@pytest.mark.parametrize(
    ("zone", "day", "hour", "expected"),
    [
        ("Europe/Berlin", "2027-03-28", "02:30", "2027-03-28 01:00"),  # skipped: when clocks do
        ("Europe/Berlin", "2027-03-28", "03:00", "2027-03-28 01:00"),
        ("Europe/Berlin", "2027-10-31", "02:30", "2027-10-31 00:30"),  # comes twice: the first
        ("America/Sao_Paulo", "2018-11-04", "00:00", "2018-11-04 03:00"),  # no midnight
        ("Australia/Lord_Howe", "2027-10-03", "02:15", "2027-10-02 15:30"),  # half an hour is skipped
        ("Pacific/Apia", "2011-12-30", "09:00", "2011-12-30 10:00"),  # no such day
    ],
)
def test_an_hour_that_clocks_skip_or_show_twice(zone: str, day: str, hour: str, expected: str) -> None:
    """What would fall into a gap goes out when it ends, what would come twice at the first time."""
    anchor = date.fromisoformat(day)

    assert due("-0d", anchor, zone, made=utc("2000-01-01 00:00"), send_at=hour).due_at == utc(expected)


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        ("2027-03-06 21:00", "2027-03-06 09:00"),
        ("2027-03-06 12:00", "2027-03-06 09:00"),
        ("2027-03-06 11:59", "2027-03-06 08:59"),
        ("2027-03-06 09:00", "2027-03-06 06:00"),
        ("2027-03-06 02:00", "2027-03-05 23:00"),
        ("2027-03-06 00:00", "2027-03-05 21:00"),
    ],
)
def test_nothing_is_told_less_than_three_hours_before(anchor: str, expected: str) -> None:
    """A step that would fall later goes out three hours before the date, if need be on the evening before."""
    assert due("-0d", utc(anchor)).due_at == utc(expected)


def test_the_three_hours_are_hours_over_a_clock_change() -> None:
    """Where the night is an hour shorter, it is still three hours."""
    assert due("-0d", utc("2027-03-28 02:00"), "Europe/Berlin").due_at == utc("2027-03-27 23:00")


def test_what_comes_after_the_date_may_come_soon() -> None:
    """The three hours hold for what is told before the thing itself alone."""
    assert due("+1h", utc("2027-03-06 21:00")).due_at == utc("2027-03-06 22:00")


def test_a_whole_day_has_no_hour_to_be_ahead_of() -> None:
    """Nine o'clock of the day itself is early enough for what is anchored on a day."""
    assert due("-0d", date(2027, 3, 6), "Asia/Tokyo").due_at == utc("2027-03-06 00:00")


@pytest.mark.parametrize("zone", ZONES)
def test_every_zone_hears_at_nine(zone: str) -> None:
    """In zones from UTC-11 to UTC+14 each step is told at nine there, so many days before the day there."""
    there = ZoneInfo(zone)
    for month in range(1, 13):
        anchor = datetime(2027, month, 15, 20, 0, tzinfo=there)
        for step in steps_for(cadence(), anchor, place(zone), LONG_AGO, 1):
            local = step.due_at.astimezone(there)
            days = int(step.key.removeprefix("reminder-"))

            assert local.time() == time(9)
            assert local.date() == anchor.date() - timedelta(days=days)


@pytest.mark.parametrize("made", ["2027-01-01 00:00", "2027-02-03 23:59", "2027-02-04 09:00"])
def test_days_that_are_over_are_skipped(made: str) -> None:
    """What was to be told on an earlier day is skipped and says so; what comes today or later is told."""
    steps = {step.key: step for step in steps_for(cadence(), utc("2027-03-06 21:00"), place(), utc(made), 1)}

    assert steps["reminder-90"].status is StepStatus.SKIPPED
    assert steps["reminder-90"].reason == "its day, 2026-12-06, had passed when the plan was made"
    assert steps["reminder-90"].settled_at == utc(made)
    assert (steps["reminder-30"].status, steps["reminder-30"].reason) == (StepStatus.PENDING, "")
    assert steps["reminder-30"].due_at == utc("2027-02-04 09:00")


@pytest.mark.parametrize(
    ("anchor", "made", "at", "status"),
    [
        # Nine has passed, the day has not: at once.
        ("2027-03-06 21:00", "2027-02-27 10:00", "2027-02-27 10:00", StepStatus.PENDING),
        ("2027-03-06 21:00", "2027-02-27 23:59", "2027-02-27 23:59", StepStatus.PENDING),
        ("2027-03-06 21:00", "2027-02-27 09:00", "2027-02-27 09:00", StepStatus.PENDING),
        ("2027-03-06 21:00", "2027-02-27 08:00", "2027-02-27 09:00", StepStatus.PENDING),
        ("2027-03-06 21:00", "2027-02-28 00:00", "2027-02-27 09:00", StepStatus.SKIPPED),
    ],
)
def test_a_step_of_today_is_told_today(anchor: str, made: str, at: str, status: StepStatus) -> None:
    """Whoever plans in the afternoon of a step's day has it told at once."""
    step = due("-7d", utc(anchor), made=utc(made))

    assert (step.due_at, step.status) == (utc(at), status)


@pytest.mark.parametrize(
    ("made", "at", "status"),
    [
        ("2027-03-06 17:59", "2027-03-06 17:59", StepStatus.PENDING),
        ("2027-03-06 18:00", "2027-03-06 18:00", StepStatus.PENDING),
        ("2027-03-06 18:01", "2027-03-06 09:00", StepStatus.SKIPPED),
        ("2027-03-06 22:00", "2027-03-06 09:00", StepStatus.SKIPPED),
    ],
)
def test_the_day_itself_is_told_until_three_hours_before(made: str, at: str, status: StepStatus) -> None:
    """On the day itself the reminder is told at once as long as three hours are left."""
    step = due("-0d", utc("2027-03-06 21:00"), made=utc(made))

    assert (step.due_at, step.status) == (utc(at), status)
    assert (step.reason != "") == (status is StepStatus.SKIPPED)


def test_an_early_date_that_is_planned_on_the_evening_before() -> None:
    """Of a date at one at night, planned at 23:00, nobody is reminded two hours before."""
    step = due("-0d", utc("2027-03-06 01:00"), made=utc("2027-03-05 23:00"))

    assert step.status is StepStatus.SKIPPED
    assert step.reason == "too little time was left before the date when the plan was made"


def test_the_nearest_of_those_that_may_be_late_is_told_at_once() -> None:
    """Of all steps whose day has passed and that ask for it, one is told late, and the others are skipped."""
    late = {"late": "nearest"}
    series = of({"a": {"at": "+7d"} | late, "b": {"at": "+30d"} | late, "c": {"at": "+60d"}, "d": "+90d"})
    made = utc("2027-04-01 12:00")

    steps = {step.key: step for step in steps_for(series, date(2027, 1, 10), place(), made, 1)}

    assert {key: step.status.value for key, step in steps.items()} == {
        "a": "skipped",
        "b": "pending",
        "c": "skipped",
        "d": "pending",
    }
    assert steps["b"].due_at == made
    assert steps["d"].due_at == utc("2027-04-10 09:00")


@pytest.mark.parametrize(
    ("made", "status"),
    [("2027-03-06 17:00", "pending"), ("2027-03-06 18:30", "skipped"), ("2027-03-08 12:00", "skipped")],
)
def test_nothing_is_told_late_once_the_date_is_there(made: str, status: str) -> None:
    """A reminder that asks to be sent late is not sent when the thing itself has come."""
    series = of({"a": {"at": "-7d", "late": "nearest"}})

    (step,) = steps_for(series, utc("2027-03-06 21:00"), place(), utc(made), 1)

    assert step.status.value == status


def test_a_day_s_late_step_is_told_until_that_day_is_over() -> None:
    """What is anchored on a day may be told late on that day, and not on the next."""
    series = of({"a": {"at": "-7d", "late": "nearest"}})
    on, after = (
        steps_for(series, date(2027, 3, 6), place(), utc(made), 1)[0]
        for made in ("2027-03-06 18:00", "2027-03-07 00:00")
    )

    assert (on.status, after.status) == (StepStatus.PENDING, StepStatus.SKIPPED)


def test_what_is_there_already_is_not_planned_again() -> None:
    """Steps that a caller has are left out."""
    steps = steps_for(cadence(), utc("2027-06-01 21:00"), place(), LONG_AGO, 3, {"reminder-90", "reminder-0"})

    assert [step.key for step in steps] == ["reminder-30", "reminder-15", "reminder-7"]
    assert {step.revision for step in steps} == {3}


@given(
    zone=st.sampled_from(ZONES),
    quarters=st.integers(0, 5 * 365 * 24 * 4),
    before=st.timedeltas(timedelta(days=-5), timedelta(days=120)),
)
@steady
def test_no_step_is_ever_early_late_or_after_the_date(zone: str, quarters: int, before: timedelta) -> None:
    """Whatever the zone, the date and the moment of planning, the promises on the hour hold."""
    there, anchor = ZoneInfo(zone), utc("2026-01-01 00:00") + quarters * timedelta(minutes=15)
    made = anchor - before
    for step in steps_for(cadence(), anchor, place(zone), made, 1):
        local = step.due_at.astimezone(there)
        day = anchor.astimezone(there).date() - timedelta(days=int(step.key.removeprefix("reminder-")))
        if step.status is StepStatus.SKIPPED:
            assert step.due_at < made
            assert day < made.astimezone(there).date() or anchor - made < timedelta(hours=3)
            continue
        assert step.due_at >= made
        assert anchor - step.due_at >= timedelta(hours=3)
        assert local.date() == day or anchor - step.due_at == timedelta(hours=3)
        assert step.due_at == made or local.time() == time(9) or anchor - step.due_at == timedelta(hours=3)


def test_a_day_begins_where_the_instance_is() -> None:
    """A whole day as a moment is its midnight there; a moment stays what it is."""
    assert moment_of(date(2027, 3, 6), place("Asia/Tokyo")) == utc("2027-03-05 15:00")
    assert moment_of(utc("2027-03-06 21:00"), place("Asia/Tokyo")) == utc("2027-03-06 21:00")


def test_a_day_lies_behind_once_it_is_over_there() -> None:
    """A moment has passed when it has; a day when the next one has begun where the instance is."""
    day, tokyo = date(2027, 3, 6), place("Asia/Tokyo")

    assert not lies_behind(day, tokyo, utc("2027-03-06 14:59"))
    assert lies_behind(day, tokyo, utc("2027-03-06 15:00"))
    assert not lies_behind(utc("2027-03-06 15:00"), tokyo, utc("2027-03-06 15:00"))
    assert lies_behind(utc("2027-03-06 14:59"), tokyo, utc("2027-03-06 15:00"))


def test_a_place_is_an_instance_s_zone_and_calendar() -> None:
    """Zone and region come from the instance, hours and holidays from the catalogue."""
    instance = Instance.model_validate(
        {"instance": "tokyo", "region": "japan", "time_zone": "Asia/Tokyo", "admins": ["a@example.com"]}
    )

    found = place_of(shipped(), instance)

    assert (found.time_zone, found.region) == ("Asia/Tokyo", "japan")
    assert found.calendar.holidays == ("JP",)


# -- a cadence that changes ---------------------------------------------------------------------------


def test_the_digest_changes_with_what_decides_on_steps_alone() -> None:
    """Another distance, hour or type makes plans outdated; another word in a step, or a channel, does not."""
    first = of({"one": "-7d", "two": {"on": "scheduled"}})
    same = (
        of({"one": {"at": "-7d", "channels": ["mail"], "fields": {"body": "x"}, "late": "nearest"}}),
        of({"one": "-7d"}, title="Another"),
    )
    others = (
        of({"one": "-8d"}),
        of({"one": "-7d", "two": "-1d"}),
        of({"one": {"at": "-7d", "type": "other"}}),
        of({"one": "-7d"}, send_at="10:00"),
        of({"one": "-7d"}, ahead="PT4H"),
        of({"one": "-7d"}, anchor="start"),
    )

    assert {digest(one) for one in same} == {digest(first)}
    assert len({digest(one) for one in (first, *others)}) == len(others) + 1


def changed(steps: dict[str, Any], *, now: str = "2027-02-10 12:00", **more: Any) -> dict[str, PlannedStep]:
    """The steps of an update on 2027-03-06T21:00Z whose cadence became another, on 2027-02-10."""
    life = Life(now=utc("2026-11-01 08:00"))
    plan = life.begin(utc("2027-03-06 21:00"))
    told = tuple(
        replace(step, status=StepStatus.SENT, event="evt_9", settled_at=step.due_at)
        if step.due_at < utc("2027-02-10 12:00")
        else step
        for step in plan.steps
    )
    series = of(steps, **more)
    after = replanned(replace(plan, steps=told), series, place(), utc(now))
    assert after.cadence_digest == digest(series)
    assert (after.revision, after.anchor, after.state) == (plan.revision, plan.anchor, plan.state)
    return {step.key: step for step in after.steps}


STEPS = {f"reminder-{days}": {"at": f"-{days}d", "type": "update-reminder"} for days in (90, 30, 15, 7, 0)}


def test_a_changed_cadence_moves_what_is_pending_and_nothing_else() -> None:
    """What was sent stays; what waits is due by the new rules, and says when it would have been."""
    steps = changed(
        STEPS | {"reminder-90": {"at": "-80d"}, "reminder-7": {"at": "-5d", "type": "update-reminder"}}
    )

    assert steps["reminder-90"].status is StepStatus.SENT
    assert steps["reminder-90"].due_at == utc("2026-12-06 09:00")
    assert steps["reminder-7"].due_at == utc("2027-03-01 09:00")
    assert steps["reminder-7"].reason == "the cadence changed: it was due at 2027-02-27 09:00 +00:00"
    assert steps["reminder-15"].reason == ""


def test_a_step_that_a_cadence_has_no_more_is_superseded() -> None:
    """It is void and says why; one that was sent is history."""
    steps = changed({key: step for key, step in STEPS.items() if key not in {"reminder-15", "reminder-90"}})

    assert steps["reminder-15"].status is StepStatus.SUPERSEDED
    assert steps["reminder-15"].reason == "the cadence changed: it has no such step any more"
    assert steps["reminder-90"].status is StepStatus.SENT


def test_a_step_that_is_new_is_planned_unless_its_day_has_passed() -> None:
    """What comes in time is told; nobody is mailed at once because somebody added a step, asked or not."""
    steps = changed(STEPS | {"new": "-3d", "old": {"at": "-60d", "late": "nearest"}})

    assert steps["new"].due_at == utc("2027-03-03 09:00")
    assert steps["old"].status is StepStatus.SKIPPED
    assert steps["old"].reason == "its day, 2027-01-05, had passed when the cadence changed"


def test_what_is_due_already_goes_out_as_it_was_planned() -> None:
    """A worker that was away while the catalogue changed loses no step that it had missed."""
    steps = changed(STEPS | {"reminder-15": {"at": "-16d"}}, now="2027-02-19 10:00")

    assert steps["reminder-15"].status is StepStatus.PENDING
    assert steps["reminder-15"].due_at == utc("2027-02-19 09:00")
    assert steps["reminder-15"].type == "note"


def test_what_was_skipped_stays_skipped() -> None:
    """A step whose day had passed is not planned again, though its new day lies ahead."""
    plan = Life().begin(utc("2027-03-06 21:00"))
    series = of(STEPS | {"reminder-90": {"at": "-20d", "type": "update-reminder"}})

    after = replanned(plan, series, place(), utc("2027-01-10 08:00"))

    assert after.steps == plan.steps


def test_a_step_that_comes_back_is_pending_again() -> None:
    """A step that the cadence lost and has again is planned once more, in the same row."""
    plan = Life().begin(utc("2027-03-06 21:00"))
    fewer = of({key: step for key, step in STEPS.items() if key != "reminder-7"})

    without = replanned(plan, fewer, place(), utc("2027-01-10 08:00"))
    again = replanned(without, of(STEPS), place(), utc("2027-01-11 08:00"))

    assert [step.status for step in without.steps if step.key == "reminder-7"] == [StepStatus.SUPERSEDED]
    assert [step.status for step in again.steps if step.key == "reminder-7"] == [StepStatus.PENDING]
    assert len(again.steps) == len(plan.steps)


def test_a_cadence_that_did_not_change_changes_nothing() -> None:
    """To plan anew by the same cadence is harmless."""
    plan = Life().begin(utc("2027-03-06 21:00"))

    assert replanned(plan, cadence(), place(), utc("2027-01-10 08:00")).steps == plan.steps


# -- what a step says ---------------------------------------------------------------------------------


def test_a_step_says_what_the_plan_knows() -> None:
    """The event of a reminder has the date, the alternate, the version and whether it is approved."""
    life = Life()
    dates = [utc("2027-03-06 21:00"), utc("2027-03-13 21:00")]
    life.begin(dates[0], alternate_at=dates[1], offered_dates=dates, mandatory=False)
    plan = life.hear("approved").plan
    (step,) = (step for step in plan.steps if step.key == "reminder-7")

    assert due_fields(shipped(), plan, step) == {
        "update": "update-2027-1",
        "version": "10.0",
        "scheduled_at": dates[0].isoformat(),
        "alternate_at": dates[1].isoformat(),
        "offered_dates": [one.isoformat() for one in dates],
        "mandatory": False,
        "approved": True,
    }


def test_what_a_step_says_itself_counts_more() -> None:
    """The texts of a series stand in the cadence, and replace those of the event that began it."""
    life = Life(key="post-purchase")
    plan = life.hear(
        "scheduled",
        type_="post-purchase",
        product="Finance",
        purchase_date="2027-01-01",
        headline="Welcome",
        body="Good morning.",
    ).plan
    (step,) = (step for step in plan.steps if step.key == "month-1")

    said = due_fields(shipped(), plan, step)

    assert said["purchase_date"] == "2027-01-01"
    assert said["headline"] == cadence("post-purchase").steps["month-1"].fields["headline"]
    assert "approved" not in said
