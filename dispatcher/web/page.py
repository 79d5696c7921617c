"""The pages that readers of mail open: their templates, their language, and the headers that guard them."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from dispatcher.domain.catalogue import Banner, Catalogue
from dispatcher.domain.language import DEFAULT, LANGUAGES
from dispatcher.errors import ServiceUnreachable
from dispatcher.mail.functions import GLOBALS
from dispatcher.mail.translations import Translation, Translations

FOLDER: Final = Path(__file__).parent / "pages"
#: A range of RFC 9110, 12.5.4: a language tag and perhaps its weight.
_RANGE: Final = re.compile(
    r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?"
)
_log = logging.getLogger(__name__)
#: Chinese is asked for by place more often than by script.
_TRADITIONAL: Final = frozenset({"hant", "tw", "hk", "mo"})


class Pages:
    """Makes answers that are pages."""

    def __init__(self, catalogue: Catalogue, translations: Translations) -> None:
        self._catalogue = catalogue
        self._translations = translations

    def texts(self, language: str) -> Translation:
        """The words of one of the nine languages; the English ones where those cannot be had."""
        return self._translations.find(language)

    def answer(
        self,
        template: str,
        language: str,
        *,
        status: int = 200,
        type_: str = "",
        **variables: Any,
    ) -> Response:
        """A page.

        Args:
            template: Its name, without suffix.
            language: One of the nine.
            status: The HTTP status.
            type_: The type whose banner gives the page its colours.
            **variables: What the template needs besides.
        """
        texts = self.texts(language)
        style = f"{_banner_style(self._banner(type_))}{_css()}"
        html = (
            _environment()
            .get_template(f"{template}.html.j2")
            .render(
                translations=texts,
                lang=texts.language,
                direction="ltr",
                service=self._catalogue.service,
                style=Markup(style),  # noqa: S704 - our own file, and colours that were checked to be such
                **variables,
            )
        )
        headers = {**_headers(style), "Content-Language": texts.language}
        return Response(html, status, headers, "text/html")

    def away(self, language: str, error: ServiceUnreachable, retry_after: int) -> Response:
        """The page for when the ledger cannot be had; why goes into the log, for it names hosts and paths."""
        _log.error("%s", error)
        answer = self.answer("away", language, status=HTTPStatus.SERVICE_UNAVAILABLE)
        answer.headers["Retry-After"] = str(retry_after)
        return answer

    def _banner(self, type_: str) -> Banner:
        banners = self._catalogue.banners
        spec = self._catalogue.types.get(type_)
        name = spec.banner if spec is not None and spec.banner else "awareness"
        return banners.get(name) or next(iter(banners.values()))


def asked_language(header: str | None) -> str:
    """The best of the nine languages for whoever sent that ``Accept-Language``; English if it names none.

    Only for pages that do not know their reader.
    """
    found: list[tuple[float, str]] = []
    for part in (header or "")[:500].split(","):
        match = _RANGE.fullmatch(part)
        if match and (language := _supported(match[1].lower())):
            found.append((float(match[2] or 1), language))
    best = max(found, key=lambda one: one[0], default=(0.0, DEFAULT))
    return best[1] if best[0] > 0 else DEFAULT


def _supported(tag: str) -> str:
    primary, *rest = tag.split("-")
    if primary == "zh":
        return "zh-Hant" if _TRADITIONAL & set(rest) else "zh-Hans"
    return primary if primary in LANGUAGES else ""


def _headers(style: str) -> Mapping[str, str]:
    """What keeps a page to itself: no script, no frame, no trace of its address elsewhere."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex, nofollow",
    }


def _banner_style(banner: Banner) -> str:
    light = f"--band: {banner.background}; --band-ink: {banner.text};"
    dark = f"--band: {banner.dark.background}; --band-ink: {banner.dark.text};"
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


@cache
def _css() -> str:
    return (FOLDER / "page.css").read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.newstyle_gettext = True  # type: ignore[attr-defined]
    environment.globals.update({name: GLOBALS[name] for name in ("gettext", "ngettext")})
    return environment
