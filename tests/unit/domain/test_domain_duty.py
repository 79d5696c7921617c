"""When what is owed for an incident is late, and when somebody is reminded of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from domain_examples import shipped

from dispatcher.domain.cadence import Cadence
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.duty import AGAIN, MOST_REMINDERS, duties, is_update, next_reminder, owed_types
from dispatcher.domain.incident import Obligation
from dispatcher.domain.instance import Instance

MAJOR, REPORT = "major-service-incident", "post-incident-report"
PLACES = {
    name: Instance.model_validate({"instance": name, "admins": ["a@x.example"], **more})
    for name, more in {
        "tokyo": {"region": "japan", "time_zone": "Asia/Tokyo"},
        "seattle": {"region": "americas", "time_zone": "America/Los_Angeles"},
        "nowhere": {},
    }.items()
}
#: A Wednesday; Thursday the 26th is Thanksgiving.
OVER = datetime(2026, 11, 25, 12, tzinfo=UTC)


def due(*names: str, catalogue: Catalogue | None = None, over: datetime = OVER) -> datetime:
    """When the report is late."""
    [report] = [one for one in duties(catalogue or shipped(), MAJOR, PLACES.get) if one.every is None]
    return report.due(over, names)


def report_at(at: str) -> Catalogue:
    """A catalogue whose report is owed at that distance."""
    cadence = shipped().cadences[REPORT]
    step = cadence.steps["report"].model_copy(update={"at": at})
    changed = cadence.model_copy(update={"steps": {"report": step}})
    return shipped().model_copy(update={"cadences": {REPORT: changed}})


def test_the_shipped_cadences_owe_updates_and_a_report() -> None:
    """Every hour while it lasts, and five business days after it."""
    found = {one.owes: one.every for one in duties(shipped(), MAJOR, PLACES.get)}

    assert found == {MAJOR: timedelta(hours=1), REPORT: None}
    assert owed_types(shipped()) == {MAJOR, REPORT}


@pytest.mark.parametrize(
    ("names", "moment"),
    [
        (("tokyo",), datetime(2026, 12, 2, 8, 30, tzinfo=UTC)),
        (("seattle",), datetime(2026, 12, 4, 2, tzinfo=UTC)),  # a day later, for Thanksgiving is none
        (("seattle", "tokyo"), datetime(2026, 12, 2, 8, 30, tzinfo=UTC)),
        (("nowhere",), datetime(2026, 12, 2, 17, tzinfo=UTC)),
        (("left-the-lists",), datetime(2026, 12, 2, 17, tzinfo=UTC)),
        ((), datetime(2026, 12, 2, 17, tzinfo=UTC)),
    ],
)
def test_the_report_is_due_where_the_fifth_day_ends_first(names: tuple[str, ...], moment: datetime) -> None:
    """By the hours and holidays of each region; without one, Monday to Friday where the instance is."""
    assert due(*names) == moment


@pytest.mark.parametrize(
    ("at", "moment"),
    [
        ("+3d", datetime(2026, 11, 28, 17, tzinfo=UTC)),
        ("+1w", datetime(2026, 12, 2, 17, tzinfo=UTC)),
        ("+36h", datetime(2026, 11, 27, 0, tzinfo=UTC)),
    ],
)
def test_other_distances(at: str, moment: datetime) -> None:
    """Calendar days end with the day's work, hours are hours."""
    assert due("nowhere", catalogue=report_at(at)) == moment


def test_a_cadence_of_other_incidents_owes_nothing_here() -> None:
    """Where updates of one type are owed, an incident of another type owes none."""
    found = duties(shipped(), "regional-incident", PLACES.get)

    assert [one.owes for one in found] == [REPORT]


def obligation(cadence: str, step: str, owes: str) -> Obligation:
    return Obligation(cadence, step, owes, "INC-1", "evt_1", OVER, OVER + timedelta(hours=1))


UPDATE = obligation("major-incident", "next-update", MAJOR)
THE_REPORT = obligation(REPORT, "report", REPORT)


def reminder(one: Obligation, *names: str) -> datetime | None:
    return next_reminder(one, shipped(), [PLACES[name] for name in names])


class TestReminders:
    @pytest.mark.parametrize("one", [UPDATE, THE_REPORT])
    def test_the_first_comes_when_it_is_late(self, one: Obligation) -> None:
        """Whatever it is that is owed."""
        assert reminder(one, "tokyo") == one.due_at

    def test_an_update_again_after_hours(self) -> None:
        """By day and night."""
        assert reminder(replace(UPDATE, reminders=1, reminded_at=OVER)) == OVER + AGAIN

    @pytest.mark.parametrize(
        ("names", "moment"),
        [
            (("tokyo",), datetime(2026, 11, 26, 0, tzinfo=UTC)),
            (("seattle",), datetime(2026, 11, 27, 14, tzinfo=UTC)),
            (("seattle", "nowhere"), datetime(2026, 11, 26, 9, tzinfo=UTC)),
            ((), datetime(2026, 11, 26, 9, tzinfo=UTC)),
        ],
    )
    def test_a_report_again_on_the_next_business_day(self, names: tuple[str, ...], moment: datetime) -> None:
        """Where work begins first."""
        assert reminder(replace(THE_REPORT, reminders=1, reminded_at=OVER), *names) == moment

    @pytest.mark.parametrize(
        "one",
        [
            replace(UPDATE, reminders=MOST_REMINDERS, reminded_at=OVER),
            replace(UPDATE, met_at=OVER, met_by="evt_2"),
            replace(UPDATE, ended="the incident was resolved"),
        ],
    )
    def test_not_for_ever(self, one: Obligation) -> None:
        """Ten times are enough, and what is settled is not spoken of."""
        assert reminder(one) is None

    def test_what_left_the_catalogue_is_no_update(self) -> None:
        """An obligation outlives its cadence; it is then reminded of like a report."""
        gone = replace(UPDATE, cadence="gone", reminders=1, reminded_at=OVER)

        assert not is_update(gone, shipped())
        assert reminder(gone) == datetime(2026, 11, 26, 9, tzinfo=UTC)


def test_plans_owe_nothing() -> None:
    """Cadences that follow an instance make plans, not obligations."""
    plans = {key: one for key, one in shipped().cadences.items() if one.follows == "instance"}
    assert all(isinstance(one, Cadence) for one in plans.values())
    assert owed_types(shipped().model_copy(update={"cadences": plans})) == frozenset()
