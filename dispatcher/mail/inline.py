"""CSS into `style` attributes, by premailer: mail clients that drop `<style>` still show the colours."""

from __future__ import annotations

import logging
import re
import threading
from functools import lru_cache
from typing import Any

from premailer import Premailer

from dispatcher.errors import Problem, TemplateInvalid

# cssutils keeps its parser's and serializer's state in the module, so one document at a time.
CSSUTILS = threading.Lock()
_OPTIONS: dict[str, Any] = {
    "keep_style_tags": False,  # what an element carries is not sent twice
    "strip_important": False,
    "disable_validation": True,  # cssutils' profiles are older than the CSS in use
    "allow_network": False,
    "disable_basic_attributes": ["bgcolor", "align", "valign", "width", "height"],
    "cssutils_logging_level": logging.CRITICAL + 1,
}
#: Style sheets kept as premailer understood them: one for each banner, and for each script's fonts.
_SHEETS = 64
# Both make premailer or cssutils read a file or a URL, whatever `allow_network` says.
_OUTSIDE = re.compile(r"@import\b|<link\b", re.IGNORECASE)


def inline(html: str, where: str) -> str:
    """The document `html` with its `<style>` rules moved into the elements they match.

    Rules that no element can carry, such as ``@media``, stay. A ``<style data-premailer="ignore">`` is kept
    as it is and copied nowhere.

    Args:
        html: A whole HTML document.
        where: The template it came from, for the error: ``templates/maintenance.html.j2``.

    Raises:
        TemplateInvalid: The document names a style sheet outside itself, or cannot be inlined.
    """
    if found := _OUTSIDE.search(html):
        raise TemplateInvalid(
            Problem(
                where,
                f"{found[0]} names a style sheet outside the template, which no mail client reads",
                "write the rules into a <style> of the template",
            )
        )
    try:
        with CSSUTILS:
            return str(_Inliner(html, **_OPTIONS).transform(pretty_print=False))
    except Exception as error:  # what lxml, cssselect, cssutils and premailer raise has no common root
        raise TemplateInvalid(
            Problem(
                where,
                f"its styles could not be inlined: {type(error).__name__}: {error}",
                "correct the rule in <style>; rules only for browsers belong into "
                '<style data-premailer="ignore">',
            )
        ) from error


class _Inliner(Premailer):  # type: ignore[misc]
    """A premailer that knows a style sheet again; to read one costs four fifths of inlining."""

    def _parse_style_rules(self, css_body: str, ruleset_index: int) -> Any:
        return _style_rules(css_body, ruleset_index)


@lru_cache(_SHEETS)
def _style_rules(css: str, index: int) -> Any:
    return Premailer("<p>", **_OPTIONS)._parse_style_rules(css, index)  # noqa: SLF001 - what is kept
