from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from domain_examples import steady
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.house import Sender
from dispatcher.mail import header
from dispatcher.mail.content import Content
from dispatcher.mail.guard import body_holds, header_holds
from dispatcher.mail.message import Addressee, Sealed, expected, finish, seal
from dispatcher.mail.parts import verify

PERSON = Addressee(
    address="ops@contoso.example",
    name="Operations",
    message_id="<abc123@fabrikam.example>",
    date=datetime(2027, 3, 6, 21, 0, tzinfo=UTC),
    sender=Sender(address="notices@fabrikam.example", name="Fabrikam"),
)
SEALED = Sealed.load(seal(Content("s", "<p>x</p>\n", "x\n", "t@0", "en"), headers={}))
BOUNDARY = SEALED.tail.strip().strip(b"-")
#: What breaks a message where it stands alone, and what only looks like it.
PIECES = (
    *(b"=", b"=_", b"=3D", b"=20", b"=\r\n", b"=0D=0A", b"=0", b"=3d", b"=?utf-8?q?x?="),
    *(b"\r\n", b"\r", b"\n", b"\t", b" ", b"\x00", b"\x0b", b"\x0c", b"\x1c", b"\x7f", b"\x85", b"\xc3\xa9"),
    *(b"--", b"--" + BOUNDARY, b"--" + BOUNDARY + b"--", BOUNDARY, b"--=_x", b"-- "),
    *(b"Bcc: a@b.example", b"Content-Type: text/html", b".", b"From ", b"text", b"<p>", b"_", b"?="),
)
pieces = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
subjects = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=120)


def passes(check: Callable[[], None]) -> bool:
    try:
        check()
    except ValueError:
        return False
    return True


def parsed(sealed: Sealed) -> bool:
    return passes(lambda: verify(finish(sealed, PERSON), expected(sealed, PERSON)))


@steady
@given(body=pieces, start=st.sampled_from((b"", b"\r\n", b"text\r\n")))
def test_a_body_that_the_parser_refuses_is_refused(body: bytes, start: bytes) -> None:
    """Whatever bytes a body were, the guard lets none through with which the message reads otherwise."""
    body = start + body
    holds = passes(lambda: body_holds(body, binascii.a2b_qp(body)))

    assert not holds or parsed(replace(SEALED, html=(body,)))
    assert not holds or parsed(replace(SEALED, text=(body,)))


@steady
@given(value=pieces, start=st.sampled_from((b"Subject: ", b"Subject:", b"", b"Subject: x\r\n ")))
def test_a_header_that_the_parser_refuses_is_refused(value: bytes, start: bytes) -> None:
    """Whatever bytes a subject were, the guard lets none through that adds, ends or harms a header."""
    line = start + value + b"\r\n"
    said = value.decode("latin-1")
    holds = any(passes(partial(header_holds, line, one)) for one in (said, f"x {said}", ""))

    assert not holds or parsed(replace(SEALED, subject=line))


@steady
@given(subject=subjects)
def test_every_subject_that_is_written_holds(subject: str) -> None:
    """What `header.unstructured` writes is what the guard expects, and says what it was given."""
    header_holds(header.unstructured("Subject", subject), subject)


@pytest.mark.parametrize(
    "line",
    [
        b"Subject: x\r\nBcc: a@b.example\r\n",
        b"Subject: x\r\n\r\n",
        b"Subject: x\r\n \r\n",
        b"Subject: x\nBcc: a@b.example\r\n",
        b"Subject: x",
        b"Subject: x =?utf-8?q?=0ABcc:_a@b.example?=\r\n",
        b"Subject: =?utf-8?q?x?=\r\nBcc: =?utf-8?q?x?=\r\n",
        b"Subject: \xc3\xa9\r\n",
        b"Subject: y\r\n",
    ],
)
def test_no_header_but_the_one_that_was_meant(line: bytes) -> None:
    """More than one header, a bare line break, eight bits or other words are refused."""
    with pytest.raises(ValueError, match=r"is not one header|reads back as something else"):
        header_holds(line, "x")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"caf\xc3\xa9", "which quoted-printable does not have"),
        (b"x\x00y", "which quoted-printable does not have"),
        (b"x\ny", "does not end with CRLF"),
        (b"x\r\r\ny", "does not end with CRLF"),
        (b"--=_0123", "escapes nothing"),
        (b"a=b", "escapes nothing"),
        (b"end=", "escapes nothing"),
        (b"other=20words", "something else"),
    ],
)
def test_no_body_but_the_one_that_was_meant(body: bytes, why: str) -> None:
    """Each way in which a body can be more than text, or other text, has its word."""
    with pytest.raises(ValueError, match=why):
        body_holds(body, b"other  words")


def test_every_frame_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other words make no other frame; another header or language does."""
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr("dispatcher.mail.parts.verify", lambda _, names, **__: seen.append(names))
    content = Content("s", "<p>x</p>\n", "x\n", "t@0", "xx-once")
    for number in range(3):
        seal(replace(content, subject=f"s {number}", text=f"x {number}\n"), headers={"X-Once": "a"})
    seal(content, headers={"X-Once": "b"})
    seal(replace(content, language="yy-once"), headers={"X-Once": "b"})

    assert len(seen) == 3
