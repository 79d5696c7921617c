"""The mail that all peers send: the catalogue's own, as Jinja2 and premailer alone make it.

Templates, texts and dates are those that the program itself sends. What comes of them is about an eighth
larger than the program's own messages. What depends on language and time zone alone is got ready before the
clock starts, in the peers' favour.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

from premailer import Premailer

from benchmarks.harness.roots import LANGUAGES, ZONES
from dispatcher.app import locales_of_program
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.fields import parse_fields, sample
from dispatcher.domain.instance import Instance
from dispatcher.domain.window import Entry, window_of
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow.reading import Reading, view_of
from dispatcher.mail.environment import context_for, html_environment, text_environment
from dispatcher.mail.invite import invite
from dispatcher.mail.subject import subject
from dispatcher.mail.translations import Translations
from dispatcher.mail.view import View

TYPE = "planned-maintenance"
SENDER = "notices@fabrikam.example"
_INSTANCE = Instance.model_validate(
    {"instance": "crowd", "name": "Crowd Production", "version": "9.1", "admins": ["admin@crowd.example"]}
)
_PREMAILER: dict[str, Any] = {
    "keep_style_tags": True,
    "strip_important": False,
    "disable_validation": True,
    "allow_network": False,
    "disable_basic_attributes": ["bgcolor", "align", "valign", "width", "height"],
    "cssutils_logging_level": logging.CRITICAL,
}


def reader(number: int) -> tuple[str, str, str]:
    """Address, language and time zone of one of the readers."""
    return f"p{number}@crowd.example", LANGUAGES[number % 9], ZONES[number % 20]


@dataclass(frozen=True, slots=True)
class Wording:
    """What is the same for all who read one language in one zone."""

    subject: str
    context: Mapping[str, Any]
    calendar: str


class Mails:
    """Makes mails as a program would that has Jinja2, premailer and the standard library.

    Args:
        root: The folder with ``catalogue.yaml`` and ``templates/``.
    """

    def __init__(self, root: Path) -> None:
        self._catalogue = load_catalogue(root / "catalogue.yaml", templates=root / "templates")
        self._translations = Translations(root, locales_of_program())
        self._html = html_environment(root / "templates")
        self._text = text_environment(root / "templates")
        self._template = self._catalogue.types[TYPE].template
        self.wording = cache(self._wording)

    def bodies(self, address: str, language: str, zone: str) -> tuple[str, str]:
        """HTML with its styles inlined, and plain text."""
        context = {**self.wording(language, zone).context, "recipient": address}
        html = self._html.get_template(f"{self._template}.html.j2").render(context)
        text = self._text.get_template(f"{self._template}.txt.j2").render(context)
        return inlined(html), text

    def message(self, address: str, language: str, zone: str) -> EmailMessage:
        """The whole message."""
        wording = self.wording(language, zone)
        html, text = self.bodies(address, language, zone)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = SENDER, address, wording.subject
        message.set_content(text)
        message.add_alternative(html, subtype="html")
        message.add_attachment(wording.calendar, subtype="calendar", filename="invite.ics")
        return message

    def _wording(self, language: str, zone: str) -> Wording:
        view = _view(self._catalogue, language, zone)
        context = context_for(view, self._translations, recipient="", unsubscribe="", decide="")
        file = invite(view, self._translations)
        calendar = file.text.replace("\r\n", "\n") if file else ""
        return Wording(subject(view, self._translations), context, calendar)


def inlined(html: str) -> str:
    """By premailer, which remembers style sheets that it has read: its default."""
    return str(Premailer(html, **_PREMAILER).transform())


def _view(catalogue: Catalogue, language: str, zone: str) -> View:
    now = datetime.now(UTC)
    spec = catalogue.types[TYPE]
    fields = sample(spec, now)
    values, _ = parse_fields(spec, fields)
    window = window_of(spec, values)
    sender = catalogue.sender("default")
    entry = Entry(f"bench@{sender.domain}", 0, window, now, sender) if window else None
    return view_of(
        catalogue, TYPE, fields, (_INSTANCE,), Reading(language, zone, ("admins",), "default", now, entry)
    )
