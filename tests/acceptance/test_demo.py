"""The demonstration, run once as a user runs it: what it prints, its page, what arrived in the mailbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from icalendar import Calendar
from program import Done, dispatcher

from dispatcher.smtp.catcher import CaughtMail, caught

# One run of the program, of some ten seconds; on a machine with other things to do it takes a minute.
pytestmark = pytest.mark.timeout(300)

#: Who reads of both stories: an admin of the instance that they are about.
READER = "nancy@northwind.example"


@dataclass(frozen=True, slots=True)
class Shown:
    """The demonstration as it went."""

    done: Done
    page: str
    mails: Sequence[CaughtMail]

    def to(self, address: str, said: str) -> list[CaughtMail]:
        """What arrived at an address and has some words in its subject, in the order in which it came."""
        return [
            mail
            for mail in self.mails
            if address in mail.envelope_to and said in str(mail.message["Subject"])
        ]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    root = tmp_path_factory.mktemp("demo") / "root"
    dispatcher(root.parent, "init", str(root))
    done = dispatcher(root, "demo")
    folder = root / ".dispatcher" / "demo"
    return Shown(done, (folder / "index.html").read_text(encoding="utf-8"), caught(folder / "mail"))


def entry(mail: CaughtMail) -> Any:
    """The calendar entry that a mail brings."""
    [part] = [part for part in mail.message.walk() if part.get_content_type() == "text/calendar"]
    [event] = Calendar.from_ical(str(part.get_content())).walk("VEVENT")
    return event


def test_it_mails_every_type(shown: Shown) -> None:
    """It ends with 0, prints every type, and its page shows every mail that arrived, each once."""
    assert shown.done.code == 0, shown.done.err
    assert "support-case-resolved" in shown.done.out
    assert f"{len(shown.mails)} mails of 23 types" in shown.done.err
    assert shown.page.count('target="mail">source') == len(shown.mails) > 100


def test_its_page_and_tables_tell_both_stories(shown: Shown) -> None:
    """The table tells what happened in the order in which it did; the page has the mails of each story."""
    for title in (
        "An incident, from its opening to the report: one thread in the mailbox",
        "An update, moved by the link in its mail",
    ):
        assert title in shown.done.out
        assert title in shown.page
    told = (
        "An incident is opened",
        "First update",
        "Second update",
        "Service is restored",
        "The report is late; its owners are reminded",
        "The report is sent",
        "An update is announced",
        "Time passes: 90 days before",
        "An admin follows the link in the mail and chooses another date",
        "Time passes: 30 days before",
        "Time passes: 15 days before",
        "Time passes: 7 days before",
        "The day has come",
        "The update starts",
        "The update is done",
    )
    places = [shown.done.out.index(words) for words in told]
    assert places == sorted(places)


def test_an_incident_is_one_thread_in_the_mailbox(shown: Shown) -> None:
    """Two updates, restored and the report all answer the opening; the report comes days later."""
    first, *others = [
        *shown.to(READER, "Major service incident INC-20500"),
        *shown.to(READER, "Service restored")[:1],
        *shown.to(READER, "Post-incident report")[:1],
    ]
    root = first.message["Message-ID"]

    assert len(others) == 4
    assert first.message["References"] is None
    assert {(mail.message["References"], mail.message["In-Reply-To"]) for mail in others} == {(root, root)}
    dates = [mail.message["Date"].datetime for mail in (first, *others)]
    assert dates == sorted(dates)
    assert dates[-1] - dates[-2] > timedelta(days=3)
    [reminder] = shown.to("operations@fabrikam.example", "INC-20500")
    assert reminder.message["Date"].datetime <= dates[-1]


def test_a_decision_moves_the_update_in_mail_and_calendar(shown: Shown) -> None:
    """Mails after the decision name the new date, and the same entry of the calendar moves by a week."""
    [announced] = shown.to(READER, "Update to version 10.1 scheduled")
    [moved] = shown.to(READER, "Update rescheduled to")[:1]
    before, after = entry(announced), entry(moved)

    assert before["UID"] == after["UID"]
    assert (before["SEQUENCE"], after["SEQUENCE"]) == (0, 1)
    assert after["DTSTART"].dt - before["DTSTART"].dt == timedelta(weeks=1)
    reminders = shown.to(READER, "Reminder of version 10.1")
    assert [entry(mail)["SEQUENCE"] for mail in reminders] == [0, 1, 1, 1, 1, 1]
    assert {entry(mail)["DTSTART"].dt for mail in reminders[1:]} == {after["DTSTART"].dt}
    assert shown.to(READER, "Updated to version 10.1")


def test_only_admins_get_the_link_by_which_they_decide(shown: Shown) -> None:
    """An admin's mail has a link of their own; a partner's has none and says who decides."""
    [admins] = shown.to(READER, "Update to version 10.1 scheduled")
    [partners] = shown.to("care@wingtip.example", "Update to version 10.1 scheduled")
    bodies = []
    for mail in (admins, partners):
        part = mail.message.get_body(("plain",))
        assert part is not None
        bodies.append(" ".join(str(part.get_content()).split()))

    assert ["https://notices.fabrikam.example/decide/" in body for body in bodies] == [True, False]
    assert "An admin of Northwind Traders approves this date" in bodies[1]
