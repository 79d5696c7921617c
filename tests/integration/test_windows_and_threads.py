"""What several mails are to mail programs and calendars: one window, one thread."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage
from typing import Any

import pytest
from sqlalchemy import select
from way import CONTOSO, Way

from dispatcher.domain.delivery import Delivery, Lane, Status
from dispatcher.domain.event import EventStatus
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.repair import cancel
from dispatcher.ledger.expanding import Expanding
from dispatcher.ledger.schema import windows
from dispatcher.queue.lanes import EVERY

ADA, BOB, CYN = "a@contoso.example", "b@contoso.example", "c@contoso.example"


def mails(way: Way, address: str = ADA) -> list[EmailMessage]:
    """What one reader got, in order."""
    return [
        email.message_from_bytes(kept.message, _class=EmailMessage, policy=email.policy.default)
        for kept in way.server.kept
        if kept.recipient == address
    ]


def file_of(mail: EmailMessage) -> str:
    """The file for calendars that a mail brings, unfolded; nothing if it brings none."""
    for part in mail.walk():
        if part.get_content_type() == "text/calendar":
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            return content.decode().replace("\r\n ", "")
    return ""


def said(mail: EmailMessage, *names: str) -> tuple[str, ...]:
    """The values of these properties of the file."""
    return tuple(re.findall(rf"^{name}[^:\r]*:([^\r]*)", file_of(mail), re.MULTILINE)[0] for name in names)


async def go(way: Way, key: str, **choices: Any) -> list[Delivery]:
    """Submit, expand and deliver, a second after what came before."""
    way.clock.advance(seconds=1)
    return await way.go(key, **choices)


def recipients(way: Way, text: str) -> None:
    (way.root / "recipients" / "contoso-prod.yaml").write_text(text, encoding="utf-8")


async def test_a_moved_update_moves_in_calendars(way: Way) -> None:
    """An update that is scheduled, moved and then falls back is one entry with rising numbers."""
    first, moved, fallen = "2027-05-06T21:00Z", "2027-05-20T21:00Z", "2027-05-27T21:00Z"
    offer = {"alternate_at": None, "offered_dates": [first, moved, fallen]}
    await go(way, "update-scheduled", id_="1", scheduled_at=first, **offer)
    await go(way, "update-reminder", id_="2", scheduled_at=first)
    await go(way, "update-rescheduled", id_="3", scheduled_at=moved, alternate_at=fallen)
    await go(way, "update-fallback", id_="4", scheduled_at=fallen)
    entries = [said(mail, "UID", "SEQUENCE", "METHOD") for mail in mails(way)]

    assert len({uid for uid, _, _ in entries}) == 1
    assert [number for _, number, _ in entries] == ["0", "0", "1", "2"]
    assert {method for _, _, method in entries} == {"PUBLISH"}
    assert said(mails(way)[2], "DTSTART", "DTEND") == ("20270520T210000Z", "20270521T090000Z")
    assert [mail["References"] for mail in mails(way)] == [None] * 4


async def test_cancelled_maintenance_is_struck_off(way: Way) -> None:
    """A cancel in the thread of the announcement has its UID and organizer, and refers to its mail."""
    await go(way, "planned-maintenance", thread="CHG-1", id_="1")
    await go(way, "planned-maintenance", thread="CHG-1", id_="2", cancelled=True)
    announced, cancelled = mails(way)
    kept = ("UID", "ORGANIZER", "DTSTART", "DTEND", "SUMMARY")

    assert said(announced, *kept) == said(cancelled, *kept)
    assert said(announced, "METHOD", "STATUS", "SEQUENCE") == ("PUBLISH", "CONFIRMED", "0")
    assert said(cancelled, "METHOD", "STATUS", "SEQUENCE") == ("CANCEL", "CANCELLED", "1")
    assert cancelled["References"] == cancelled["In-Reply-To"] == announced["Message-ID"]
    assert cancelled["Subject"].startswith("Cancelled: planned maintenance on ")
    assert 'method="CANCEL"' in str(next(iter(cancelled.iter_attachments()))["Content-Type"])


async def test_what_nothing_announced_is_cancelled_in_words_only(way: Way) -> None:
    """A cancel without an announcement is mailed and brings no file."""
    rows = await go(way, "planned-maintenance", thread="CHG-1", cancelled=True)

    assert {row.status for row in rows} == {Status.SENT}
    assert [mail.get_content_type() for mail in mails(way)] == ["multipart/alternative"]


async def test_a_window_without_an_end_is_none(way: Way) -> None:
    """Unplanned maintenance of unknown length comes without a file, and with one once its end is known."""
    await go(way, "unplanned-maintenance", thread="CHG-1", id_="1", end=None)
    await go(way, "unplanned-maintenance", thread="CHG-1", id_="2")
    open_end, closed = mails(way)

    assert file_of(open_end) == ""
    assert said(closed, "SEQUENCE", "METHOD") == ("1", "PUBLISH")
    assert closed["Subject"].startswith("Unplanned maintenance on ")


@pytest.mark.parametrize("fields", [{}, {"start": "2026-11-21T23:00Z"}, {"cancelled": True}])
async def test_an_end_that_is_not_known_any_more_strikes_the_window_off(
    way: Way, fields: dict[str, Any]
) -> None:
    """Moved to an open end, or cancelled without one: the entry with its old dates goes."""
    await go(way, "unplanned-maintenance", thread="CHG-1", id_="1")
    await go(way, "unplanned-maintenance", thread="CHG-1", id_="2", end=None, **fields)
    announced, gone = mails(way)
    kept = ("UID", "ORGANIZER", "DTSTART", "DTEND")

    assert said(announced, *kept) == said(gone, *kept)
    assert said(gone, "METHOD", "STATUS", "SEQUENCE") == ("CANCEL", "CANCELLED", "1")
    begins = "Cancelled: " if "cancelled" in fields else "New time: "
    assert gone["Subject"].startswith(begins)


async def test_an_open_end_that_no_thread_names_is_not_noted(way: Way) -> None:
    """Nothing else can speak of it, so the ledger keeps nothing of it."""
    await go(way, "unplanned-maintenance", end=None)
    async with way.ledger.database.read() as connection:
        assert (await connection.execute(select(windows))).all() == []


async def test_maintenance_that_moves_says_so(way: Way) -> None:
    """Who knew of the first window reads of a new time; who did not, or reads a reminder, an announcement."""
    first = {"start": "2026-12-05T21:00Z", "end": "2026-12-06T01:00Z"}
    second = {"start": "2026-12-07T21:00Z", "end": "2026-12-08T01:00Z"}
    await go(way, "planned-maintenance", thread="CHG-1", id_="1", **first)
    recipients(way, CONTOSO.replace("[c@contoso.example]", "[c@contoso.example, d@contoso.example]"))
    await go(way, "planned-maintenance", thread="CHG-1", id_="2", **second)
    await go(way, "planned-maintenance", thread="CHG-1", id_="3", **second)
    announced, moved, reminded = mails(way)
    late = mails(way, "d@contoso.example")[0]

    assert moved["Subject"].startswith("New time: planned maintenance on ")
    assert re.search(r"7.December|December.7|7.Dec|Dec.7", str(moved["Subject"]))
    for mail in (announced, reminded, late):
        assert mail["Subject"].startswith("Planned maintenance on ")
    for mail in (late, moved):
        assert said(mail, "SEQUENCE", "DTSTART") == ("1", "20261207T210000Z")


async def test_what_nobody_was_told_is_not_what_has_moved(way: Way) -> None:
    """A window whose event was cancelled before it left is not called the previous one."""
    days = [{"start": f"2026-12-0{day}T21:00Z", "end": f"2026-12-0{day}T23:00Z"} for day in (5, 7, 5, 9)]
    await go(way, "planned-maintenance", thread="CHG-1", id_="1", **days[0])
    way.clock.advance(seconds=1)
    unsaid = await way.accept("planned-maintenance", thread="CHG-1", id_="2", **days[1])
    await way.expand(unsaid)
    await cancel(way.ledger, await way.ledger.events.get(unsaid))
    await go(way, "planned-maintenance", thread="CHG-1", id_="3", **days[2])
    await go(way, "planned-maintenance", thread="CHG-1", id_="4", **days[3])
    _, again, moved = mails(way)

    assert again["Subject"].startswith("Planned maintenance on ")
    assert moved["Subject"].startswith("New time: ")
    assert [said(mail, "SEQUENCE")[0] for mail in (again, moved)] == ["2", "3"]


async def test_a_subject_that_names_a_date_is_never_kept(way: Way) -> None:
    """A case that will be closed later says so in the list of mails, and stays in its thread."""
    for number, day in enumerate(("2026-12-01", "2026-12-15")):
        await go(way, "support-case-closing", thread="CASE-1", id_=str(number), closes_at=f"{day}T16:00Z")
    first, later = mails(way)

    assert first["Subject"] != later["Subject"]
    assert "15" in later["Subject"]
    assert later["References"] == first["Message-ID"]


async def test_every_line_of_a_mail_with_a_window_ends_with_crlf(way: Way) -> None:
    """No relay takes a bare line feed, and the file for calendars is none of the exceptions."""
    await go(way, "planned-maintenance", details="ä" * 300)
    [kept] = [kept for kept in way.server.kept if kept.recipient == ADA]

    assert re.findall(rb"\r(?!\n)|(?<!\r)\n", kept.message) == []
    assert "ä" * 60 in file_of(mails(way)[0])


async def test_each_instance_has_a_window_of_its_own(way: Way) -> None:
    """Maintenance of two instances is two entries, and who is told of one twice has it once."""
    await go(way, "planned-maintenance", instances=("contoso-prod", "northwind-prod"), thread="CHG-1")
    first, second = mails(way)

    assert said(first, "UID") != said(second, "UID")
    assert said(first, "UID") == said(mails(way, BOB)[0], "UID")


async def test_partners_get_the_organizer_that_all_have(way: Way) -> None:
    """A partner's copy comes from another sender; the window keeps its organizer all the same."""
    recipients(way, CONTOSO + "partners: [p@partner.example]\n")
    await go(way, "update-scheduled")
    [partner], [admin] = mails(way, "p@partner.example"), mails(way)

    assert partner["From"] != admin["From"]
    assert file_of(partner) == file_of(admin)


async def test_an_expansion_that_is_done_again_says_the_same(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that loses the ledger after it noted the window leaves no gap in the numbers."""
    real, fails = Expanding.store, iter([True])

    async def store(*given: Any) -> bool:
        if next(fails, False):
            raise ServiceUnreachable("database", "The database is away.")
        return await real(*given)

    monkeypatch.setattr(Expanding, "store", store)
    event = await way.accept("planned-maintenance", thread="CHG-1")
    with pytest.raises(ServiceUnreachable):
        await way.expand(event)
    way.clock.advance(seconds=31)
    await way.expand(event)
    await way.deliver(Lane.NORMAL)
    [mail] = mails(way)

    assert said(mail, "SEQUENCE") == ("0",)


async def test_an_incident_is_one_thread(way: Way) -> None:
    """Updates keep the subject and refer to the first mail; the end has a subject of its own."""
    incident = "major-service-incident"
    await go(way, incident, thread="INC-1", id_="1", summary="Sign-in fails")
    await go(way, incident, thread="INC-1", id_="2", summary="Sign-in works again for most")
    await go(way, "service-restored", thread="INC-1", id_="3", instances=[], summary="Sign-in fails")
    opened, updated, restored = mails(way)

    assert opened["References"] is None
    assert updated["Subject"] == opened["Subject"] != restored["Subject"]
    for mail in (updated, restored):
        assert mail["References"] == mail["In-Reply-To"] == opened["Message-ID"]
    assert "works again for most" in str(updated.get_body(("plain",)))


async def test_who_comes_later_begins_a_thread_of_their_own(way: Way) -> None:
    """Somebody who was added after the first mail has the next one as their first, with its subject."""
    incident = "major-service-incident"
    await go(way, incident, thread="INC-1", id_="1", summary="Sign-in fails")
    recipients(way, CONTOSO.replace("[c@contoso.example]", "[c@contoso.example, d@contoso.example]"))
    await go(way, incident, thread="INC-1", id_="2", summary="Sign-in is slow")
    await go(way, incident, thread="INC-1", id_="3", summary="Sign-in is well")
    late, first = mails(way, "d@contoso.example"), mails(way, CYN)

    assert [mail["References"] for mail in late] == [None, late[0]["Message-ID"]]
    assert [mail["References"] for mail in first] == [None, *[first[0]["Message-ID"]] * 2]
    assert ["slow" in mail["Subject"] for mail in late] == [True, True]
    assert ["fails" in mail["Subject"] for mail in first] == [True, True, True]


async def test_a_grouped_mail_goes_on_from_whichever_instance_was_told(way: Way) -> None:
    """Who got one mail about two instances reads of either of them in its thread."""
    incident = "major-service-incident"
    spec = way.catalogue.types[incident].model_copy(update={"group_by": "person"})
    way.catalogue.types[incident] = spec
    both = ("contoso-prod", "northwind-prod")
    await go(way, incident, thread="INC-1", id_="1", instances=both)
    await go(way, incident, thread="INC-1", id_="2", instances=both[1:])
    opened, updated = mails(way)

    assert updated["References"] == opened["Message-ID"]


async def test_another_language_has_its_own_subject(way: Way) -> None:
    """Who has changed their language reads the subject in it; the thread stays one."""
    incident = "major-service-incident"
    await go(way, incident, thread="INC-1", id_="1", summary="Sign-in fails")
    recipients(way, CONTOSO + "language: de\n")
    await go(way, incident, thread="INC-1", id_="2", summary="Sign-in is slow")
    opened, updated = mails(way)

    assert "slow" in updated["Subject"]
    assert updated["References"] == opened["Message-ID"]


async def test_what_came_first_is_expanded_first(way: Way) -> None:
    """An update that is expanded before the opening has that expanded, and refers to it."""
    incident = "major-service-incident"
    first = await way.accept(incident, thread="INC-1", id_="1")
    way.clock.advance(seconds=1)
    second = await way.accept(incident, thread="INC-1", id_="2")
    await way.expand(second)
    await way.deliver(Lane.URGENT)
    ids = {mail["Message-ID"]: mail["References"] for mail in mails(way)}
    [opening] = [row.message_id for row in await way.rows(first) if row.address == ADA]

    assert set(ids.values()) == {None, opening}
    assert ids[opening] is None


async def test_no_update_waits_for_what_is_less_urgent(way: Way) -> None:
    """An urgent event expands what is as urgent on its way, and leaves the rest to others."""
    maintenance = await way.accept("planned-maintenance", thread="INC-1", id_="1")
    way.clock.advance(seconds=1)
    incident = await way.accept("major-service-incident", thread="INC-1", id_="2")
    await way.expand(incident)

    assert (await way.ledger.events.get(maintenance)).status is EventStatus.ACCEPTED
    assert (await way.ledger.events.get(incident)).status is EventStatus.EXPANDED


async def test_no_update_waits_for_an_opening_that_cannot_be_expanded(way: Way) -> None:
    """Threads are for comfort: what stands in the way of one mail is no matter for the next."""
    stuck = await way.accept("unplanned-maintenance", thread="INC-1", id_="1")
    way.clock.advance(seconds=1)
    behind = await way.accept("major-service-incident", thread="INC-1", id_="2")
    (way.root / "templates" / "maintenance.txt.j2").write_text("{{ nonsense }}", encoding="utf-8")
    await way.expand(EVERY)

    assert (await way.ledger.events.get(stuck)).status is EventStatus.ACCEPTED
    assert (await way.ledger.events.get(behind)).status is EventStatus.EXPANDED
