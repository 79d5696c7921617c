"""Style sheets as plain rules, and the colour values that stand in them; for the lint."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cssutils  # type: ignore[import-untyped]
from cssutils.css import CSSMediaRule, CSSStyleRule  # type: ignore[import-untyped]
from cssutils.css.colors import COLORS  # type: ignore[import-untyped]

from dispatcher.mail.inline import CSSUTILS

_CHANNELS = re.compile(r"rgba?\(([^()]*)\)")
_HEX = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
#: What may be a colour in a value.
COLOUR_WORD = re.compile(r"#[0-9a-f]{3,8}\b|rgba?\([^()]*\)|[a-z]+", re.IGNORECASE)
_IMPORTANT = re.compile(r"\s*!\s*important\s*$", re.IGNORECASE)
#: Style sheets kept; the shipped templates have one for each banner and colour.
_SHEETS = 64


@dataclass(frozen=True, slots=True)
class Declaration:
    """One property and its value."""

    name: str
    value: str
    important: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What a style sheet says of some elements.

    Attributes:
        selectors: Each selector by itself.
        declarations: What holds for the elements they match.
        media: The condition of the ``@media`` that it stands in; empty outside of one.
    """

    selectors: tuple[str, ...]
    declarations: tuple[Declaration, ...]
    media: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A style sheet.

    Attributes:
        rules: Its rules, in their order.
        at: The names of its at-rules, without the ``@``.
    """

    rules: tuple[Rule, ...]
    at: frozenset[str]


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour of a style sheet.

    Attributes:
        code: ``#RRGGBB``.
        alpha: How much of what is behind it is covered, from 0 to 1.
    """

    code: str
    alpha: float = 1.0


@lru_cache(_SHEETS)
def read(css: str) -> Sheet:
    """The rules of a style sheet; what cannot be understood is left out, as mail programs do."""
    with CSSUTILS:
        parser = cssutils.CSSParser(loglevel=logging.CRITICAL + 1, validate=False, raiseExceptions=False)
        sheet = parser.parseString(css)
        rules, at = tuple(_rules(sheet)), frozenset(_at_rules(sheet))
    return Sheet(rules, at)


@lru_cache(1024)
def declarations(style: str) -> tuple[Declaration, ...]:
    """What a `style` attribute says, in its order."""
    found = []
    for part in re.split(r""";(?=(?:[^"'()]|"[^"]*"|'[^']*'|\([^()]*\))*\Z)""", style):
        name, colon, value = part.partition(":")
        if colon and value.strip():
            found.append(_declaration(name, value))
    return tuple(found)


def colour(value: str) -> Colour | None:
    """The colour that a value is; None if it is none that is known."""
    text = value.strip().lower()
    if _HEX.fullmatch(text):
        digits = text[1:] if len(text) > 5 else "".join(digit * 2 for digit in text[1:])
        alpha = int(digits[6:], 16) / 255 if len(digits) == 8 else 1.0
        return Colour(f"#{digits[:6].upper()}", alpha)
    if text in COLORS:
        red, green, blue, alpha = COLORS[text]
        return Colour(f"#{red:02X}{green:02X}{blue:02X}", alpha)
    if found := _CHANNELS.fullmatch(text):
        return _of_channels(re.split(r"[\s,/]+", found[1].strip()))
    return None


def background(name: str, value: str) -> Colour | None:
    """The colour that a declaration gives the ground; None if it says nothing of it."""
    if name == "background-color":
        return colour(value)
    if name != "background":
        return None
    return next(filter(None, map(colour, COLOUR_WORD.findall(value))), None)


def _of_channels(parts: list[str]) -> Colour | None:
    try:
        numbers = [float(part.removesuffix("%")) * (2.55 if part.endswith("%") else 1) for part in parts[:3]]
        alpha = (
            float(parts[3].removesuffix("%")) / (100 if parts[3].endswith("%") else 1) if parts[3:] else 1.0
        )
    except ValueError:
        return None
    if len(numbers) != 3:
        return None
    return Colour("#" + "".join(f"{max(0, min(255, round(number))):02X}" for number in numbers), alpha)


def _number(text: str, percent: float) -> float:
    return float(text.removesuffix("%")) * (percent if text.endswith("%") else 1)


def _rules(sheet: Any, media: str = "") -> Iterator[Rule]:
    for rule in sheet.cssRules:
        if isinstance(rule, CSSMediaRule):
            yield from _rules(rule, rule.media.mediaText)
        elif isinstance(rule, CSSStyleRule):
            selectors = tuple(selector.selectorText for selector in rule.selectorList)
            style = rule.style
            said = (Declaration(one.name.lower(), one.value, bool(one.priority)) for one in style)
            yield Rule(selectors, tuple(said), media)


def _at_rules(sheet: Any) -> Iterator[str]:
    for rule in sheet.cssRules:
        if found := re.match(r"\s*@([a-z-]+)", rule.cssText, re.IGNORECASE):
            yield found[1].lower()


def _declaration(name: str, value: str) -> Declaration:
    important = _IMPORTANT.search(value)
    return Declaration(name.strip().lower(), _IMPORTANT.sub("", value).strip(), bool(important))
