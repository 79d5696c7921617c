"""An admin decides in a real browser: with the mouse, with a finger on a phone, with the keyboard alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from decide_desk import ADA, BOB, DATES, Desk, open_desk

from dispatcher.domain.plan import PlanState
from mail.tools import HERE, node, program

pytestmark = [pytest.mark.debian, pytest.mark.timeout(120)]

WIDE, PHONE = {"width": 1280, "scheme": "light"}, {"width": 360, "scheme": "dark"}


async def browse(*journeys: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """What a Chromium without scripts saw on each journey."""
    command = [node(), str(HERE / "clicks.mjs"), program("chromium", "chromium-browser", "google-chrome")]
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        out, err = await asyncio.wait_for(running.communicate(json.dumps(journeys).encode()), 100)
    except TimeoutError:
        running.kill()
        raise
    assert running.returncode == 0, err.decode()[-2000:]
    found: list[list[dict[str, Any]]] = json.loads(out)
    for page in (page for journey in found for page in journey):
        assert (page["violations"], page["overflow"]) == ([], 0), page
    return found


async def url(desk: Desk, address: str = ADA) -> str:
    return f"{desk.api.url}{await desk.link(address)}"


async def test_an_admin_approves_with_the_keyboard(tmp_path: Path) -> None:
    """One step to the button and Enter; to look sent nothing, and to look again shows the same."""
    async with open_desk(tmp_path) as desk:
        keys = {"keys": ["Tab", "Enter"]}
        [pages] = await browse({"url": await url(desk), **WIDE, "steps": [keys, {"open": True}]})
        plan = await desk.plan()

    assert [page["title"] for page in pages] == [
        "Approve the date, or choose another",
        "You approved the date",
        "You approved the date",
    ]
    assert [page["sent"] for page in pages] == [["GET decide"], ["POST decide"], ["GET decide"]]
    assert plan.state is PlanState.APPROVED


async def test_an_admin_chooses_another_date_on_a_phone(tmp_path: Path) -> None:
    """Two labels and a button by finger; the other admin then reads who has decided."""
    async with open_desk(tmp_path) as desk:
        steps = [
            {"check": "label[for=preferred-3]"},
            {"check": "label[for=alternate-2]"},
            {"click": "button[value=reschedule]"},
        ]
        theirs = {"url": await url(desk, BOB), "steps": []}
        mine, wide, narrow = await browse(
            {"url": await url(desk), **PHONE, "steps": steps}, theirs | WIDE, theirs | PHONE
        )
        plan = await desk.plan()

    assert [page["title"] for page in mine] == ["Approve the date, or choose another", "You chose the date"]
    assert [page["title"] for page in (*wide, *narrow)] == ["An admin has already decided"] * 2
    assert (plan.anchor, plan.alternate_at, plan.state) == (DATES[2], DATES[1], PlanState.APPROVED)


async def test_a_mistake_leads_back_to_the_page(tmp_path: Path) -> None:
    """Two dates that are the same are refused with a way back, from which the right choice is made."""
    async with open_desk(tmp_path) as desk:
        both = [{"check": "label[for=preferred-2]"}, {"check": "label[for=alternate-2]"}]
        choose = {"click": "button[value=reschedule]"}
        steps = [*both, choose, {"click": "main a"}, both[0], choose]
        [pages] = await browse({"url": await url(desk), **PHONE, "steps": steps})

    assert [(page["title"], page["status"]) for page in pages] == [
        ("Approve the date, or choose another", 200),
        ("This date cannot be chosen", 422),
        ("Approve the date, or choose another", 200),
        ("You chose the date", 200),
    ]
