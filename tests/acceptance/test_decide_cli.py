"""An update, as its people meet it: announced, moved by the link of a mail, told to upstream."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from program import Done, dispatcher, staying
from standardwebhooks import Webhook
from webhook_receiver import SECRET, Receiver, answer, receiving

from dispatcher.smtp.catcher import caught

ADMIN = "admin@contoso.example"
URL = "https://notices.fabrikam.example"
FIRST = datetime.now(UTC).replace(microsecond=0, second=0) + timedelta(days=200)
DATES = [(FIRST + timedelta(weeks=week)).isoformat() for week in range(3)]
#: Nothing takes as long; what does will never come.
SECONDS = 90


def link(folder: Path) -> str:
    """The path of the link in the admin's mail."""
    [mail] = [one.message for one in caught(folder / "mail") if ADMIN in one.envelope_to]
    part = mail.get_body(("plain",))
    assert part is not None
    found = re.search(rf"{URL}(/decide/[A-Za-z0-9._-]+)", part.get_content())
    assert found, part.get_content()
    return found[1]


async def until(receiver: Receiver, number: int) -> None:
    """Wait for so many requests."""
    async with asyncio.timeout(SECONDS):
        while len(receiver.got) < number:
            await receiver.came.wait()


async def settled(run: Callable[..., Awaitable[Done]], tries: int) -> Any:
    """The only message to upstream, once the outcome of so many tries is recorded."""
    async with asyncio.timeout(SECONDS):
        while True:
            [found] = json.loads((await run("webhooks", "--json")).out)
            if (found["tries"], found["status"]) == (tries, "pending") and minutes_away(found):
                return found


def minutes_away(message: Mapping[str, Any]) -> bool:
    """Whether the next try is not about to happen."""
    left = datetime.fromisoformat(message["next_try_at"]) - datetime.now(UTC)
    return left > timedelta(minutes=2)


# Several processes are started: on a machine with other things to do that takes minutes.
@pytest.mark.timeout(300)
async def test_from_the_mail_to_upstream(root: Path, tmp_path: Path) -> None:
    """What an admin chooses by link is recorded, shown by `plan show`, and told once upstream answers."""
    async with receiving() as receiver:
        receiver.answers = [answer("503 Busy", b"soon")]
        variables = {
            "DISPATCHER_STATE_DIR": str(tmp_path),
            "DISPATCHER_PUBLIC_URL": URL,
            "DISPATCHER_WEBHOOK_URL": receiver.url,
            "DISPATCHER_WEBHOOK_SECRET": SECRET,
        }

        async def run(*arguments: str) -> Done:
            return await asyncio.to_thread(dispatcher, root, *arguments, **variables)

        values = {
            "update": "update-2027-1",
            "version": "10.0",
            "scheduled_at": DATES[0],
            "alternate_at": DATES[1],
            "offered_dates": ",".join(DATES),
        }
        fields = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        with ExitStack() as stack:
            up = staying(root, "up", "--port", "0", until=r"Listening on (\S+)", **variables)
            said = await asyncio.to_thread(stack.enter_context, up)
            sent = await run("send", "update-scheduled", "--instance", "contoso-prod", *fields, "--wait")
            assert sent.code == 0, sent.err
            path = link(tmp_path)
            async with httpx.AsyncClient(base_url=said[1], timeout=20) as browser:
                page = await browser.get(path)
                form = re.search(r'name="form" value="([^"]+)"', page.text)
                assert form, page.text
                data = {"form": form[1], "decide": "reschedule", "preferred": DATES[2], "alternate": ""}
                done = await browser.post(path, data=data)
            assert done.status_code == 200
            await until(receiver, 2)  # the third try is minutes away, so what is seen here stays so
            waiting = await settled(run, tries=2)
            told = await run("status")
            receiver.answers = [answer("200 OK")]
            assert (await run("webhooks", "retry", waiting["id"])).code == 0
            await until(receiver, 3)
            shown = await run("plan", "show", "update-2027-1", "--instance", "contoso-prod", "--json")

    first, last = receiver.got[0], receiver.got[-1]
    for got in (first, last):
        body = Webhook(SECRET).verify(got.body, dict(got.headers))
        assert (body["type"], body["data"]["decided_by"]) == ("update.rescheduled", ADMIN)
        assert body["data"]["scheduled_at"] == DATES[2].replace("+00:00", "Z")
    assert first.headers["webhook-id"] == last.headers["webhook-id"] == waiting["id"]
    assert (waiting["status"], waiting["reply"]) == ("pending", "503 Busy: soon")
    assert "To be told to upstream: 1 message" in told.out
    moves = json.loads(shown.out)["moves"]
    assert (moves[-1]["turn"], moves[-1]["by"]) == ("rescheduled", ADMIN)
    assert moves[-1]["delivery"]


def test_a_message_that_there_is_not(root: Path, tmp_path: Path) -> None:
    """It is said, with where to look."""
    variables = {"DISPATCHER_STATE_DIR": str(tmp_path)}
    assert dispatcher(root, "events", **variables).code == 4  # there is no ledger yet
    sent = dispatcher(
        root, "send", "planned-maintenance", "--sample", "--instance", "contoso-prod", **variables
    )
    assert sent.code == 0, sent.err
    done = dispatcher(root, "webhooks", "retry", "msg_none", **variables)

    assert done.code == 2
    assert "`dispatcher webhooks` lists them" in done.err
    assert dispatcher(root, "webhooks", "--json", **variables).out.strip() == "[]"
    assert "0 messages are tried again" in dispatcher(root, "webhooks", "retry", **variables).err
