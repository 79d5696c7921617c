"""The parts of a message: how they are written, and a guard that reads them back."""

from __future__ import annotations

import binascii
import email
import email.policy
import re
from collections.abc import Sequence
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage, MIMEPart
from functools import lru_cache
from typing import Any

from dispatcher.mail.content import Invite
from dispatcher.mail.guard import body_holds

_PART = ("Content-Type", "Content-Language", "Content-Transfer-Encoding")
_ATTACHED = ("Content-Type", "Content-Disposition", "Content-Transfer-Encoding")
#: A line that does not end with CRLF; no relay would take it.
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
# A header is parsed whenever it is asked for, the same ones in every mail: that would be most of what sealing
# costs. What comes of it is text that nobody can change.
_POLICY = email.policy.default.clone(header_factory=lru_cache(4096)(HeaderRegistry()))
#: A part: its type, its headers, how it is to be shown, and the parts in it.
_Structure = tuple[str, tuple[str, ...], str | None, tuple["_Structure", ...]]


def multipart(subtype: str, boundary: str) -> bytes:
    """The header of a part that holds others."""
    return f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n'.encode("ascii")


def attached(boundary: str, invite: Invite) -> bytes:
    """The last part, a file that mail programs offer to the calendar (RFC 6047), and the end of the parts.

    Raises:
        ValueError: The file does not read back.
    """
    head = (
        f"\r\n--{boundary}\r\n"
        f"Content-Type: text/calendar; charset=utf-8; method={invite.method}\r\n"
        'Content-Disposition: attachment; filename="invite.ics"\r\n'
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    # To the byte: a file for calendars needs its CRLF, which decoders of text make LF, so it is written
    # =0D=0A. Not base64, which spam filters hold against text. What ends the soft breaks depends on the text.
    said = invite.text.encode()
    encoded = _BARE.sub(b"\r\n", binascii.b2a_qp(said, istext=False))
    body_holds(encoded, said)
    return head.encode("ascii") + encoded + f"\r\n--{boundary}--\r\n".encode("ascii")


def part(boundary: str, subtype: str, language: str) -> bytes:
    """The boundary before a body, and the body's headers."""
    return (
        f"\r\n--{boundary}\r\n"
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Language: {language}\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode("ascii")


def verify(message: bytes, names: Sequence[str], *, calendar: bool = False) -> None:
    """Parses `message` back and compares its headers with the expected `names`, in order, and its parts.

    Args:
        message: The whole message.
        names: The headers it is to have; see `dispatcher.mail.message.expected`.
        calendar: Whether it is to bring a file for calendars.

    Raises:
        ValueError: A reader would see other headers or parts, or a malformed message.
    """
    parsed = email.message_from_bytes(message, _class=EmailMessage, policy=_POLICY)
    if parsed.keys() != list(names):
        raise ValueError(f"the message reads back with the headers {parsed.keys()}, not {list(names)}")
    # Parsing a structured value is what would bring a hidden line break or a second address to light.
    defects: list[object] = []
    read, top = _read(parsed, defects)
    if defects or len(top["To"].addresses) != 1 or len(top["From"].addresses) != 1:
        raise ValueError(f"the message reads back malformed: {defects or 'not one sender and one reader'}")
    wanted = _bodies(*names)
    if calendar:
        file = ("text/calendar", _ATTACHED, "attachment", ())
        wanted = ("multipart/mixed", tuple(names), None, (_bodies("Content-Type"), file))
    if read != wanted:
        raise ValueError(f"the message reads back with the parts {read}, not {wanted}")
    # What stands beside the parts is shown by none, but kept, searched and sometimes taken for more.
    around = [text for one in parsed.walk() for text in (one.preamble, one.epilogue)]
    beside = [text for text in around if text and text.strip()]
    if bare := _BARE.search(message):
        raise ValueError(f"the message has a line that does not end with CRLF, at byte {bare.start()}")
    if beside or not message.isascii():
        raise ValueError(f"the message reads back with text that is in no part, or not in ASCII: {beside}")


def _bodies(*names: str) -> _Structure:
    """The two bodies that say the same, in a part with these headers."""
    said: tuple[_Structure, ...] = (("text/plain", _PART, None, ()), ("text/html", _PART, None, ()))
    return ("multipart/alternative", names, None, said)


def _read(part: MIMEPart, defects: list[object]) -> tuple[_Structure, dict[str, Any]]:
    """A part as it reads, and its headers; what is wrong with it and all in it is added to `defects`."""
    items = part.items()  # a header is parsed anew whenever it is asked for, which costs
    headers: dict[str, Any] = dict(items)
    defects += [*part.defects, *(defect for _, value in items for defect in value.defects)]
    inner: Any = part.get_payload() if part.is_multipart() else ()
    kind = getattr(headers.get("Content-Type"), "content_type", "")
    shown = getattr(headers.get("Content-Disposition"), "content_disposition", None)
    return (
        kind,
        tuple(name for name, _ in items),
        shown,
        tuple(_read(one, defects)[0] for one in inner),
    ), headers
