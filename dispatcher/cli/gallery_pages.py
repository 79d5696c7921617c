"""The pages of the gallery: an index, a page for each mail, and one that says what is wrong.

All links are relative, so that the pages work from a folder as well as from a server. They need no script;
what filters and switches are links and CSS.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from babel import Locale
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dispatcher.domain.language import LANGUAGES
from dispatcher.errors import Problem
from dispatcher.flow.gallery import Exhibit, Room
from dispatcher.mail.shades import SHADES, shaded

SHADE_NAMES: Final = {
    "light": "Light",
    "dark": "Dark",
    "inverted": "Inverted colours",
    "lightness": "Inverted lightness",
}
_PAGES = Path(__file__).parent / "pages"


@dataclass(frozen=True, slots=True)
class Card:
    """One mail in the index.

    Attributes:
        language: Its language.
        folder: Where its files are, relative to the index.
        subject: Its subject; empty where it was not rendered yet.
        faults: How many figures and checks are missed.
    """

    language: str
    folder: str
    subject: str = ""
    faults: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """One type in the index."""

    room: Room
    cards: tuple[Card, ...]


class Pages:
    """Writes the pages.

    Args:
        service: The service that the mails speak of.
        live: The version of what is shown, for a page that a server replaces when it changes; empty for
            a page that stands still.
    """

    def __init__(self, service: str, live: str = "") -> None:
        self._service, self._live = service, live
        self._environment = Environment(
            loader=FileSystemLoader(_PAGES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._css = (_PAGES / "gallery.css").read_text(encoding="utf-8")

    def index(
        self,
        sections: Sequence[Section],
        unmailed: Mapping[str, str],
        summary: str,
        problems: Iterable[Problem] = (),
    ) -> str:
        """The page of all mails."""
        used = {card.language for section in sections for card in section.cards}
        languages = [code for code in LANGUAGES if code in used]
        css = self._css + "".join(_filters("type", [section.room.key for section in sections]))
        return self._page(
            "gallery_index",
            css + "".join(_filters("language", languages)),
            sections=sections,
            unmailed=unmailed,
            summary=summary,
            languages=languages,
            problems=_told(problems),
        )

    def mail(self, mail: Exhibit, languages: Sequence[str]) -> str:
        """The page of one mail.

        Args:
            mail: What to show.
            languages: The languages that the type is shown in, this one among them.
        """
        views = [(shade, SHADE_NAMES[shade]) for shade in SHADES] + [("text", "Text"), ("source", "Source")]
        views += [(f"attachment-{number}", name) for number, name in enumerate(mail.attachments, 1)]
        css = self._css + "".join(_current(views))
        source = mail.source.decode("ascii", "backslashreplace").replace("\r\n", "\n")
        return self._page(
            "gallery_mail",
            css,
            mail=mail,
            source=source,
            languages=languages,
            shades=SHADE_NAMES,
            views=views,
            own_names={code: Locale.parse(code, sep="-").get_display_name() for code in languages},
        )

    def trouble(self, heading: str, problems: Iterable[Problem], hint: str) -> str:
        """The page that says what is wrong, where, and what to do."""
        return self._page("gallery_trouble", self._css, heading=heading, problems=_told(problems), hint=hint)

    def _page(self, name: str, css: str, **shown: Any) -> str:
        return self._environment.get_template(f"{name}.html.j2").render(
            css=Markup(css),  # noqa: S704 - our own file, and keys that the catalogue's schema bounds
            policy=_policy(css, live=bool(self._live)),
            live=self._live,
            service=self._service,
            names={code: Locale.parse(code, sep="-").english_name for code in LANGUAGES},
            **shown,
        )


def files_of(mail: Exhibit) -> dict[str, bytes]:
    """What lies beside a mail's page: each way to show it, the mail as sent, and its parts."""
    files = {f"{shade}.html": shaded(mail.html, shade).encode() for shade in SHADES}
    return files | {"mail.html": mail.html.encode(), "mail.txt": mail.text.encode(), "mail.eml": mail.source}


def _policy(css: str, *, live: bool) -> str:
    """What a page may load: its own styles, and the mails in their frames."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    script = "; script-src 'self'; connect-src 'self'" if live else ""
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; frame-src 'self'; base-uri 'none'; "
        f"form-action 'none'{script}"
    )


def _filters(what: str, values: Iterable[str]) -> list[str]:
    """Rules that hide all but the chosen type or language; without `:has` everything stays in sight."""
    return [
        f'body:has(#{what} option[value="{value}"]:checked) [data-{what}]:not([data-{what}="{value}"]) '
        "{ display: none; }\n"
        for value in values
    ]


def _current(views: Sequence[tuple[str, str]]) -> list[str]:
    """Rules that mark the tab of the view in sight."""
    mark = "{ border-color: var(--link); box-shadow: inset 0 -3px var(--link); font-weight: 600; }\n"
    rules = [f'body:has(#{id_}:target) .tabs a[href="#{id_}"] {mark}' for id_, _ in views]
    return [*rules, f"body:not(:has(.view:target)) .tabs li:first-child a {mark}"]


def _told(problems: Iterable[Problem]) -> list[dict[str, str]]:
    rows = []
    for problem in problems:
        told = str(problem).removeprefix(f"{problem.where}: ")
        rows.append({"where": problem.where, "told": told})
    return rows
