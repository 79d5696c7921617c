"""What is owed, as `status`, HTTP, the metrics and `dispatcher obligations` tell it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from clock import Clock
from program import dispatcher
from sqlalchemy.ext.asyncio import AsyncConnection
from web_service import NO_REDIS, Service, cloud_event, service

from dispatcher.domain.delivery import Lane
from dispatcher.domain.event import NewEvent, Selection
from dispatcher.domain.incident import Account, Says, Statement, account
from dispatcher.flow.owed import obligation_json
from dispatcher.flow.status import look, status_json
from dispatcher.flow.tokens import new_token
from dispatcher.ledger import Heartbeat, Ledger
from dispatcher.ledger.intake import Intake
from dispatcher.queue.bell import Bell
from dispatcher.settings import TokenEntry

MAJOR, REPORT = "major-service-incident", "post-incident-report"
CLOSED = {"address": "mail.example:25", "circuit": "closed", "why": ""}
#: One sample of Prometheus' text format.
SAMPLE = re.compile(r'dispatcher_[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9]+')


class Hourly:
    """An update is owed every hour."""

    cadence, step, owes, every = "major-incident", "next-update", MAJOR, timedelta(hours=1)

    def due(self, resolved_at: datetime, _: object) -> datetime:
        """Never asked."""
        return resolved_at


def rules(said: Any) -> Account:
    return account(said, [Hourly()])


async def opened(ledger: Ledger, clock: Clock, key: str, instances: int = 1) -> None:
    """Somebody says that there is an incident."""
    names = tuple(f"i{number}" for number in range(instances))
    chosen = Selection("instances", names)
    event = NewEvent("test", key, MAJOR, MAJOR, Lane.URGENT, chosen, key, {}, "f")

    async def keep(transaction: AsyncConnection, taken: Sequence[Intake]) -> None:
        said = [
            Statement(key, one.id, MAJOR, Says.OPEN, clock(), instances=one.event.selection.values)
            for one in taken
        ]
        await ledger.incidents.enter(transaction, said, rules)

    await ledger.events.add([event], observers=[keep])


@pytest.fixture
async def bell() -> AsyncIterator[Bell]:
    opened = Bell(NO_REDIS, token=secrets.token_hex)
    yield opened
    await opened.close()


async def alive(ledger: Ledger, clock: Clock) -> None:
    await ledger.workers.heartbeat(Heartbeat("w1", "host", 7, "0.1.0", clock(), clock(), CLOSED, 0))


class TestStatus:
    async def test_what_is_owed_is_no_trouble(self, ledger: Ledger, bell: Bell, clock: Clock) -> None:
        """It is told, with the incident; nothing needs attention for it."""
        await opened(ledger, clock, "INC-1", instances=3)
        await alive(ledger, clock)
        report = await look(ledger, bell)
        told = status_json(report)

        assert not any("overdue" in problem for problem in report.problems)
        assert told["incidents"] == [{"incident": "INC-1", "instances": 3}]
        assert told["obligations"] == {
            "owed": 1,
            "overdue": 0,
            "next_due_at": "2026-03-01T13:00:00Z",
            "oldest_overdue_at": None,
        }

    async def test_what_is_overdue_needs_somebody(self, ledger: Ledger, bell: Bell, clock: Clock) -> None:
        """The status says since when, and what to do; and that nobody was reminded."""
        await opened(ledger, clock, "INC-1")
        clock.advance(hours=2)
        await alive(ledger, clock)
        report = await look(ledger, bell)

        first, second, *_ = report.problems
        assert first == f"{MAJOR} is overdue since 13:00Z: send {MAJOR} with thread INC-1."
        assert second.startswith("Nobody was reminded of what is overdue. Name people under `owners`")
        assert status_json(report)["obligations"]["oldest_overdue_at"] == "2026-03-01T13:00:00Z"
        assert status_json(report)["well"] is False

    async def test_of_many_a_few_are_named(self, ledger: Ledger, bell: Bell, clock: Clock) -> None:
        """Whatever is wrong besides can still be seen."""
        for number in range(8):
            await opened(ledger, clock, f"INC-{number}")
        clock.advance(hours=1, seconds=30)
        await alive(ledger, clock)
        told = [problem for problem in (await look(ledger, bell)).problems if "overdue" in problem]

        assert len(told) == 6
        assert told[-1] == "3 more are overdue. `dispatcher obligations` lists them."

    async def test_an_obligation_as_json(self, ledger: Ledger, clock: Clock) -> None:
        """It says of which incident, by when, how late, and what to do."""
        await opened(ledger, clock, "INC-1")
        clock.advance(minutes=90)
        [one] = await ledger.obligations.owed()
        told = obligation_json(one, clock())

        assert json.loads(json.dumps(told)) == told
        assert (told["incident"], told["owes"], told["status"]) == ("INC-1", MAJOR, "overdue")
        assert (told["due_at"], told["overdue_seconds"]) == ("2026-03-01T13:00:00Z", 1800)
        assert told["to_do"] == f"send {MAJOR} with thread INC-1"
        assert [late.id for late in await ledger.obligations.overdue()] == [one.id]


READ, READ_SHA256 = new_token(secrets.token_urlsafe)
SEND, SEND_SHA256 = new_token(secrets.token_urlsafe)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Service]:
    tokens = (
        TokenEntry("reader", frozenset({"read"}), READ_SHA256),
        TokenEntry("sender", frozenset({"send"}), SEND_SHA256),
    )
    async with service(tmp_path, tokens=tokens) as running:
        yield running


async def get(api: Service, path: str, token: str) -> httpx.Response:
    return await api.http.get(path, headers={"Authorization": f"Bearer {token}"})


async def incident(api: Service, **fields: Any) -> None:
    """Somebody posts that there is an incident since two hours."""
    now = datetime.now(UTC)
    said = {
        "incident": "INC-1",
        "summary": "No sign-in",
        "status": "investigating",
        "started_at": (now - timedelta(hours=3)).isoformat(),
    }
    event = cloud_event(
        "1",
        type=MAJOR,
        time=(now - timedelta(hours=2)).isoformat(),
        data={"instances": ["contoso-prod"], "thread": "INC-1", "fields": said | fields},
    )
    answer = await api.post(event, Authorization=f"Bearer {SEND}")
    assert answer.status_code == 202, answer.text


class TestHttp:
    async def test_what_is_owed_can_be_read(self, api: Service) -> None:
        """What is late comes with how late it is; of an incident, all that ever was owed."""
        await incident(api)
        [one] = (await get(api, "/v1/obligations", READ)).json()["obligations"]

        assert (one["incident"], one["status"], one["owes"]) == ("INC-1", "overdue", MAJOR)
        assert 3590 < one["overdue_seconds"] < 3700
        same = (await get(api, "/v1/obligations?incident=INC-1", READ)).json()["obligations"]
        assert [known["id"] for known in same] == [one["id"]]
        assert (await get(api, "/v1/obligations?incident=INC-2", READ)).status_code == 404
        assert (await get(api, "/v1/obligations", SEND)).status_code == 403

    async def test_metrics_are_as_prometheus_wants_them(self, api: Service) -> None:
        """Each metric has a help, a type and samples; what is overdue is among them."""
        await incident(api)
        answer = await get(api, "/metrics", READ)
        lines = answer.text.splitlines()

        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.text.endswith("\n")
        samples = [line for line in lines if not line.startswith("#")]
        assert all(SAMPLE.fullmatch(line) for line in samples)
        helps = [line.split()[2] for line in lines if line.startswith("# HELP ")]
        types = [line.split()[2:] for line in lines if line.startswith("# TYPE ")]
        assert types == [[name, "gauge"] for name in helps]
        assert len(set(helps)) == len(helps)
        assert {re.split(r"[{ ]", line)[0] for line in samples} <= set(helps)
        assert f'dispatcher_obligations_overdue{{type="{MAJOR}"}} 1' in samples
        assert "dispatcher_incidents_open 1" in samples
        assert 'dispatcher_deliveries_due{lane="urgent"} 0' in samples

    @pytest.mark.parametrize(
        ("token", "status"), [(SEND, 403), ("dsp_" + "x" * 43, 401)], ids=["lacks-the-scope", "unknown"]
    )
    async def test_metrics_need_a_token(self, api: Service, token: str, status: int) -> None:
        """They tell of incidents, so they are for those who may read."""
        assert (await get(api, "/metrics", token)).status_code == status

    async def test_the_command_tells_the_same(self, api: Service) -> None:
        """`dispatcher obligations` shows what is owed, by when, how late and what to do."""
        await incident(api)
        settings = {"DISPATCHER_DATABASE_URL": api.app.settings.database_url.reveal()}
        root = api.app.settings.root
        shown = dispatcher(root, "obligations", **settings)
        told = dispatcher(root, "obligations", "--json", **settings)
        lost = dispatcher(root, "obligations", "--incident", "INC-2", **settings)

        assert shown.code == 0
        assert re.search(rf"INC-1 +{MAJOR} +\S+ \S+Z +overdue by 1 h( \d+ (min|s))? +send {MAJOR}", shown.out)
        assert [one["status"] for one in json.loads(told.out)] == ["overdue"]
        assert (lost.code, "There is no incident 'INC-2'" in lost.err) == (2, True)
        status = dispatcher(root, "status", **settings)
        assert status.code == 1
        assert f"{MAJOR} is overdue since" in status.out
        assert "Open incidents: INC-1; 1 instance affected" in status.out
