"""One message for one recipient, and whether it may be put on the wire. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiosmtplib.email import parse_address

#: RFC 5321 section 4.5.3.1.6: 1000 octets with CRLF.
LINE_LENGTH = 998


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one SMTP transaction carries: exactly one recipient.

    Attributes:
        sender: The return path, a plain ``local@domain``.
        recipient: A plain ``local@domain``.
        message: Headers and body, 7-bit, every line ended by CRLF, not dot-stuffed.
    """

    sender: str
    recipient: str
    message: bytes = field(repr=False)


def problem(envelope: Envelope) -> str | None:
    """Why an envelope cannot be sent as it is, or None if it can."""
    for name, address in (("sender", envelope.sender), ("recipient", envelope.recipient)):
        if not is_plain(address):
            return (
                f"The {name} address {address!a} is not a plain local@domain in ASCII. "
                "Correct it where it is written."
            )
    return _message_problem(envelope.message)


def is_plain(address: str) -> bool:
    """True if an address reaches the server exactly as it is written.

    aiosmtplib reads addresses leniently: of ``a@b, c@d`` it would send ``a@b``, and of ``A <a@b>``
    too. Whatever it would change is not plain.
    """
    local, _, domain = address.rpartition("@")
    if not (local and domain and address.isascii() and address.isprintable()):
        return False
    if not set(' <>,"').isdisjoint(address):
        return False
    return parse_address(address) == address


def _message_problem(message: bytes) -> str | None:
    ends = message.count(b"\r\n")
    # A bare CR or LF is a line end to some servers only: the root of SMTP smuggling (RFC 5321 2.3.8).
    if not message.endswith(b"\r\n") or ends != message.count(b"\n") or ends != message.count(b"\r"):
        return "The message has a line that does not end with CRLF. Build it with policy.SMTP."
    if not message.isascii() or b"\0" in message:
        return "The message is not 7-bit text. Encode it as quoted-printable or base64."
    if max(map(len, message.split(b"\r\n"))) > LINE_LENGTH:
        return f"The message has a line over {LINE_LENGTH} octets. Encode it as quoted-printable."
    return None
