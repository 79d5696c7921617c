"""Plans over HTTP: what lies ahead, and turns that a caller wants them to take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from web_service import Service, problems, service

NOW = datetime.now(UTC).replace(microsecond=0, second=0)
DATES = [(NOW + timedelta(days=days)).isoformat() for days in (120, 134, 148)]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path) as running:
        yield running


async def announce(api: Service, update: str = "u1", **fields: Any) -> dict[str, Any]:
    """An update is announced; its plan, as the list has it."""
    said = {"update": update, "version": "10.0", "scheduled_at": DATES[0], "offered_dates": DATES, **fields}
    event = {
        "specversion": "1.0",
        "id": f"announce-{update}",
        "source": "/updates",
        "type": "update-scheduled",
        "data": {"instances": ["contoso-prod"], "fields": said},
    }
    assert (await api.post(event)).status_code == 202
    found = (await api.http.get("/v1/plans", params={"about": update})).json()["plans"]
    plan: dict[str, Any] = found[0]
    return plan


def moment(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat().replace("+00:00", "Z")


async def test_shows_a_plan_with_its_steps_and_turns(api: Service) -> None:
    """Where it stands, its date, each step, what is told next, and how it came to that."""
    listed = await announce(api)
    shown = (await api.http.get(f"/v1/plans/{listed['id']}")).json()

    assert {key: shown[key] for key in listed} == listed
    assert (shown["cadence"], shown["subject"], shown["instance"]) == ("major-update", "u1", "contoso-prod")
    assert (shown["state"], shown["mandatory"], shown["revision"]) == ("scheduled", False, 1)
    assert shown["date"] == moment(DATES[0])
    assert [step["step"] for step in shown["steps"]] == [
        "reminder-90",
        "reminder-30",
        "reminder-15",
        "reminder-7",
        "reminder-0",
    ]
    assert shown["next"] == shown["steps"][0]
    assert [(move["turn"], move["from"], move["to"]) for move in shown["moves"]] == [
        ("scheduled", None, moment(DATES[0]))
    ]


async def test_blanks_around_its_name_make_no_other_plan(api: Service) -> None:
    """Nor do other characters that nobody sees; what the name holds within counts."""
    await announce(api, "u1")
    event = {"specversion": "1.0", "id": "1", "source": "/updates", "type": "update-confirmed"}
    said = {"instances": ["contoso-prod"], "fields": {"update": " u1\u000b\n"}}
    assert (await api.post(event | {"data": said})).status_code == 202
    [plan] = (await api.http.get("/v1/plans")).json()["plans"]

    assert (plan["subject"], plan["state"]) == ("u1", "approved")


async def test_leads_through_the_plans(api: Service) -> None:
    """Following `next` gives each plan once, the newest first; a filter stays on the way."""
    for number in range(5):
        await announce(api, f"u{number}")
    link: str | None = "/v1/plans?limit=2&state=scheduled&instance=contoso-prod"
    seen: list[str] = []
    while link:
        answer = await api.http.get(link)
        assert answer.status_code == 200
        seen += [plan["subject"] for plan in answer.json()["plans"]]
        link = answer.json()["next"]

    assert seen == ["u4", "u3", "u2", "u1", "u0"]
    assert (await api.http.get("/v1/plans?state=approved")).json() == {"plans": [], "next": None}


async def test_approves_once(api: Service) -> None:
    """The date is approved; a second time is refused with the reason; a repeat by its key is not."""
    plan = await announce(api)
    path, key = f"/v1/plans/{plan['id']}/approve", {"Idempotency-Key": "click-1"}
    first = await api.http.post(path, headers=key)
    again = await api.http.post(path, headers=key)
    other = await api.http.post(path)

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["plan"]["state"] == "approved"
    assert first.json()["event"]["type"] == "update-confirmed"
    assert other.status_code == 422
    assert "is approved already" in problems(other)["instances"]
    clash = await api.http.post(path, headers=key, json={"version": "11.0"})
    assert clash.status_code == 409


async def test_moves_to_an_offered_date(api: Service) -> None:
    """What was pending is superseded with the reason; another date is refused, unless the vendor moves it."""
    plan = await announce(api)
    path = f"/v1/plans/{plan['id']}/reschedule"
    moved = await api.http.post(path, json={"scheduled_at": DATES[1], "rescheduled_by": "admin"})
    after = moved.json()["plan"]

    assert moved.status_code == 200
    assert (after["state"], after["revision"], after["date"]) == ("approved", 2, moment(DATES[1]))
    assert {step["status"] for step in after["steps"] if step["revision"] == 1} == {"superseded"}
    far = {"scheduled_at": (NOW + timedelta(days=200)).isoformat()}
    refused = await api.http.post(path, json=far)
    assert refused.status_code == 422
    assert "is not among the dates that are offered" in problems(refused)["instances"]
    assert (await api.http.post(path, json=far | {"rescheduled_by": "vendor"})).status_code == 200


async def test_cancels(api: Service) -> None:
    """Nothing is pending any more; to cancel again is refused."""
    plan = await announce(api)
    path = f"/v1/plans/{plan['id']}/cancel"
    after = (await api.http.post(path)).json()["plan"]

    assert (after["state"], after["next"]) == ("cancelled", None)
    assert {step["status"] for step in after["steps"]} == {"cancelled"}
    assert (await api.http.post(path)).status_code == 422


async def test_a_cancellation_that_takes_itself_back_is_refused(api: Service) -> None:
    """The event ends the plan whatever it says, so it may not say that nothing is cancelled."""
    plan = await announce(api)
    path = f"/v1/plans/{plan['id']}/cancel"
    refused = await api.http.post(path, json={"cancelled": False})

    assert refused.status_code == 422
    assert "is false, and the event says that it will not take place" in problems(refused)["fields.cancelled"]
    assert (await api.http.get(f"/v1/plans/{plan['id']}")).json()["state"] == "scheduled"
    assert (await api.http.post(path, json={"cancelled": True})).json()["plan"]["state"] == "cancelled"


@pytest.mark.parametrize("turn", ["approve", "reschedule", "cancel"])
async def test_the_path_names_the_plan(api: Service, turn: str) -> None:
    """A body that names another subject is refused; the same one, or none, is what the path says."""
    plan, other = await announce(api), await announce(api, "u2")
    path, dates = f"/v1/plans/{plan['id']}/{turn}", {"scheduled_at": DATES[1]}
    said = dates if turn == "reschedule" else {}
    for value in ("u2", "", 1, ["u1"]):
        refused = await api.http.post(path, json=said | {"update": value})

        assert refused.status_code == 422
        assert "and the plan is about u1" in problems(refused)["fields.update"]
    for one in (plan, other):
        assert (await api.http.get(f"/v1/plans/{one['id']}")).json()["updated_at"] == one["updated_at"]
    named = {"approve": "u1"}.get(turn)
    assert (await api.http.post(path, json=said | {"update": named})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/plans/pln_none", None, 404),
        ("POST", "/v1/plans/pln_none/approve", None, 404),
        ("GET", "/v1/plans?state=nowhere", None, 400),
        ("GET", "/v1/plans?stat=approved", None, 400),
        ("POST", "/v1/plans/pln_none/cancel", b"[1]", 400),
        ("POST", "/v1/plans/pln_none/cancel", b"{", 400),
    ],
)
async def test_refuses(api: Service, method: str, path: str, body: bytes | None, status: int) -> None:
    """What is not there, a parameter that is none, a body that is no object."""
    assert (await api.http.request(method, path, content=body)).status_code == status


@pytest.mark.parametrize(
    "source", ["dispatcher:plans", "Dispatcher:x", "DISPATCHER:decisions", "dispatcher:"]
)
async def test_nobody_speaks_in_our_name(api: Service, source: str) -> None:
    """An event whose source begins like our own is refused, in whichever case."""
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": source,
        "type": "general-awareness",
        "data": {"instances": ["contoso-prod"], "fields": {"headline": "x", "body": "y"}},
    }
    answer = await api.post(event)

    assert answer.status_code == 422
    assert "which is ours" in problems(answer)["source"]
