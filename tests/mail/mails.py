"""Every type in every language, as the first admin of an instance gets it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from dispatcher.domain.instance import Instance
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow.specimen import Specimens
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.translations import Translations

PROJECT = Path(__file__).parents[2]
NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
CATALOGUE = load_catalogue(PROJECT / "catalogue.yaml", templates=PROJECT / "templates")
TRANSLATIONS = Translations(PROJECT)
#: Far from UTC, so that a local time and its UTC are two things.
CONTOSO = Instance.model_validate(
    {
        "instance": "contoso-prod",
        "name": "Contoso Production",
        "url": "https://contoso.example.com",
        "version": "9.1",
        "time_zone": "America/Los_Angeles",
        "admins": [{"address": "admin@contoso.example", "name": "Kim Admin"}],
    }
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail.

    Attributes:
        key: The communication type.
        language: What it is written in.
        message: The whole message, as it goes to the mail server.
    """

    key: str
    language: str
    html: str
    text: str
    message: bytes

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.key}.{self.language}"


def rendered() -> tuple[Mail, ...]:
    """Every type that is mailed, with all of its example fields, in all of its languages."""
    specimens = Specimens(CATALOGUE, Renderer(PROJECT / "templates", TRANSLATIONS), NOW)
    mails = []
    for key, spec in CATALOGUE.types.items():
        if specimens.shown_as(key) != key:
            continue
        for language in spec.languages:
            made = specimens.render(key, specimens.sample(key), CONTOSO, language)
            mails.append(Mail(key, language, made.html, made.text, made.message))
    return tuple(mails)


def written(mails: tuple[Mail, ...], folder: Path) -> Path:
    """The folder, with NAME.html, NAME.txt and NAME.eml of each mail in it."""
    for mail in mails:
        (folder / f"{mail.name}.html").write_bytes(mail.html.encode())
        (folder / f"{mail.name}.txt").write_bytes(mail.text.encode())
        (folder / f"{mail.name}.eml").write_bytes(mail.message)
    return folder


def unpacked(message: Path, folder: Path) -> Path:
    """The folder, with a message and its HTML in it."""
    raw = message.read_bytes()
    parsed: EmailMessage = BytesParser(policy=policy.default).parsebytes(raw)
    html = parsed.get_body(("html",))
    assert html is not None
    (folder / message.name).write_bytes(raw)
    (folder / f"{message.stem}.html").write_text(html.get_content(), encoding="utf-8")
    return folder
