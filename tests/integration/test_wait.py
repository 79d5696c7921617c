"""`send --wait` while the SMTP server takes nothing, without the minutes that a real outage takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ledger_records import expansion, people
from web_service import Service, cloud_event, service

from dispatcher.cli import wait
from dispatcher.cli.wait import wait_for
from dispatcher.ledger import Heartbeat

CLOSED = {"address": "mail.example:25", "circuit": "closed", "why": ""}
OPEN = CLOSED | {"circuit": "half-open", "since": "2026-03-01T12:03:00Z", "why": "refused"}
SAYS = "The SMTP server mail.example:25 takes nothing since 2026-03-01 12:03Z: refused"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path) as running:
        yield running


async def waiting(api: Service, relay: dict[str, str]) -> str:
    """An event with two deliveries that wait, and a worker whose server is like that."""
    event = str((await api.post(cloud_event())).json()["event"])
    await api.app.ledger.expansions.store(event, expansion(people(2)))
    now = api.app.clock()
    await api.app.ledger.workers.heartbeat(Heartbeat("w1", "host", 1, "0", now, now, relay))
    return event


async def test_gives_up_on_a_server_that_takes_nothing(
    api: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said once, with address and cause; after a while nobody is kept waiting any more."""
    monkeypatch.setattr(wait, "RELAY_SECONDS", 0.3)
    monkeypatch.setattr(wait, "RELAY_POLL_SECONDS", 0.1)
    event = await waiting(api, OPEN)
    waited = await wait_for(api.app, event, 60, quiet=True)

    assert (waited.done, waited.unreachable) == (False, True)
    assert waited.why == f"{SAYS}. 2 deliveries wait and go out once it does"
    assert capsys.readouterr().err.count(SAYS) == 1


async def test_says_why_when_the_time_is_up(api: Service) -> None:
    """The server is named as well if the user's own patience is shorter."""
    event = await waiting(api, OPEN)
    waited = await wait_for(api.app, event, 0, quiet=True)

    assert waited.unreachable
    assert waited.why == f"{SAYS}. What is left goes out once it does"


async def test_waits_on_while_the_server_works(api: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """A closed circuit is no news."""
    event = await waiting(api, CLOSED)
    waited = await wait_for(api.app, event, 0.3, quiet=True)

    assert not waited.unreachable
    assert waited.why == "2 deliveries are still on their way"
    assert capsys.readouterr().err == ""
