"""A mail as bytes: sealed once per variant, finished per person by a join.

`seal` does what costs: it encodes both bodies, builds the headers that all readers share, and parses a
sample back to see that nothing slipped in. `finish` puts in who it goes to. A message is 7-bit with CRLF and
lines of at most 78 columns (RFC 5322, 2.1.1); only ``List-*`` headers and a line that holds one long address,
id or other word get longer, up to the 998 that the RFC allows.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

import orjson

from dispatcher.domain.address import canonical
from dispatcher.domain.house import Sender
from dispatcher.mail import body, header, parts
from dispatcher.mail.content import DECIDE, RECIPIENT, UNSUBSCRIBE, Content

_VERSION = 1
_URL = re.compile(r"https://[\x21-\x3b\x3d\x3f-\x7e]{1,900}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
_ADDRESS, _STOP, _DECIDE = RECIPIENT.encode(), UNSUBSCRIBE.encode(), DECIDE.encode()
_PERSONAL = ("From", "To", "Subject", "Date", "Message-ID")
_THREADED = ("In-Reply-To", "References")
_UNSUBSCRIBE = ("List-Unsubscribe", "List-Unsubscribe-Post")
_FIXED = {
    "MIME-Version": "1.0",
    "Auto-Submitted": "auto-generated",  # RFC 3834, 5
    "X-Auto-Response-Suppress": "DR, RN, NRN, OOF, AutoReply",  # never All: it silences bounces
}
#: What `seal` and `finish` write themselves, or what would add a recipient or change the encoding.
_OURS = frozenset(
    name.lower()
    for name in (
        *(*_PERSONAL, *_THREADED, *_UNSUBSCRIBE, *_FIXED, "Content-Language", "Content-Type"),
        *("Content-Transfer-Encoding", "Cc", "Bcc", "Sender", "Return-Path", "Received", "Precedence"),
    )
)


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom a message is finished for, and what differs between their message and the next one's.

    Attributes:
        message_id: In angle brackets; the same on every try. See `message_id`.
        date: When the delivery was made; aware.
        thread_root: The message id that the thread began with, where this mail is not the first of one.
        unsubscribe: The https URL of RFC 8058's one click, for optional types; also the link in the bodies.
        decide: The https URL at which this admin approves a date or chooses another.
    """

    address: str
    name: str | None
    message_id: str
    date: datetime
    sender: Sender
    thread_root: str | None = None
    unsubscribe: str | None = None
    decide: str | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message without its reader; made by `seal`, kept as bytes, read back by `load` once per variant.

    Attributes:
        names: The headers that are the same for all readers, in their order.
        subject: The ``Subject`` header with its CRLF.
        head: The other headers that are the same for all, the blank line and the first part's headers.
        text: The first part's body in quoted-printable, cut by `body.pieces`.
        middle: What stands between the two bodies.
        html: The second part's body, cut likewise.
        tail: What comes after it, the file for calendars in it.
        decide: What a link to decide says beside who reads it; empty where the mail has none.
    """

    names: tuple[str, ...]
    subject: bytes
    head: bytes
    text: tuple[bytes, ...]
    middle: bytes
    html: tuple[bytes, ...]
    tail: bytes
    decide: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, data: bytes) -> Sealed:
        """What `seal` gave as bytes.

        Raises:
            ValueError: `data` was not made by `seal` of this version.
        """
        kept = orjson.loads(data)
        if not isinstance(kept, dict) or kept.get("version") != _VERSION:
            raise ValueError("a sealed message of another version; render its event again")
        return cls(
            names=tuple(kept["names"]),
            subject=kept["subject"].encode("ascii"),
            head=kept["head"].encode("ascii"),
            text=tuple(piece.encode("ascii") for piece in kept["text"]),
            middle=kept["middle"].encode("ascii"),
            html=tuple(piece.encode("ascii") for piece in kept["html"]),
            tail=kept["tail"].encode("ascii"),
            decide=kept.get("decide", {}),
        )

    def has(self, slot: str) -> bool:
        """Whether there is a place in the bodies for what is the reader's own."""
        return slot.encode() in self.text or slot.encode() in self.html

    def dump(self) -> bytes:
        """The bytes that `load` reads."""
        kept: dict[str, object] = {"version": _VERSION, "names": self.names}
        for key in ("subject", "head", "middle", "tail"):
            kept[key] = getattr(self, key).decode("ascii")
        for key in ("text", "html"):
            kept[key] = [piece.decode("ascii") for piece in getattr(self, key)]
        return orjson.dumps(kept | ({"decide": self.decide} if self.decide else {}))


def seal(content: Content, *, headers: Mapping[str, str], decide: Mapping[str, str] | None = None) -> bytes:
    """Everything about a message that does not depend on its reader; opaque bytes for `Sealed.load`.

    Args:
        content: What is read.
        headers: Further headers that all readers share, in printable ASCII; see `list_headers`.
        decide: What a link to decide says beside who reads it, if the content has a place for one.

    Raises:
        ValueError: The subject or a header cannot be one: a control character, a reserved name.
    """
    text, page = body.pieces(content.text), body.pieces(content.html)
    # No quoted-printable text has "=_" in it, so a boundary with it can occur in no body.
    digest = hashlib.sha256(b"\0".join((*text, *page))).hexdigest()
    boundary, outer = f"=_{digest[:32]}", f"=_{digest[32:]}"
    opening, closing = parts.multipart("alternative", boundary), f"\r\n--{boundary}--\r\n".encode()
    if content.invite:
        opening = parts.multipart("mixed", outer) + f"\r\n--{outer}\r\n".encode() + opening
        closing += parts.attached(outer, content.invite)
    shared = {**_FIXED, "Content-Language": content.language, **_allowed(headers)}
    sealed = Sealed(
        names=(*shared, "Content-Type"),
        subject=header.unstructured("Subject", content.subject),
        head=b"".join(header.structured(name, value) for name, value in shared.items())
        + opening
        + parts.part(boundary, "plain", content.language),
        text=text,
        middle=parts.part(boundary, "html", content.language),
        html=page,
        tail=closing,
        decide=decide or {},
    )
    parts.verify(finish(sealed, _SAMPLE), expected(sealed, _SAMPLE), calendar=content.invite is not None)
    return sealed.dump()


def finish(sealed: Sealed, person: Addressee) -> bytes:
    """The whole message for `person`, ready for SMTP's DATA before dot-stuffing.

    Raises:
        ValueError: The address, name, an id or the URL of `person` cannot stand in a header.
    """
    address = canonical(person.address)
    if not person.unsubscribe and sealed.has(UNSUBSCRIBE):
        raise ValueError("the mail has a link to unsubscribe, and no URL was given for it")
    if not person.decide and sealed.has(DECIDE):
        raise ValueError("the mail has a link to decide, and no URL was given for it")
    return b"".join(
        (
            _from(person.sender),
            header.mailbox("To", person.name, address),
            sealed.subject,
            b"Date: %b\r\n" % format_datetime(person.date.astimezone(UTC)).encode("ascii"),
            header.identifier("Message-ID", person.message_id),
            _thread(person.thread_root),
            _one_click(person.unsubscribe),
            sealed.head,
            body.joined(sealed.text, _slots(address, person)),
            sealed.middle,
            body.joined(sealed.html, _slots(html.escape(address), person, html.escape)),
            sealed.tail,
        )
    )


def expected(sealed: Sealed, person: Addressee) -> tuple[str, ...]:
    """The names of the headers that `finish` gives, in order."""
    return (
        *_PERSONAL,
        *(_THREADED if person.thread_root else ()),
        *(_UNSUBSCRIBE if person.unsubscribe else ()),
        *sealed.names,
    )


def message_id(delivery_id: str, domain: str) -> str:
    """The Message-ID of a delivery, in our domain; the same for every try."""
    return f"<{delivery_id}@{domain.lower()}>"


def list_headers(type_key: str, language: str, domain: str) -> dict[str, str]:
    """``List-Id`` (RFC 2919) and ``Feedback-ID``, stable for a communication type.

    Args:
        type_key: The type's key in the catalogue.
        language: The language the mail is written in.
        domain: The domain of the sender's address.
    """
    sender = re.sub(r"[^a-z0-9]", "", domain.lower()).ljust(5, "0")[:15]  # 5 to 15 characters, says Gmail
    return {
        "List-Id": f"<{type_key}.notices.{domain.lower()}>",
        "Feedback-ID": f"{type_key}:{language}:notices:{sender}",
    }


_SAMPLE = Addressee(
    address="reader@example.com",
    name="Réader, Sample",
    message_id="<sample@example.com>",
    date=datetime(2026, 1, 1, tzinfo=UTC),
    sender=Sender(address="sender@example.com", name="Sender"),
    unsubscribe="https://example.com/stop",
    decide="https://example.com/decide",
)


def _slots(
    address: str, person: Addressee, escaped: Callable[[str], str] = lambda text: text
) -> dict[bytes, bytes]:
    return {
        _ADDRESS: body.slot(address),
        _STOP: body.slot(escaped(person.unsubscribe or "")),
        _DECIDE: body.slot(escaped(person.decide or "")),
    }


@lru_cache(64)
def _from(sender: Sender) -> bytes:
    return header.mailbox("From", sender.name, sender.address)


def _thread(root: str | None) -> bytes:
    return b"".join(header.identifier(name, root) for name in _THREADED) if root else b""


def _one_click(url: str | None) -> bytes:
    if not url:
        return b""
    if not _URL.fullmatch(url):
        raise ValueError(f"the unsubscribe URL {url[:80]!r} is no https URL in printable ASCII")
    one_click = "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
    return f"List-Unsubscribe: <{url}>\r\n{one_click}\r\n".encode("ascii")


def _allowed(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name in headers:
        if not _NAME.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"{name[:80]!r} cannot be given as a header: it is reserved or no header name")
    return headers
