"""What may be put on the wire."""

from __future__ import annotations

import pytest
from aiosmtplib.email import parse_address, quote_address
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.smtp.envelope import _USUAL, Envelope, is_plain, lines, problem

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
PLAIN = ("a@b.example", "first.last+tag@xn--bcher-kva.example", "o'neil@b.example", "a@[127.0.0.1]")
NOT_PLAIN = (
    "",
    "a",
    "@b.example",
    "a@",
    "a@b.example, c@d.example",
    "a@b.example,c@d.example",
    "A <a@b.example>",
    "<a@b.example>",
    "a@b.example>",
    "a@b.example SIZE=1",
    "a@b.example\r\nRCPT TO:<c@d.example>",
    "a\0@b.example",
    "a\x7f@b.example",
    "a\x85@b.example",
    "a\u2028@b.example",
    " a@b.example",
    "a@b.example\n",
    '"a b"@b.example',
    '"a"@b.example',
    "a(comment)@b.example",
    "bücher@b.example",
    "a@bücher.example",
)


@pytest.mark.parametrize("address", PLAIN)
def test_plain_addresses_pass(address: str) -> None:
    """An address that reaches the server as it is written is plain."""
    assert is_plain(address)
    assert problem(Envelope(address, address, MESSAGE)) is None


@pytest.mark.parametrize("address", NOT_PLAIN)
def test_other_addresses_are_refused(address: str) -> None:
    """An address that could be cut short, or smuggle a command, is refused as either side."""
    as_recipient = problem(Envelope("a@b.example", address, MESSAGE))
    as_sender = problem(Envelope(address, "a@b.example", MESSAGE))

    assert as_recipient is not None
    assert as_recipient.startswith("The recipient address ")
    assert as_sender is not None
    assert as_sender.startswith("The sender address ")


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=30) | st.from_regex(r"[!-~]{1,12}@[!-~]{1,12}", fullmatch=True))
def test_a_plain_address_reaches_the_wire_unchanged(address: str) -> None:
    """Whatever passes, aiosmtplib sends between angle brackets as it is; nothing raises."""
    if is_plain(address):
        assert quote_address(address) == f"<{address}>"


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (b"", "CRLF"),
        (b"Subject: x\r\n\r\nno end", "CRLF"),
        (b"Subject: x\n\nbody\n", "CRLF"),
        (b"Subject: x\r\n\r\nbody\n.\r\nMAIL FROM:<x@y>\r\n", "CRLF"),
        (b"Subject: x\r\n\r\nbody\r.\r\n", "CRLF"),
        (b"Subject: x\r\n\r\nbody\n\r.\r\n", "CRLF"),
        (b"\nSubject: x\r\n\r\nbody\r\n", "CRLF"),
        (b"Subject: x\r\n\r\nbody\r\n\n\r\n", "CRLF"),
        (b"Subject: x\r\n\r\nbody\r\r\n", "CRLF"),
        (b"Subject: x\r\n\r\nbody\r\n\r", "CRLF"),
        ("Subject: x\r\n\r\nbücher\r\n".encode(), "7-bit"),
        (b"Subject: x\r\n\r\n\0\r\n", "7-bit"),
        (b"Subject: x\r\n\r\n" + b"x" * 999 + b"\r\n", "998"),
        (b"Subject: x\r\n\r\n" + b"x\r\n" * 900 + b"x" * 999 + b"\r\nx\r\n", "998"),
    ],
)
def test_other_messages_are_refused(message: bytes, word: str) -> None:
    """A message that servers read differently is refused, with the reason."""
    found = problem(Envelope("a@b.example", "c@d.example", message))

    assert found is not None
    assert word in found


@pytest.mark.parametrize("before", [0, 1, 500, 996, 997, 998])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_lines_of_998_octets_pass(before: int, count: int) -> None:
    """The longest line that RFC 5321 allows is allowed, wherever it begins."""
    message = b"Subject: x\r\n\r\n" + b"y" * before + b"\r\n" + (b"x" * 998 + b"\r\n") * count
    longer = message[:-2] + b"x\r\n"

    assert problem(Envelope("a@b.example", "c@d.example", message)) is None
    assert "998" in str(problem(Envelope("a@b.example", "c@d.example", longer)))


@settings(derandomize=True, deadline=None)
@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a", b"."]), max_size=9).map(b"".join))
def test_only_crlf_ends_lines(text: bytes) -> None:
    """The searches say what taking all CRLFs away would say."""
    bare = not set(b"\r\n").isdisjoint(text.replace(b"\r\n", b""))
    found = problem(Envelope("a@b.example", "c@d.example", text + b"\r\n"))

    assert (found is not None) == bare


@settings(derandomize=True, deadline=None)
@given(st.from_regex(r"[a-z.+_'=?!/{}-]{1,9}@[a-z0-9.-]{1,9}", fullmatch=True))
def test_usual_addresses_are_what_aiosmtplib_reads(address: str) -> None:
    """What the expression for usual ones lets pass, the reader of all others would as well."""
    if _USUAL.fullmatch(address):
        assert parse_address(address) == address


def test_an_envelope_prints_without_its_message() -> None:
    """A log line with an envelope does not hold a mail."""
    assert "body" not in repr(Envelope("a@b.example", "c@d.example", MESSAGE))


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"a\r\n", b"a\r\n.\r\n"),
        (b".a\r\n", b"..a\r\n.\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r\n..\r\n.b\r\n", b"a\r\n...\r\n..b\r\n.\r\n"),
        (b"a.\r\nb\r\n", b"a.\r\nb\r\n.\r\n"),
    ],
)
def test_leading_dots_are_doubled(message: bytes, wire: bytes) -> None:
    """No line of a message can be taken for its end."""
    assert Envelope("a@b.example", "c@d.example", message).wire() == wire


_LINES = st.lists(st.text(alphabet=".ab", max_size=4).map(lambda text: f"{text}\r\n".encode()), min_size=1)


@settings(derandomize=True, deadline=None)
@given(st.lists(_LINES.map(b"".join), min_size=1))
def test_lines_that_were_looked_at_before_leave_as_the_whole_does(parts: list[bytes]) -> None:
    """A message in parts has the octets on the wire, and the size, that it has in one piece."""
    whole = Envelope("a@b.example", "c@d.example", b"".join(parts))
    cut = Envelope("a@b.example", "c@d.example", tuple(map(lines, parts)))

    assert (cut.wire(), cut.size) == (whole.wire(), whole.size)
    assert problem(cut) is None


@pytest.mark.parametrize(
    "text", [b"", b"no end", b"a\nb\r\n", b"a\rb\r\n", b"\xff\r\n", b"x" * 999 + b"\r\n"]
)
def test_what_is_no_line_is_never_taken_for_one(text: bytes) -> None:
    """Nothing becomes part of a message that could end a line at some servers and not at others."""
    with pytest.raises(ValueError, match="The message"):
        lines(text)
