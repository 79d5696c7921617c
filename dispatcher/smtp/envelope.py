"""One message for one recipient, and whether it may be put on the wire. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aiosmtplib.email import parse_address

#: RFC 5321 section 4.5.3.1.6: 1000 octets with CRLF.
LINE_LENGTH = 998
#: RFC 5321's Dot-string at a Domain: what nearly every address is, and what no reader of addresses changes.
_USUAL = re.compile(
    r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@[a-z0-9-]+(?:\.[a-z0-9-]+)*",
    re.ASCII | re.IGNORECASE,
)
# Each begins with a plain octet, so that a search leaps from one such octet to the next.
_DOT = re.compile(rb"\n\.")
_BARE_CR = re.compile(rb"\r(?!\n)")
_BARE_LF = re.compile(rb"\n(?<!\r\n)")


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines that may be put on the wire; made by `lines`. What is joined of such is fit as well.

    Attributes:
        wire: As they leave, dot-stuffed (RFC 5321 section 4.5.2).
        size: Octets without the dots that were added (RFC 1870 section 6).
    """

    wire: bytes = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one SMTP transaction carries: exactly one recipient.

    Attributes:
        sender: The return path, a plain ``local@domain``.
        recipient: A plain ``local@domain``.
        message: Headers and body, 7-bit, every line ended by CRLF, not dot-stuffed; or the same in lines that
            were looked at before, so that what many messages have in common is looked at once.
    """

    sender: str
    recipient: str
    message: bytes | tuple[Lines, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """Octets of the message, as a server counts them."""
        if isinstance(self.message, bytes):
            return len(self.message)
        return sum([part.size for part in self.message])

    def wire(self) -> bytes:
        """The message as it goes over the wire, final dot included."""
        if isinstance(self.message, bytes):
            return b"%b.\r\n" % stuffed(self.message)
        return b"".join([*[part.wire for part in self.message], b".\r\n"])


def lines(text: bytes) -> Lines:
    """Lines as they leave.

    Raises:
        ValueError: They may not be put on the wire.
    """
    if problem := _message_problem(text):
        raise ValueError(problem)
    return Lines(stuffed(text), len(text))


def stuffed(text: bytes) -> bytes:
    """Lines with the dots at their beginnings doubled."""
    # Few texts have such a line, and to look for one costs a quarter of what replacing does.
    body = text.replace(b"\r\n.", b"\r\n..") if _DOT.search(text) else text
    return b"." + body if body.startswith(b".") else body


def problem(envelope: Envelope) -> str | None:
    """Why an envelope cannot be sent as it is, or None if it can."""
    for name, address in (("sender", envelope.sender), ("recipient", envelope.recipient)):
        if not is_plain(address):
            return (
                f"The {name} address {address!a} is not a plain local@domain in ASCII. "
                "Correct it where it is written."
            )
    return _message_problem(envelope.message) if isinstance(envelope.message, bytes) else None


def is_plain(address: str) -> bool:
    """True if an address reaches the server exactly as it is written.

    aiosmtplib reads addresses leniently: of ``a@b, c@d`` it would send ``a@b``, and of ``A <a@b>``
    too. Whatever it would change is not plain.
    """
    if _USUAL.fullmatch(address):
        return True
    local, _, domain = address.rpartition("@")
    if not (local and domain and address.isascii() and address.isprintable()):
        return False
    if not set(' <>,"').isdisjoint(address):
        return False
    return parse_address(address) == address


def _message_problem(message: bytes) -> str | None:
    # A bare CR or LF is a line end to some servers only: the root of SMTP smuggling (RFC 5321 2.3.8).
    bare = _BARE_CR.search(message) or _BARE_LF.search(message)
    if bare or not message.endswith(b"\r\n"):
        return "The message has a line that does not end with CRLF. Build it with policy.SMTP."
    if not message.isascii() or b"\0" in message:
        return "The message is not 7-bit text. Encode it as quoted-printable or base64."
    if _has_long_line(message):
        return f"The message has a line over {LINE_LENGTH} octets. Encode it as quoted-printable."
    return None


def _has_long_line(message: bytes) -> bool:
    """Whether a line is over `LINE_LENGTH`; leaps from the last end of a line within reach to the next."""
    start, reach = 0, LINE_LENGTH + len(b"\r\n")
    while len(message) - start > reach:
        start = message.rfind(b"\n", start, start + reach) + 1
        if not start:
            return True
    return False
