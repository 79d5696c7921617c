"""How large every mail is, and what its lines are made of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mail.mails import Mail

MOST_HTML = 30_000
MOST_STYLE = 8_000
MOST_MESSAGE = 60_000
LONGEST = 78
#: RFC 5322; a link must not be broken, or programs do not find it.
LONGEST_LINK = 998
_STYLE = re.compile(r"<style\b.*?</style>", re.DOTALL | re.IGNORECASE)


def style_bytes(html: str) -> int:
    """The bytes of all `<style>` elements, those for Outlook alone included."""
    return sum(len(one.encode()) for one in _STYLE.findall(html))


def long_lines(message: bytes) -> list[bytes]:
    """The lines that are too long for their kind."""
    return [
        line
        for line in message.split(b"\r\n")
        if len(line) > (LONGEST_LINK if line.lower().startswith(b"list-unsubscribe:") else LONGEST)
    ]


def excess(html: str, message: bytes) -> dict[str, int]:
    """What is more than it may be."""
    measured = {
        "HTML": (len(html.encode()), MOST_HTML),
        "style": (style_bytes(html), MOST_STYLE),
        "message": (len(message), MOST_MESSAGE),
        "long lines": (len(long_lines(message)), 0),
        "8-bit bytes": (sum(byte > 126 for byte in message), 0),
        "bare line ends": (message.replace(b"\r\n", b"").count(b"\n"), 0),
    }
    return {what: is_ for what, (is_, most) in measured.items() if is_ > most}


def test_every_mail_is_small(mails: tuple[Mail, ...]) -> None:
    """HTML, styles and message keep within their bytes; each line is short, ASCII, and ends as SMTP asks."""
    found = {mail.name: excess(mail.html, mail.message) for mail in mails}

    assert {name: one for name, one in found.items() if one} == {}


@pytest.mark.parametrize(
    ("html", "message", "what"),
    [
        ("é" * 15_001, b"", "HTML"),
        (f"<style>{'a' * 4_000}</style><STYLE media=x>{'b' * 4_000}</STYLE>", b"", "style"),
        ("", b"a\r\n" * 20_001, "message"),
        ("", b"a" * 79, "long lines"),
        ("", b"\xc3", "8-bit bytes"),
        ("", b"a\n", "bare line ends"),
    ],
)
def test_what_is_too_large_is_seen(html: str, message: bytes, what: str) -> None:
    """Each measure finds the mail that breaks it alone."""
    assert list(excess(html, message)) == [what]


def test_the_control_is_not_let_pass(poor: Path) -> None:
    """The poor mail has lines that are too long, however they end."""
    html = (poor / "poor.html").read_text(encoding="utf-8")
    message = (poor / "poor.eml").read_bytes()

    assert excess(html, message.replace(b"\n", b"\r\n")).keys() == {"long lines"}
    assert excess(html, message).keys() > {"bare line ends"}
