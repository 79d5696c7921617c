"""A simulation of many instances over a year and more says what the slow reference says."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference_policy import STAGES, Said
from simulated import Line, expected, of_program, store_of, told_apart
from update_lives import BEGIN, DAYS, ZONES, happening, instances, life

from dispatcher.domain.catalogue import Catalogue
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.foresight.outlook import Fate, Period, Row
from dispatcher.flow.foresight.rules import Rules
from dispatcher.flow.foresight.simulate import Simulation
from dispatcher.flow.foresight.start import rules_of

ROOT = Path(__file__).resolve().parents[2]
COUNT = 1000
LONG = Period(date(2020, 1, 1), BEGIN + timedelta(days=2 * DAYS))
BERLIN = ZoneInfo("Europe/Berlin")
ONE = {
    "instance": "one",
    "time_zone": "Europe/Berlin",
    "admins": ["admin@a.example"],
    "recipients": [{"address": "ops@a.example", "until": date(2027, 9, 1)}],
    "users": ["everybody@a.example"],
}
TURNS = (
    *("scheduled", "approved", "rescheduled", "rescheduled", "fallback"),
    *("in-progress", "succeeded", "cancelled", "compatibility"),
)
DATES = tuple(datetime(2027, month, 5, 3, 30, tzinfo=BERLIN) for month in range(8, 13))


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The shipped catalogue."""
    return load_catalogue(ROOT / "catalogue.yaml")


@pytest.fixture(scope="module")
def one(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """The shipped rules for one instance."""
    return rules_of(catalogue, store_of(tmp_path_factory.mktemp("one"), catalogue, [ONE]))


@pytest.fixture(scope="module")
def everywhere(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> RecipientStore:
    """An instance in every zone."""
    people = [
        {"instance": zone.replace("/", "."), "time_zone": zone, "admins": ["a@a.example"]} for zone in ZONES
    ]
    return store_of(tmp_path_factory.mktemp("everywhere"), catalogue, people)


def test_a_thousand_instances_over_400_days_are_told_what_the_reference_says(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    """Every mail, every skipped reminder and every refusal, with its moment and its people."""
    rng = random.Random(6)
    people = list(instances(rng, COUNT))
    lives = {one["instance"]: life(rng, one["instance"], one["time_zone"]) for one in people}
    simulation = Simulation(rules_of(catalogue, store_of(tmp_path, catalogue, people)))
    events = [happening(said, name) for name, saids in lives.items() for said in saids]

    rows = simulation.run(events, LONG)

    found: dict[str, Counter[Line]] = {name: Counter() for name in lives}
    for row in rows:
        found[row.instance][of_program(row, catalogue)] += 1
    faults = []
    for one in people:
        name = one["instance"]
        wanted = expected(one, lives[name], LONG.ends)
        if wanted != found[name]:
            faults.append(told_apart(one, lives[name], wanted, found[name]))
    assert not faults, f"{len(faults)} of {COUNT} differ:\n" + "\n".join(faults[:4])
    statuses = Counter(row.status for row in rows)
    assert min(statuses[fate] for fate in (Fate.WOULD_SEND, Fate.SKIPPED, Fate.REFUSED)) > 300
    assert statuses[Fate.RECORDED] > 50


@st.composite
def lives(draw: st.DrawFn) -> list[Said]:
    """Statements whose times are anything, in the order in which they arrive; some arrive twice."""
    turns = draw(st.lists(st.sampled_from(TURNS), max_size=7))
    arrival, said = datetime(2027, 6, 1, 7, 1, tzinfo=UTC), []
    for number, turn in enumerate(turns):
        arrival += timedelta(hours=draw(st.integers(1, 24 * 40)))
        time = arrival - timedelta(hours=draw(st.sampled_from([0, 0, 0, 30, 500, 2000])))
        dates = draw(st.permutations(DATES))
        kind = Said(f"{number}", turn, arrival, time)
        if turn in {"scheduled", "rescheduled"}:
            kind.scheduled_at, kind.alternate_at = dates[0], draw(st.sampled_from([None, dates[1]]))
        if turn == "scheduled":
            kind.offered = tuple(sorted(dates[: draw(st.sampled_from([0, 2, 4]))]))
        if turn == "rescheduled":
            kind.by = draw(st.sampled_from(["admin", "vendor", None]))
        if turn == "in-progress":
            kind.stage = draw(st.sampled_from([None, *STAGES]))
        said.append(kind)
        for _ in range(draw(st.integers(0, 1))):
            again = draw(st.sampled_from(said))
            arrival += timedelta(hours=1)
            said.append(replace(again, arrives=arrival))
    return said


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said=lives())
def test_late_twice_and_out_of_order_events_come_to_what_the_reference_says(
    one: Rules, catalogue: Catalogue, said: list[Said]
) -> None:
    """Whatever the order in which words arrive, each counts as the rules say and no more than once."""
    rows = Simulation(one).run([happening(each, "one") for each in said], LONG)

    found = Counter(of_program(row, catalogue) for row in rows)
    wanted = expected(ONE, said, LONG.ends)
    assert found == wanted, told_apart(ONE, said, wanted, found)


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(4)))
def test_the_newest_word_on_the_date_holds_in_any_order(one: Rules, order: list[int]) -> None:
    """Of several dates that the vendor gives, the one said last counts, however they arrive."""
    arrival = datetime(2027, 6, 10, 9, tzinfo=UTC)
    said = [
        Said(
            str(number), "rescheduled", arrival + timedelta(hours=place), arrival - timedelta(days=9 - number)
        )
        for place, number in enumerate(order)
    ]
    for each in said:
        each.by, each.scheduled_at = "vendor", DATES[int(each.id)]
    simulation = Simulation(one)

    simulation.run([happening(each, "one") for each in said], LONG)

    (plan,) = simulation.plans.values()
    assert plan.anchor == DATES[3]


def reminders(
    catalogue: Catalogue, store: RecipientStore, zone: str, anchor: datetime, made: datetime
) -> list[Row]:
    """What of an update is told between its scheduling and its date at the instance of a zone."""
    name = zone.replace("/", ".")
    said = Said("1", "scheduled", made, made, scheduled_at=anchor)
    rows = Simulation(rules_of(catalogue, store)).run([happening(said, name)], LONG)
    return [row for row in rows if row.type == "update-reminder" and row.status is Fate.WOULD_SEND]


@pytest.mark.parametrize("zone", ZONES)
def test_reminders_come_at_nine_by_the_clock_there_all_year(
    catalogue: Catalogue, everywhere: RecipientStore, zone: str
) -> None:
    """From UTC-11 to UTC+14, through both changes of the clock, over new year and a leap day."""
    for month in range(1, 13):
        anchor = datetime(2028, month, 28, 20, tzinfo=ZoneInfo(zone))
        made = anchor.astimezone(UTC) - timedelta(days=100)

        rows = reminders(catalogue, everywhere, zone, anchor, made)

        days = [anchor.date() - timedelta(days=number) for number in (90, 30, 15, 7, 0)]
        assert [(row.at.date(), f"{row.at:%H:%M}") for row in rows] == [(day, "09:00") for day in days]


def test_the_reminder_of_a_leap_day_comes_on_it(catalogue: Catalogue, everywhere: RecipientStore) -> None:
    """30 days before 30 March 2028 is 29 February."""
    anchor = datetime(2028, 3, 30, 20, tzinfo=BERLIN)

    rows = reminders(catalogue, everywhere, "Europe/Berlin", anchor, anchor - timedelta(days=80))

    assert rows[0].at.isoformat() == "2028-02-29T09:00:00+01:00"


@pytest.mark.parametrize(
    ("hour", "told"),
    [
        ("05:00", "2028-03-26T01:00:00+01:00"),
        ("02:30", "2028-03-25T23:30:00+01:00"),
        ("20:00", "2028-03-26T09:00:00+02:00"),
    ],
)
def test_the_last_reminder_keeps_three_real_hours_before_the_thing(
    catalogue: Catalogue, everywhere: RecipientStore, hour: str, told: str
) -> None:
    """Where the clock leaps meanwhile, three hours are three hours; at 20:00 nine o'clock is early enough."""
    anchor = datetime.fromisoformat(f"2028-03-26T{hour}").replace(tzinfo=BERLIN)

    rows = reminders(catalogue, everywhere, "Europe/Berlin", anchor, anchor - timedelta(days=10))

    assert rows[-1].at.isoformat() == told
