"""What the admin centre and the application show, from events as they come in, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from clock import Clock
from way import Way, open_way

from dispatcher.domain.event import Selection
from dispatcher.errors import NotFound
from dispatcher.flow.notices import NoticeBoard
from dispatcher.flow.submit import Submission
from dispatcher.ledger import Ledger
from dispatcher.mail.translations import Translations
from dispatcher.queue.lanes import EVERY

DATE, SECOND = "2026-07-01T21:00+02:00", "2026-07-15T21:00+02:00"
SCHEDULED = {"version": "10.0", "scheduled_at": DATE, "alternate_at": SECOND, "offered_dates": [DATE, SECOND]}


@pytest.fixture
async def way(ledger: Ledger, clock: Clock, tmp_path: Path) -> AsyncIterator[Way]:
    """All parts on each kind of database in turn."""
    async with open_way(ledger, clock, tmp_path) as found:
        yield found


@pytest.fixture
def board(way: Way, clock: Clock) -> NoticeBoard:
    """What is asked for them, with the translations as shipped."""
    texts = Translations(way.root, Path(__file__).parents[2] / "locales")
    return NoticeBoard(way.catalogue, way.recipients, way.ledger, texts, clock)


async def say(way: Way, type_: str, **fields: Any) -> str:
    """An event about an update of Contoso comes, and is expanded."""
    way.clock.advance(seconds=1)
    thread = fields.pop("thread", None)
    chosen = fields.pop("instances", Selection("instances", ("contoso-prod",)))
    name = f"{type_}-{way.clock.now.timestamp()}"
    [accepted] = await way.submit([Submission("/test", name, type_, chosen, thread, fields)])
    await way.expand(EVERY)
    return accepted.event


async def update(way: Way, turn: str, **fields: Any) -> str:
    return await say(way, f"update-{turn}", update="u1", **fields)


async def seen(board: NoticeBoard, instance: str = "contoso-prod") -> tuple[list[str], list[str]]:
    """The types of the notices and of the alerts of an instance, newest first."""
    notices, _ = await board.notices(instance, None, limit=50)
    alerts = await board.alerts(instance, None)
    return [one["type"] for one in notices], [one["type"] for one in alerts]


async def test_an_update_as_the_admin_centre_and_the_application_show_it(
    way: Way, board: NoticeBoard
) -> None:
    """Every turn is a notice, whether or not it is mailed; the alert goes once its date does."""
    await update(way, "scheduled", **SCHEDULED)
    assert await seen(board) == (["update-scheduled"], ["update-scheduled"])

    await update(way, "confirmed")
    assert (await seen(board))[1] == ["update-scheduled"]

    await update(way, "rescheduled", scheduled_at=SECOND, rescheduled_by="admin")
    shown, alerts = await seen(board)

    assert shown == ["update-rescheduled", "update-confirmed", "update-scheduled"]
    assert alerts == []
    assert await seen(board, "northwind-prod") == ([], [])


async def test_a_notice_speaks_the_reader_s_language(way: Way, board: NoticeBoard) -> None:
    """Title and subject are in it; what the plan knows is filled in; moments are in UTC."""
    await update(way, "scheduled", **SCHEDULED)
    await update(way, "confirmed")

    [confirmed, _], _ = await board.notices("contoso-prod", "de", limit=50)

    assert confirmed["language"] == "de"
    assert "10.0" in confirmed["subject"]
    assert "Contoso Production" in confirmed["subject"]
    assert confirmed["title"] != way.catalogue.types["update-confirmed"].title
    assert confirmed["fields"]["scheduled_at"] == "2026-07-01T19:00:00Z"
    assert confirmed["about"] == "major-update:u1"


async def test_pages_go_on_where_the_page_before_ended(way: Way, board: NoticeBoard) -> None:
    """Each notice stands on one page, and the last leads nowhere."""
    await update(way, "scheduled", **SCHEDULED)
    await update(way, "compatibility", findings=[{"area": "a", "problem": "p", "action": "x"}])
    await update(way, "confirmed")

    first, follows = await board.notices("contoso-prod", None, limit=2)
    second, end = await board.notices("contoso-prod", None, limit=2, before=follows)

    types = [one["type"] for one in (*first, *second)]
    assert types == ["update-confirmed", "update-compatibility", "update-scheduled"]
    assert end is None


async def test_a_withdrawn_event_is_no_alert_any_more(way: Way, board: NoticeBoard) -> None:
    """The admin centre keeps it, and says so."""
    event = await update(way, "scheduled", **SCHEDULED)
    await way.ledger.events.cancel(event)

    notices, _ = await board.notices("contoso-prod", None, limit=50)

    assert [bool(one["cancelled_at"]) for one in notices] == [True]
    assert await board.alerts("contoso-prod", None) == []


async def test_an_incident_and_its_end(way: Way, board: NoticeBoard) -> None:
    """The newest word of an incident is the alert at each of its instances; then that it is over."""
    start = (way.clock.now - timedelta(hours=1)).isoformat()
    facts = {"incident": "INC-1", "summary": "Sign-in fails", "started_at": start, "thread": "INC-1"}
    both = Selection("all")
    await say(way, "major-service-incident", **facts, status="investigating", instances=both)
    await say(way, "major-service-incident", **facts, status="identified", instances=both)
    for place in ("contoso-prod", "northwind-prod"):
        assert (await seen(board, place))[1] == ["major-service-incident"]

    await say(
        way,
        "service-restored",
        summary="Sign-in fails",
        restored_at=way.clock.now.isoformat(),
        thread="INC-1",
        instances=None,
    )
    for place in ("contoso-prod", "northwind-prod"):
        assert await seen(board, place) == (
            ["service-restored", "major-service-incident", "major-service-incident"],
            ["service-restored"],
        )


async def test_nothing_is_shown_of_what_nobody_need_know(way: Way, board: NoticeBoard) -> None:
    """A security update without downtime is kept in the ledger alone."""
    await say(way, "security-update", summary="A scan", downtime=False)

    assert await seen(board) == ([], [])


async def test_an_instance_that_there_is_not(board: NoticeBoard) -> None:
    """Is said to be none, rather than to have no notices."""
    with pytest.raises(NotFound, match="no instance 'contoso-pord'"):
        await board.notices("contoso-pord", None, limit=1)
    with pytest.raises(NotFound):
        await board.alerts("contoso-pord", None)
