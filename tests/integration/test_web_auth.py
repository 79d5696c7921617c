"""Who may use the HTTP interface."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest
from web_service import STRUCTURED, Service, cloud_event, problems, service

from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.tokens import new_token
from dispatcher.settings import TokenEntry


async def post(api: Service, authorization: str | None) -> httpx.Response:
    """Post an event with that header, or none."""
    headers = {"Content-Type": STRUCTURED} | ({"Authorization": authorization} if authorization else {})
    async with httpx.AsyncClient(base_url=api.url) as http:
        return await http.post("/v1/events", json=cloud_event(), headers=headers)


async def ledger_token(api: Service, name: str, scopes: Iterable[str]) -> str:
    text, sha256 = new_token(secrets.token_urlsafe)
    await api.app.ledger.tokens.add(name, sha256, scopes)
    return text


async def test_tells_how_to_make_the_first_token(tmp_path: Path) -> None:
    """Where there is no token at all, the refusal says how to make one."""
    async with service(tmp_path, tokens=()) as api:
        answers = [await post(api, None), await post(api, "Bearer dsp_guess")]

    for answer in answers:
        assert answer.status_code == 401
        assert problems(answer) == {}
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "There is no API token yet" in answer.json()["detail"]
        assert "dispatcher token new NAME" in answer.json()["detail"]


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Basic YTpi", "Bearer dsp_guess", "Bearer a b", "Bearer " + "x" * 2000],
)
async def test_refuses_without_a_right_token(tmp_path: Path, authorization: str | None) -> None:
    """No token, a wrong one or another scheme is refused, and nothing is taken in."""
    async with service(tmp_path) as api:
        answer = await post(api, authorization)
        events = await api.events()

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="dispatcher"')
    assert events == 0


async def test_follows_the_ledger_at_once(tmp_path: Path) -> None:
    """A token works with the very next request after it was made, and not after it was revoked."""
    async with service(tmp_path) as api:
        text = await ledger_token(api, "billing", ["send"])
        made = await post(api, f"bearer {text}")
        noted = (await api.app.ledger.tokens.list())[0].last_used_at
        await api.app.ledger.tokens.revoke("billing")
        revoked = await post(api, f"Bearer {text}")

    assert made.status_code == 202
    assert noted is not None
    assert revoked.status_code == 401
    assert "revoked" in revoked.json()["detail"]


@pytest.mark.parametrize(
    ("scopes", "send", "read"),
    [({"send"}, 202, 403), ({"read"}, 403, 404), ({"admin"}, 202, 404), ({"send", "read"}, 202, 404)],
)
async def test_holds_to_the_scopes(tmp_path: Path, scopes: set[str], send: int, read: int) -> None:
    """Sending and reading are allowed apart; admin includes both."""
    async with service(tmp_path) as api:
        authorization = f"Bearer {await ledger_token(api, 'some', scopes)}"
        sent = await post(api, authorization)
        got = await api.http.get("/v1/events/evt_none", headers={"Authorization": authorization})

    assert (sent.status_code, got.status_code) == (send, read)
    for answer in (sent, got):
        if answer.status_code == 403:
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
            assert problems(answer) == {}


async def test_knows_the_tokens_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured token needs no look into the ledger."""
    text, sha256 = new_token(secrets.token_urlsafe)
    entry = TokenEntry("ops", frozenset({"send"}), sha256)
    async with service(tmp_path, tokens=(entry,)) as api:

        async def away() -> None:
            raise ServiceUnreachable("database", "away")

        monkeypatch.setattr(api.app.ledger.tokens, "active", away)
        known, unknown = await post(api, f"Bearer {text}"), await post(api, "Bearer other")

    assert known.status_code == 202
    assert unknown.status_code == 503


async def test_asks_before_it_reads(tmp_path: Path) -> None:
    """Who has no token learns that first, not what is wrong with the event."""
    async with service(tmp_path) as api, httpx.AsyncClient(base_url=api.url) as http:
        answer = await http.post("/v1/events", content=b"[" * 3_000_000)

    assert answer.status_code == 401


async def test_never_logs_a_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is logged, at whatever level, holds no token."""
    caplog.set_level(logging.DEBUG)
    async with service(tmp_path) as api:
        text = await ledger_token(api, "billing", ["send"])
        await post(api, f"Bearer {text}")
        await post(api, "Bearer dsp_wrong-but-nearly-right")

    assert text not in caplog.text
    assert "nearly-right" not in caplog.text
