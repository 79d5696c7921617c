"""Several events about one window, and about one incident, as their readers' programs get them."""

from __future__ import annotations

import re
from email.message import EmailMessage
from pathlib import Path

import pytest
from program import UNMEASURED, dispatcher, staying

from dispatcher.smtp.catcher import caught

ADMIN = "admin@contoso.example"
FIRST, SECOND = "2090-03-06T21:00Z", "2090-03-13T21:00Z"
OFFERED = f"{FIRST},{SECOND}"
#: What is sent, in order: type, thread, fields.
SENT: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("update-scheduled", "", (f"scheduled_at={FIRST}", f"alternate_at={SECOND}", f"offered_dates={OFFERED}")),
    (
        "update-rescheduled",
        "",
        (f"scheduled_at={SECOND}", f"alternate_at={FIRST}", f"offered_dates={OFFERED}"),
    ),
    ("planned-maintenance", "CHG-1", ()),
    ("planned-maintenance", "CHG-1", ("cancelled=true",)),
    ("major-service-incident", "INC-1", ("summary=Sign-in fails",)),
    ("major-service-incident", "INC-1", ("summary=Sign-in works again for most",)),
    ("service-restored", "INC-1", ()),
)


@pytest.fixture(scope="module")
def mails(root: Path) -> list[EmailMessage]:
    """What one admin got of all of them."""
    how = ("--instance", "contoso-prod", "--sample", "--wait")
    with staying(root, "up", "--port", "0", until=r"Listening on (\S+)", **UNMEASURED):
        for key, thread, fields in SENT:
            more = [word for field in fields for word in ("--set", field)]
            more += ["--thread", thread] if thread else []
            done = dispatcher(root, "send", key, *how, *more, **UNMEASURED)
            assert done.code == 0, done.err
    found = [mail.message for mail in caught(root / ".dispatcher" / "mail") if mail.envelope_to == (ADMIN,)]
    assert len(found) == len(SENT)
    return found


def said(mail: EmailMessage, name: str) -> str:
    """The value of a property of the file for calendars that a mail brings."""
    [file] = [part for part in mail.iter_attachments() if part.get_content_type() == "text/calendar"]
    assert file.get_filename() == "invite.ics"
    content = file.get_payload(decode=True)
    assert isinstance(content, bytes)
    [found] = re.findall(
        rf"^{name}[;:](?:[^\r]*:)?([^\r]*)", content.decode().replace("\r\n ", ""), re.MULTILINE
    )
    return str(found)


def test_a_moved_update_replaces_its_entry(mails: list[EmailMessage]) -> None:
    """The same update on another date has the same UID and the next number."""
    scheduled, moved = mails[0:2]

    assert said(scheduled, "UID") == said(moved, "UID")
    assert [said(one, "SEQUENCE") for one in (scheduled, moved)] == ["0", "1"]
    assert [said(one, "METHOD") for one in (scheduled, moved)] == ["PUBLISH", "PUBLISH"]
    assert said(moved, "DTSTART") == "20900313T210000Z"


def test_cancelled_maintenance_strikes_its_entry_off(mails: list[EmailMessage]) -> None:
    """The cancel has UID and organizer of the announcement, and says so in its subject."""
    announced, cancelled = mails[2:4]

    assert said(announced, "UID") == said(cancelled, "UID")
    assert said(announced, "ORGANIZER") == said(cancelled, "ORGANIZER")
    assert [said(cancelled, name) for name in ("METHOD", "STATUS", "SEQUENCE")] == [
        "CANCEL",
        "CANCELLED",
        "1",
    ]
    assert cancelled["References"] == announced["Message-ID"]
    assert announced["Subject"] != cancelled["Subject"]


def test_an_incident_is_one_conversation(mails: list[EmailMessage]) -> None:
    """Update and end refer to the first mail; the update keeps its subject, the end has another."""
    opened, updated, restored = mails[4:7]

    assert opened["References"] is None
    assert updated["In-Reply-To"] == updated["References"] == opened["Message-ID"]
    assert restored["In-Reply-To"] == restored["References"] == opened["Message-ID"]
    assert updated["Subject"] == opened["Subject"] != restored["Subject"]
    assert [mail.get_content_type() for mail in (opened, updated, restored)] == ["multipart/alternative"] * 3
