"""What readers of one variant read, before it is a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# These stand in HTML and text until delivery. The renderer breaks up any other text that is spelt like one,
# so neither event data nor a template can ask for what is the reader's by writing it.
#: Where the reader's own address goes.
RECIPIENT = "RcptAddr7Q2mXk9VtHd4"
#: Where the URL goes by which the reader stops mails of an optional type.
UNSUBSCRIBE = "StopLink5Wn8RzBq3Jy6"
#: Where the URL goes by which an admin approves a date or chooses another.
DECIDE = "DecideUrl3Tg6YvMx8Kb1"
#: All of them.
SLOTS = (RECIPIENT, UNSUBSCRIBE, DECIDE)


Method = Literal["PUBLISH", "CANCEL"]


@dataclass(frozen=True, slots=True)
class Invite:
    """A window as a file for calendars.

    Attributes:
        method: What is to be done with it (RFC 5546): keep it, or strike it off.
        text: The file, with CRLF.
    """

    method: Method
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """One variant: a subject and two bodies that say the same.

    Attributes:
        subject: The subject line, decoded.
        html: A whole HTML document, styles inlined; with `SLOTS` where these go.
        text: The same in plain text, likewise.
        template: The template's name and the version of its bytes: ``maintenance@3f2a9c1e``.
        language: The BCP 47 code of the language it is written in.
        invite: The window that it brings for calendars, if it brings one.
    """

    subject: str
    html: str
    text: str
    template: str
    language: str
    invite: Invite | None = None
