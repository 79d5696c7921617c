"""Two parsers that mail programs build on, and Python's, read every message alike."""

from __future__ import annotations

import hashlib
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from mail.checkers import parsers
from mail.mails import Mail

PARSERS = ("mailparser", "postal-mime")


@pytest.fixture(scope="module")
def read(folder: Path) -> dict[str, dict[str, Any]]:
    return parsers(folder)


def parsed(raw: bytes) -> dict[str, Any]:
    """What Python reads, in the form that the others answer in."""
    message: EmailMessage = BytesParser(policy=policy.default).parsebytes(raw)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    return {
        "subject": str(message["Subject"]),
        "text": text.get_content() if text else "",
        "html": html.get_content() if html else "",
        "attachments": [
            [part.get_filename() or "", part.get_content_type(), digest(part.get_payload(decode=True))]
            for part in message.iter_attachments()
        ],
    }


def digest(content: object) -> str:
    assert isinstance(content, bytes)
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def same(parts: dict[str, Any]) -> dict[str, Any]:
    """Without what parsers may choose: how lines end, and whether the last one does."""
    bodies = {kind: parts[kind].replace("\r\n", "\n").rstrip("\n") for kind in ("text", "html")}
    return {**parts, **bodies}


@pytest.mark.parametrize("parser", PARSERS)
def test_parsers_agree(mails: tuple[Mail, ...], read: dict[str, dict[str, Any]], parser: str) -> None:
    """Subject, text, HTML and attachments are those that Python reads."""
    different = []
    for mail in mails:
        ours, theirs = same(parsed(mail.message)), same(read[f"{mail.name}.eml"][parser])
        different += [(mail.name, part) for part in ours if ours[part] != theirs[part]]

    assert different == []


def test_what_is_parsed_is_what_was_rendered(mails: tuple[Mail, ...]) -> None:
    """Nothing is lost between the templates and the message."""
    for mail in mails:
        found = same(parsed(mail.message))

        assert found["html"] == mail.html.rstrip("\n")
        assert found["text"] == mail.text.rstrip("\n")


def test_parsers_see_a_poor_mail(poor: Path) -> None:
    """Over the control each parser differs from Python's, or nothing was compared."""
    raw = (poor / "poor.eml").read_bytes()
    found = parsers(poor)["poor.eml"]

    assert all(same(found[parser]) != same(parsed(raw)) for parser in PARSERS)
