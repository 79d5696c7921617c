"""A mail as light, dark and inverting mail programs show it, whatever the system of the viewer prefers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, get_args

Shade = Literal["light", "dark", "inverted", "lightness"]
#: `inverted` turns every colour into its opposite; `lightness` turns light into dark and keeps the hue, which
#: is nearer to what mail programs do that make a dark mail of their own.
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
_FILTERS = {"inverted": "invert(1)", "lightness": "invert(1) hue-rotate(180deg)"}


def shaded(html: str, shade: Shade) -> str:
    """A copy of `html` that looks the same on every system.

    In the `dark` copy the rules under ``@media (prefers-color-scheme: dark)`` hold always, in the others
    never. The inverting ones are light copies under a filter, as programs without dark rules show them.

    Args:
        html: A whole HTML document.
        shade: How it is to look.
    """
    scheme = "dark" if shade == "dark" else "light"
    settle = _settled(scheme)
    copy = _STYLE.sub(lambda found: found[1] + settle(found[2]) + found[3], html)
    copy = _TAG.sub(lambda found: _settled_tag(found[0], scheme, settle), copy)
    if shade not in _FILTERS:
        return copy
    style = f"<style>html {{ background-color: #FFFFFF; filter: {_FILTERS[shade]}; }}</style>"
    return _HEAD_END.sub(lambda found: style + found[0], copy, count=1)


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
