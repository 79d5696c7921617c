"""Every type in every language, as a reader would see it, with its figures: for `gallery` and `preview`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Final

from dispatcher.domain.catalogue import Banner, Catalogue, CommunicationType
from dispatcher.domain.colour import MIN_CONTRAST
from dispatcher.domain.instance import Instance
from dispatcher.domain.language import LANGUAGES
from dispatcher.flow.specimen import EXAMPLE, Specimens
from dispatcher.mail.lint import (
    MAX_GAPS,
    MAX_HTML_BYTES,
    MAX_LINE,
    MAX_MESSAGE_BYTES,
    MAX_STYLE_BYTES,
    Finding,
    Measures,
    findings,
    measure,
)
from dispatcher.mail.renderer import Renderer

#: Where readers of a language are shown at home, so that local time and UTC differ as they do in life.
HOMES: Final = {
    "en": "America/New_York",
    "ja": "Asia/Tokyo",
    "es": "Europe/Madrid",
    "fr": "Europe/Paris",
    "de": "Europe/Berlin",
    "it": "Europe/Rome",
    "pt": "America/Sao_Paulo",
    "zh-Hant": "Asia/Taipei",
    "zh-Hans": "Asia/Shanghai",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number beside its bar.

    Attributes:
        name: What was measured.
        value: How it came out, with its unit.
        bar: What is asked for: ``≤ 30,000 B``.
        kept: Whether it is.
    """

    name: str
    value: str
    bar: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One mail of the gallery.

    Attributes:
        key: The type's key.
        type: The type that is shown.
        banner: What the mail's head looks like.
        language: The language of the mail.
        subject: Its subject line.
        html: Its HTML, as sent.
        text: Its plain text.
        source: The whole message.
        attachments: Each attached text by its file's name.
        figures: What was measured.
        findings: What should be better.
    """

    key: str
    type: CommunicationType
    banner: Banner
    language: str
    subject: str
    html: str
    text: str
    source: bytes
    attachments: dict[str, str]
    figures: tuple[Figure, ...]
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> int:
        """How many things are to mend; a figure that is missed is a finding as well."""
        return max(len(self.findings), sum(not figure.kept for figure in self.figures))


@dataclass(frozen=True, slots=True)
class Room:
    """One type of the gallery, and the languages it is written in."""

    key: str
    type: CommunicationType
    banner: Banner
    languages: tuple[str, ...]


class Gallery:
    """Shows a catalogue's mails.

    Args:
        catalogue: The types.
        renderer: Renders them.
        now: The moment at which everything is written.
        instance: Who is told; by default a made-up instance, at home wherever each language is.
    """

    def __init__(
        self, catalogue: Catalogue, renderer: Renderer, now: datetime, instance: Instance | None = None
    ) -> None:
        self._catalogue = catalogue
        self._specimens = Specimens(catalogue, renderer, now)
        self._instance = instance

    def rooms(self, types: Sequence[str] = (), languages: Sequence[str] = ()) -> Iterator[Room]:
        """The types to show, in the catalogue's order.

        Args:
            types: Their keys; none for all that anybody is mailed.
            languages: Only these languages; none for all.
        """
        for key, spec in self._catalogue.types.items():
            if key in types or not (types or _unmailed(spec)):
                shown = self._catalogue.types[self._specimens.shown_as(key)]
                written = (code for code in LANGUAGES if code in shown.languages)
                wanted = tuple(code for code in written if not languages or code in languages)
                if wanted:
                    yield Room(key, spec, self._catalogue.banners[shown.banner or ""], wanted)

    def unmailed(self) -> dict[str, str]:
        """The types that nobody is mailed, each with the reason why."""
        types = self._catalogue.types
        return {key: spec.audience.nobody for key, spec in types.items() if _unmailed(spec)}

    def exhibit(self, room: Room, language: str) -> Exhibit:
        """One mail, rendered and measured.

        Raises:
            TemplateInvalid: A template cannot be rendered.
            EventInvalid: An example of the catalogue cannot be used.
        """
        reader = self._instance or EXAMPLE.model_copy(update={"time_zone": HOMES[language]})
        specimen = self._specimens.render(room.key, self._specimens.sample(room.key), reader, language)
        message = message_from_bytes(specimen.message, _class=EmailMessage, policy=default)
        return Exhibit(
            key=room.key,
            type=room.type,
            banner=room.banner,
            language=language,
            subject=str(message["Subject"]),
            html=specimen.html,
            text=specimen.text,
            source=specimen.message,
            attachments=_attachments(message),
            figures=figures(measure(specimen.html, specimen.message)),
            findings=tuple(findings(specimen.html, specimen.text, specimen.message)),
        )


def figures(found: Measures) -> tuple[Figure, ...]:
    """What was measured, each number beside its bar."""
    return (
        _at_most("HTML", found.html_bytes, MAX_HTML_BYTES, " B"),
        _at_most("Styles", found.style_bytes, MAX_STYLE_BYTES, " B"),
        _at_most("Message", found.message_bytes, MAX_MESSAGE_BYTES, " B"),
        _at_most("Longest line", found.longest_line, MAX_LINE, ""),
        _contrast("Contrast, light", found.contrast_light),
        _contrast("Contrast, dark", found.contrast_dark),
        _contrast("Contrast, inverted", found.contrast_inverted),
        _at_most("Gaps in mail programs", found.gaps, MAX_GAPS, ""),
    )


def _at_most(name: str, value: int, bar: int, unit: str) -> Figure:
    return Figure(name, f"{value:,}{unit}", f"≤ {bar:,}{unit}", value <= bar)


def _contrast(name: str, value: float) -> Figure:
    # Cut, not rounded: 4.496 is less than is asked for, and must not read as if it were enough.
    return Figure(name, f"{int(value * 100) / 100:.2f}", f"≥ {MIN_CONTRAST}", value >= MIN_CONTRAST)


def _unmailed(spec: CommunicationType) -> bool:
    return not (spec.audience.roles or spec.audience.told)


def _attachments(message: EmailMessage) -> dict[str, str]:
    found = {}
    for number, part in enumerate(message.iter_attachments(), 1):
        if part.get_content_maintype() == "text":
            found[part.get_filename() or f"part-{number}.txt"] = str(part.get_content()).replace("\r\n", "\n")
    return found
