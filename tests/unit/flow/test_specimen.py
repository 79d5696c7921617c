from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from domain_examples import shipped
from program import PROJECT

from dispatcher.flow.specimen import CHOICES, EXAMPLE, Specimen, Specimens
from dispatcher.mail.content import UNSUBSCRIBE
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.translations import Translations

NOW = datetime(2027, 3, 6, 12, 0, tzinfo=UTC)
SPECIMENS = Specimens(shipped(), Renderer(PROJECT / "templates", Translations(PROJECT)), NOW)
MAILED = [key for key, spec in shipped().types.items() if spec.banner and spec.audience.roles]


def specimen(key: str, language: str = "en", **fields: object) -> Specimen:
    return SPECIMENS.render(key, SPECIMENS.sample(key) | fields, EXAMPLE, language)


def parsed(made: Specimen) -> EmailMessage:
    return email.message_from_bytes(made.message, _class=EmailMessage, policy=email.policy.default)


@pytest.mark.parametrize("key", MAILED)
def test_a_specimen_has_all_that_a_mail_has(key: str) -> None:
    """Windows bring their file, optional types their link, and what follows an incident its thread."""
    spec = shipped().types[key]
    made = specimen(key)
    message = parsed(made)
    link = f"<{CHOICES}>" if spec.optional else None

    assert [part.get_content_type() for part in message.iter_attachments()] == (
        ["text/calendar"] if spec.calendar else []
    )
    assert message["List-Unsubscribe"] == link
    assert (CHOICES in made.html, CHOICES in made.text) == (spec.optional, spec.optional)
    assert UNSUBSCRIBE not in made.html + made.text
    assert bool(message["References"]) == bool(message["In-Reply-To"]) == bool(spec.audience.told)


def test_what_goes_to_our_own_people_is_read_by_one_of_them() -> None:
    """The footer gives the reason that its real readers have; others are shown as admins read them."""
    assert "You are a system admin" not in specimen("obligation-overdue").text
    assert "told in time" in " ".join(specimen("obligation-overdue").text.split())
    assert "You are a system admin" in specimen("update-scheduled").text


def test_a_cancelled_specimen_strikes_its_window_off() -> None:
    """What a cancel brings can be looked at before one is sent."""
    [file] = parsed(specimen("planned-maintenance", cancelled=True)).iter_attachments()

    assert b"METHOD:CANCEL" in (file.get_payload(decode=True) or b"")


def test_a_specimen_without_an_end_brings_no_window() -> None:
    """Maintenance of unknown length has nothing for calendars."""
    assert list(parsed(specimen("unplanned-maintenance", end=None)).iter_attachments()) == []
