"""A mail as bytes: sealed once per variant, finished per person by a join.

`seal` does what costs: it encodes both bodies, builds the headers that all readers share, and sees that
nothing slipped in. `finish` puts in who it goes to. A message is 7-bit with CRLF and
lines of at most 78 columns (RFC 5322, 2.1.1); only ``List-*`` headers and a line that holds one long address,
id or other word get longer, up to the 998 that the RFC allows.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from dispatcher.domain.address import canonical
from dispatcher.domain.house import Sender
from dispatcher.mail import body, guard, header, parts
from dispatcher.mail.content import DECIDE, RECIPIENT, SLOTS, UNSUBSCRIBE, Content, Invite, Method
from dispatcher.mail.sealed import Place, Sealed

__all__ = [
    "Addressee",
    "Place",
    "Sealed",
    "expected",
    "filled",
    "finish",
    "list_headers",
    "message_id",
    "opening",
    "seal",
]

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


def seal(content: Content, *, headers: Mapping[str, str], decide: Mapping[str, str] | None = None) -> bytes:
    """Everything about a message that does not depend on its reader; opaque bytes for `Sealed.load`.

    Args:
        content: What is read.
        headers: Further headers that all readers share, in printable ASCII; see `list_headers`.
        decide: What a link to decide says beside who reads it, if the content has a place for one.

    Raises:
        ValueError: The subject or a header cannot be one: a control character, a reserved name.
    """
    allowed = tuple(_allowed(headers).items())
    frame = _Frame(content.language, allowed, content.invite.method if content.invite else None)
    sealed = frame.around(content, decide or {})
    _prove(content, sealed)
    _proved(frame)
    return sealed.dump()


@dataclass(frozen=True, slots=True)
class _Frame:
    """What mails of one kind, in one language, are beside their words."""

    language: str
    headers: tuple[tuple[str, str], ...]
    method: Method | None

    def around(self, content: Content, decide: Mapping[str, str]) -> Sealed:
        text, page = body.pieces(content.text), body.pieces(content.html)
        # No quoted-printable text has "=_" in it, so a boundary with it can occur in no body.
        digest = hashlib.sha256(b"\0".join((*text, *page))).hexdigest()
        boundary, outer = f"=_{digest[:32]}", f"=_{digest[32:]}"
        opening, closing = parts.multipart("alternative", boundary), f"\r\n--{boundary}--\r\n".encode()
        if content.invite:
            opening = parts.multipart("mixed", outer) + f"\r\n--{outer}\r\n".encode() + opening
            closing += parts.attached(outer, content.invite)
        names, head = _shared(self.language, self.headers)
        return Sealed(
            names=names,
            subject=header.unstructured("Subject", content.subject),
            head=head + opening + parts.part(boundary, "plain", self.language),
            text=text,
            middle=parts.part(boundary, "html", self.language),
            html=page,
            tail=closing,
            decide=decide,
        )


@lru_cache(256)
def _shared(language: str, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, ...], bytes]:
    """The names of the headers that all readers share, and all of these but the last as they leave."""
    shared = {**_FIXED, "Content-Language": language, **dict(headers)}
    return (*shared, "Content-Type"), b"".join(header.structured(*item) for item in shared.items())


@lru_cache(256)
def _proved(frame: _Frame) -> None:
    """Parses a mail in this frame back; a frame that holds once holds whatever the words are.

    Raises:
        ValueError: A reader would see other headers or parts.
    """
    invite = Invite(frame.method, "x\r\n") if frame.method else None
    sealed = frame.around(Content("x", "x", "x", "", frame.language, invite), {})
    parts.verify(finish(sealed, _SAMPLE), expected(sealed, _SAMPLE), calendar=invite is not None)


def _prove(content: Content, sealed: Sealed) -> None:
    """Proves that the words of a mail are nothing but words, whatever frame they stand in.

    Raises:
        ValueError: They are not; see `dispatcher.mail.guard`.
    """
    guard.header_holds(sealed.subject, content.subject)
    for cut, text in ((sealed.text, content.text), (sealed.html, content.html)):
        guard.body_holds(body.joined(cut, _SAMPLE_SLOTS), body.said(text, _SAMPLE_SAID))


def finish(sealed: Sealed, person: Addressee) -> bytes:
    """The whole message for `person`, ready for SMTP's DATA before dot-stuffing.

    Raises:
        ValueError: The address, name, an id or the URL of `person` cannot stand in a header.
    """
    runs = sealed.runs()
    own = filled([run for run in runs if isinstance(run, Place)], person)
    rest = (own[run] if isinstance(run, Place) else run for run in runs)
    return b"".join((opening(sealed.subject, person), *rest))


def opening(subject: bytes, person: Addressee) -> bytes:
    """The headers that are the reader's own; what follows them is `Sealed.runs` with its places `filled`.

    Args:
        subject: The header, as `Sealed` has it.
        person: Who it is for.

    Raises:
        ValueError: The address, name, an id or the URL of `person` cannot stand in a header.
    """
    return b"".join(
        (
            _from(person.sender),
            header.mailbox("To", person.name, person.address),
            subject,
            _date(person.date),
            header.identifier("Message-ID", person.message_id),
            _thread(person.thread_root),
            _one_click(person.unsubscribe),
        )
    )


def filled(places: Iterable[Place], person: Addressee) -> Mapping[Place, bytes]:
    """What stands in each place for `person`, on lines of its own.

    Raises:
        ValueError: The address is none, or the mail has a link, and no URL was given for it.
    """
    said = {_ADDRESS: canonical(person.address), _STOP: person.unsubscribe, _DECIDE: person.decide}
    found = {}
    for place in places:
        text = said[place.slot]
        if not text:
            to = "unsubscribe" if place.slot == _STOP else "decide"
            raise ValueError(f"the mail has a link to {to}, and no URL was given for it")
        found[place] = body.slot(html.escape(text) if place.page else text)
    return found


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


#: What stands in every slot while a body is proved: the words around it are what could go wrong.
_SAMPLE_SAID = "sample@example.com"
_SAMPLE_SLOTS = {slot.encode(): body.slot(_SAMPLE_SAID) for slot in SLOTS}


@lru_cache(256)
def _date(moment: datetime) -> bytes:
    """The header; deliveries of one part share their moment."""
    return b"Date: %b\r\n" % format_datetime(moment.astimezone(UTC)).encode("ascii")


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
