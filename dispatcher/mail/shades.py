"""A mail as light, dark and inverting mail programs show it, whatever the system of the viewer prefers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, get_args

from dispatcher.domain.colour import turned_over
from dispatcher.mail.stylesheet import COLOUR_WORD, colour

Shade = Literal["light", "dark", "inverted", "lightness"]
#: `inverted` turns every colour into its opposite; `lightness` turns light into dark and keeps the hue, which
#: is nearer to what mail programs do that make a dark mail of their own. Both are the models by which
#: `dispatcher.domain.colour.contrast_inverted` measures.
SHADES: Final[tuple[Shade, ...]] = get_args(Shade)

_STYLE = re.compile(r"(<style\b[^>]*>)(.*?)(</style>)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?:source|link|style|meta)\b[^>]*>", re.IGNORECASE)
_PREFERS = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)", re.IGNORECASE)
_SCHEME = re.compile(r"(?<![\w-])(color-scheme\s*:\s*)[a-z ]*[a-z]", re.IGNORECASE)
_SCHEME_META = re.compile(r"""name\s*=\s*["']?(?:supported-)?color-schemes?["'\s]""", re.IGNORECASE)
_CONTENT = re.compile(r"""(content\s*=\s*["'])[^"']*""", re.IGNORECASE)
_HEAD_END = re.compile(r"</head\s*>", re.IGNORECASE)
#: Media features that always hold, and never do; they stand where a condition may go on with `and`.
_ALWAYS, _NEVER = "(min-width: 0)", "(max-width: 0)"
_CANVAS = {
    "inverted": "background-color: #FFFFFF; filter: invert(1);",
    # No filter of CSS turns lightness as HSL has it: `hue-rotate` keeps luma. So each colour is written anew.
    "lightness": "background-color: #000000; color: #FFFFFF;",
}
_STYLED = re.compile(r"""(\bstyle\s*=\s*)("[^"<>]*"|'[^'<>]*')""", re.IGNORECASE)
_PRESENTED = re.compile(r"""(\b(?:bgcolor|color)\s*=\s*["']?)(#?\w+)""", re.IGNORECASE)
_OPENING = re.compile(r"<[a-z][^<>]*>", re.IGNORECASE)
_COLOURED = re.compile(
    r"((?<![\w-])(?:color|background|border|outline)(?:-(?:color|top|bottom|left|right))*\s*:)([^;{}]*)",
    re.IGNORECASE,
)


def shaded(html: str, shade: Shade) -> str:
    """A copy of `html` that looks the same on every system.

    In the `dark` copy the rules under ``@media (prefers-color-scheme: dark)`` hold always, in the others
    never. The inverting ones are light copies with other colours, as programs without dark rules show them.

    Args:
        html: A whole HTML document.
        shade: How it is to look.
    """
    scheme = "dark" if shade == "dark" else "light"
    settle = _settled(scheme)
    copy = _STYLE.sub(lambda found: found[1] + settle(found[2]) + found[3], html)
    copy = _TAG.sub(lambda found: _settled_tag(found[0], scheme, settle), copy)
    if shade not in _CANVAS:
        return copy
    if shade == "lightness":
        copy = _STYLE.sub(lambda found: found[1] + _turned(found[2]) + found[3], copy)
        copy = _OPENING.sub(lambda found: _turned_tag(found[0]), copy)
    style = f"<style>html {{ {_CANVAS[shade]} }}</style>"
    return _HEAD_END.sub(lambda found: style + found[0], copy, count=1)


def _turned(css: str) -> str:
    """Declarations with every colour as dark as it was light."""
    return _COLOURED.sub(lambda found: found[1] + COLOUR_WORD.sub(_turned_word, found[2]), css)


def _turned_tag(tag: str) -> str:
    turned = _STYLED.sub(lambda found: found[1] + _turned(found[2]), tag)
    return _PRESENTED.sub(lambda found: found[1] + COLOUR_WORD.sub(_turned_word, found[2]), turned)


def _turned_word(found: re.Match[str]) -> str:
    known = colour(found[0])
    if known is None:
        return found[0]
    alpha = "" if known.alpha >= 1 else f"{round(known.alpha * 255):02X}"
    return turned_over(known.code) + alpha


def _settled(scheme: str) -> Callable[[str], str]:
    """What puts an answer in place of the question for the viewer's colour scheme."""

    def settle(css: str) -> str:
        answered = _PREFERS.sub(lambda found: _ALWAYS if found[1].lower() == scheme else _NEVER, css)
        return _SCHEME.sub(lambda found: found[1] + scheme, answered)

    return settle


def _settled_tag(tag: str, scheme: str, settle: Callable[[str], str]) -> str:
    if _SCHEME_META.search(tag):
        return _CONTENT.sub(lambda found: found[1] + scheme, tag)
    return settle(tag)
