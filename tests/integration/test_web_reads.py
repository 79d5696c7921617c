"""What became of events, read over HTTP; and how the service says that it is well."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from ledger_records import LEASE, SENT, expansion, people
from web_service import BATCH, STRUCTURED, Service, cloud_event, problems, service

from dispatcher.domain.delivery import Lane
from dispatcher.errors import ServiceUnreachable, SettingsInvalid
from dispatcher.flow.tokens import new_token
from dispatcher.ledger import Heartbeat, Recorded
from dispatcher.queue.embedded import EmbeddedValkey
from dispatcher.web.server import listen, serve

CLOSED = {"address": "mail.example:25", "circuit": "closed", "why": ""}
OPEN = CLOSED | {"circuit": "open", "since": "2026-03-01T12:03:00Z", "why": "refused"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path) as running:
        yield running


async def expand(api: Service, event: str, number: int) -> None:
    await api.app.ledger.expansions.store(event, expansion(people(number)))


async def test_shows_an_event(api: Service) -> None:
    """An event can be read where the answer to its post said."""
    posted = await api.post(cloud_event())
    answer = await api.http.get(posted.headers["location"])

    assert answer.status_code == 200
    assert answer.json()["id"] == posted.json()["event"]
    assert answer.json()["status"] == "accepted"
    assert answer.json()["instances"] == ["contoso-prod"]
    assert answer.json()["time"] == "2027-01-01T00:00:00Z"


@pytest.mark.parametrize("path", ["/v1/events/evt_none", "/v1/events/evt_none/deliveries", "/v1/events/%00"])
async def test_knows_no_other_event(api: Service, path: str) -> None:
    """What is not there is not found."""
    answer = await api.http.get(path)

    assert answer.status_code == 404
    assert problems(answer) == {}


async def test_leads_through_the_deliveries(api: Service) -> None:
    """Following `next` gives each delivery once, with reasons and attempts."""
    event = (await api.post(cloud_event())).json()["event"]
    await expand(api, event, 25)
    (claim,) = await api.app.ledger.claims.claim(Lane.NORMAL, 1, worker="w", lease=LEASE)
    await api.app.ledger.claims.record([Recorded(claim, SENT, None)])
    link: str | None = f"/v1/events/{event}/deliveries?limit=10"
    sizes, seen = [], []
    while link:
        page = (await api.http.get(link)).json()
        sizes.append(len(page["deliveries"]))
        seen += page["deliveries"]
        link = page["next"]

    assert sizes == [10, 10, 5]
    assert {one["address"] for one in seen} == set(people(25))
    assert all(one["reasons"][0]["role"] == "admins" for one in seen)
    assert sorted(one["status"] for one in seen) == ["queued"] * 24 + ["sent"]
    assert [try_["code"] for one in seen for try_ in one["attempts"]] == [250]


async def test_gives_a_hundred_deliveries_by_default(api: Service) -> None:
    """Without a limit a page has a hundred, and its header leads on."""
    event = (await api.post(cloud_event())).json()["event"]
    await expand(api, event, 101)
    answer = await api.http.get(f"/v1/events/{event}/deliveries")

    assert len(answer.json()["deliveries"]) == 100
    assert answer.headers["link"] == f'<{answer.json()["next"]}>; rel="next"'


@pytest.mark.parametrize("limit", ["0", "1001", "ten", "1e2"])
async def test_refuses_another_limit(api: Service, limit: str) -> None:
    """A limit that cannot be used is named."""
    answer = await api.http.get(f"/v1/events/evt_1/deliveries?limit={limit}")

    assert answer.status_code == 400
    assert list(problems(answer)) == ["limit"]


async def test_is_alive_without_a_token(api: Service) -> None:
    """Whoever watches the process needs no token."""
    answer = await api.http.get("/healthz", headers={"Authorization": ""})

    assert answer.status_code == 200
    assert answer.json() == {"status": "alive"}


async def test_is_ready_with_a_ledger_alone(api: Service) -> None:
    """Without Redis and worker events are still taken: ready, though degraded."""
    answer = await api.http.get("/readyz", headers={"Authorization": ""})

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "degraded",
        "ledger": "ok",
        "redis": "unreachable",
        "worker": "absent",
        "relay": "unknown",
        "oldest_due_seconds": None,
    }


async def test_is_ready_with_all_parts(tmp_path: Path) -> None:
    """With Redis and a worker that reported lately, all is well."""
    with EmbeddedValkey(tmp_path) as valkey:
        async with service(tmp_path, redis=valkey.url(tmp_path)) as api:
            now = api.app.clock()
            await api.app.ledger.workers.heartbeat(Heartbeat("w", "host", 1, "0", now, now, CLOSED))
            answer = await api.http.get("/readyz")
            await api.app.ledger.workers.heartbeat(Heartbeat("w", "host", 1, "0", now, now, OPEN))
            shut = await api.http.get("/readyz")
            await api.app.ledger.workers.heartbeat(Heartbeat("v", "host", 2, "0", now, now, CLOSED))
            other = await api.http.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "ledger": "ok",
        "redis": "ok",
        "worker": "ok",
        "relay": "ok",
        "oldest_due_seconds": None,
    }
    assert (shut.status_code, shut.json()["status"], shut.json()["relay"]) == (200, "degraded", "open")
    assert (other.json()["status"], other.json()["relay"]) == ("ready", "ok")


async def test_is_degraded_when_mail_waits_too_long(tmp_path: Path) -> None:
    """With all parts there, what is due must still be begun within a minute; nothing else is told."""
    with EmbeddedValkey(tmp_path) as valkey:
        async with service(tmp_path, redis=valkey.url(tmp_path)) as api:
            event = (await api.post(cloud_event())).json()["event"]
            await expand(api, event, 3)
            now = api.app.clock()
            await api.app.ledger.workers.heartbeat(Heartbeat("w", "host", 1, "0", now, now, CLOSED))
            young = (await api.http.get("/readyz")).json()
            database = api.app.ledger.database
            database.now = lambda: now + timedelta(seconds=61)
            await api.app.ledger.workers.heartbeat(
                Heartbeat("w", "host", 1, "0", now, database.now(), CLOSED)
            )
            old = (await api.http.get("/readyz")).json()

    assert (young["status"], young["oldest_due_seconds"]) == ("ready", 0)
    assert old["status"] == "degraded"
    assert old["oldest_due_seconds"] in {60, 61}


async def test_is_not_ready_without_a_ledger(api: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ledger nothing can be taken in."""

    async def away() -> None:
        raise ServiceUnreachable("database", "The database at /secret does not answer.")

    monkeypatch.setattr(api.app.ledger, "ping", away)
    answer = await api.http.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["ledger"] == "unreachable"
    assert answer.json()["status"] == "unavailable"


async def test_says_how_the_service_is(api: Service) -> None:
    """`GET /v1/status` tells what `dispatcher status --json` tells, to those who may read."""
    event = (await api.post(cloud_event())).json()["event"]
    await expand(api, event, 3)
    refused = await api.http.get("/v1/status", headers={"Authorization": ""})
    answer = await api.http.get("/v1/status")

    assert refused.status_code == 401
    assert answer.status_code == 200
    told = answer.json()
    assert told["well"] is False
    assert told["problems"][0].startswith("No worker is alive; 3 deliveries wait since ")
    assert told["lanes"]["normal"]["due"] == 3
    assert told["redis"]["reachable"] is False


async def test_cancels_an_event(api: Service) -> None:
    """What was not sent is stopped, the answer says how much that was, and asking again is harmless."""
    event = (await api.post(cloud_event())).json()["event"]
    await expand(api, event, 5)
    one, _ = await api.app.ledger.claims.claim(Lane.NORMAL, 2, worker="w", lease=LEASE)
    await api.app.ledger.claims.record([Recorded(one, SENT, None)])
    first = await api.http.post(f"/v1/events/{event}/cancel")
    again = await api.http.post(f"/v1/events/{event}/cancel")

    assert first.status_code == 200
    assert first.json() == {"event": event, "cancelled": 3, "sent": 1, "sending": 1}
    assert again.json() == first.json()
    assert (await api.http.get(f"/v1/events/{event}")).json()["cancelled_at"]


async def test_cancels_nothing_unknown(api: Service) -> None:
    """An event that is not there is not found; who may only read may not cancel."""
    unknown = await api.http.post("/v1/events/evt_none/cancel")
    text, sha256 = new_token(secrets.token_urlsafe)
    await api.app.ledger.tokens.add("reader", sha256, frozenset({"read"}))
    headers = {"Authorization": f"Bearer {text}"}
    refused = await api.http.post("/v1/events/evt_none/cancel", headers=headers)

    assert unknown.status_code == 404
    assert problems(unknown) == {}
    assert refused.status_code == 403


async def test_describes_itself(api: Service) -> None:
    """The description has the paths, the formats and the kind of token."""
    described = (await api.http.get("/openapi.json")).json()
    intake = described["paths"]["/v1/events"]["post"]

    assert set(intake["requestBody"]["content"]) == {STRUCTURED, BATCH, "application/json"}
    assert {"200", "404"} <= set(described["paths"]["/v1/events/{id}/cancel"]["post"]["responses"])
    assert "/v1/status" in described["paths"]
    assert {"202", "400", "401", "403", "409", "413", "415", "422", "503"} <= set(intake["responses"])
    assert described["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}


async def test_says_when_it_cannot_listen() -> None:
    """A port that is taken is refused with what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsInvalid, match=f"127.0.0.1:{port}: cannot be listened on") as error:
            await listen("127.0.0.1", port)

    assert error.value.problems[0].fix


async def test_listens_on_ipv6(api: Service) -> None:
    """The URL of an IPv6 address has its brackets."""
    stop, urls = asyncio.Event(), list[str]()

    def ready(url: str) -> None:
        urls.append(url)
        stop.set()

    await serve(api.app, await listen("::1", 0), stop, ready)

    assert urls[0].startswith("http://[::1]:")
