from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from domain_examples import shipped

from dispatcher.domain.instance import Instance
from dispatcher.domain.notice import ALERT_LASTS, Notice, Told, alerts_among, notices_of

NOW = datetime(2027, 1, 4, 12, 0, tzinfo=UTC)
PLACE = Instance.model_validate({"instance": "contoso-prod", "admins": ["ada@contoso.example"]})
DATE = "2027-03-06T21:00+00:00"


def told(type_: str, ago: float = 0, **more: Any) -> list[Notice]:
    """The notices of an event of an update that came so many days ago."""
    fields = {"update": "u1", "scheduled_at": DATE} | more.pop("fields", {})
    event = Told(
        f"evt_{type_}_{ago}", type_, more.get("channels"), more.get("thread"), fields, NOW - timedelta(ago)
    )
    return notices_of(shipped(), event, [PLACE], {})


def shown(*notices: list[Notice], now: datetime = NOW) -> list[str]:
    """The types of the alerts among notices, newest first."""
    found = sorted((one for some in notices for one in some), key=lambda one: one.shown_at, reverse=True)
    return [one.type for one in alerts_among(found, now)]


def test_a_notice_says_where_it_is_shown() -> None:
    """The type's channels, or those of the plan's step."""
    [scheduled] = told("update-scheduled")
    [reminder] = told("update-reminder", channels=("mail", "admin-centre", "in-product"))
    [plain] = told("update-reminder")

    assert (scheduled.admin_centre, scheduled.in_product) == (True, True)
    assert (reminder.admin_centre, reminder.in_product) == (True, True)
    assert (plain.admin_centre, plain.in_product) == (True, False)
    assert told("update-reminder", channels=("mail",)) == []
    assert told("security-update") == []


def test_an_alert_lasts_until_its_date() -> None:
    """From then on it says nothing that matters."""
    assert shown(told("update-scheduled", 30)) == ["update-scheduled"]
    assert shown(told("update-scheduled", 30), now=datetime.fromisoformat(DATE)) == []


def test_an_alert_without_a_date_lasts_three_days() -> None:
    """News of an incident is stale after that."""
    incident = {"incident": "INC-1", "summary": "x", "status": "investigating", "started_at": DATE}
    news = told("major-service-incident", thread="INC-1", fields=incident)

    assert shown(news) == ["major-service-incident"]
    assert shown(news, now=NOW + ALERT_LASTS) == []


def test_what_moves_the_date_takes_the_alert_away() -> None:
    """A date that holds no more is not shown for a second longer."""
    first = told("update-scheduled", 30)
    for later in (
        "update-rescheduled",
        "update-fallback",
        "update-in-progress",
        "update-succeeded",
        "update-cancelled",
    ):
        assert shown(first, told(later, 1)) == []


def test_what_leaves_the_date_leaves_the_alert() -> None:
    """An approval, a finding and a reminder by mail do not end it; a newer alert takes its place."""
    first = told("update-scheduled", 30)
    week = told("update-reminder", 7, channels=("mail", "admin-centre", "in-product"))

    for later in ("update-confirmed", "update-compatibility", "update-reminder"):
        assert shown(first, told(later, 1)) == ["update-scheduled"]
    assert shown(first, week) == ["update-reminder"]


def test_subjects_do_not_meet() -> None:
    """Another update, or an incident, says nothing of this one."""
    other = told("update-succeeded", 1, fields={"update": "u2"})

    assert shown(told("update-scheduled", 30), other) == ["update-scheduled"]
