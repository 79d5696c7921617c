"""How well each text of a mail can be read, in light, dark and inverting mail programs.

The colours are those that the HTML asks for: what `style` attributes, ``bgcolor`` and the rules of
``<style>`` come to, inherited as CSS has it. Dark is looked at twice, for programs that know
``prefers-color-scheme`` and for those of Outlook, which mark what they darken with ``data-ogsc`` and
``data-ogsb``. Images count as nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from cssselect import HTMLTranslator, SelectorError
from cssselect import parse as parse_selector
from lxml import etree  # type: ignore[import-untyped]

from dispatcher.domain.colour import contrast, contrast_inverted
from dispatcher.mail.stylesheet import Colour, Declaration, Rule, background, colour, declarations, read

Mode = Literal["light", "dark", "inverted"]

_DARK_MEDIA = re.compile(r"prefers-color-scheme\s*:\s*dark", re.IGNORECASE)
#: The properties that decide what can be read; `font-size` because of nothing-high preheaders.
_TELLING = frozenset({"color", "background", "background-color", "display", "font-size"})
_HIDDEN_SIZE = re.compile(r"0(?:px|pt|em|%)?")
#: What a program shows where a mail says nothing; dark ones are about as dark as this.
_CANVAS: Final[Mapping[bool, tuple[str, str]]] = {
    False: ("#000000", "#FFFFFF"),
    True: ("#FFFFFF", "#121212"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Text of one colour on one ground.

    Attributes:
        mode: How the mail is shown.
        ratio: The contrast, from 1 to 21.
        ink: The colour of the text as it is written in the mail, ``#RRGGBB``.
        ground: The colour behind it.
        body: Whether it is text of the mail's body: what stands in the cell of the ``<h1>``, but for links.
        needles: What to look for in the templates to find it, the likeliest first.
    """

    mode: Mode
    ratio: float
    ink: str
    ground: str
    body: bool
    needles: tuple[str, ...]


class _Look(NamedTuple):
    """What an element looks like: its colours, whether it is seen, and where the text's colour was said."""

    ink: str
    ground: str
    shown: bool
    source: tuple[str, ...]


#: For each selector the elements that it matches, with its specificity.
_Matches = dict[str, list[tuple[tuple[int, int, int], list[Any]]]]


class _Weighed(NamedTuple):
    """A declaration with its weight in the cascade, and what it stands in."""

    weight: tuple[bool, bool, tuple[int, int, int], int]
    said: Declaration
    source: tuple[str, ...]


def pairs(document: Any) -> list[Pair]:
    """Every pair of colours that text of the HTML document stands in, each once for every mode."""
    rules = [rule for style in document.iter("style") for rule in _colouring(style.text or "")]
    plain = [rule for rule in rules if not rule.media]
    matches: _Matches = {}
    found = list(_seen(document, plain, {"light": contrast, "inverted": contrast_inverted}, matches))
    dark = [rule for rule in rules if not rule.media or _DARK_MEDIA.search(rule.media)]
    found += _seen(document, dark, {"dark": contrast}, matches)
    marked = {name: "" for name in ("data-ogsc", "data-ogsb") if name not in document.attrib}
    document.attrib.update(marked)
    # Only a selector that speaks of attributes can tell the difference.
    matches = {selector: elements for selector, elements in matches.items() if "[" not in selector}
    try:
        found += _seen(document, plain, {"dark": contrast}, matches)
    finally:
        for name in marked:
            del document.attrib[name]
    unique: dict[tuple[Mode, str, str, bool], Pair] = {}
    for pair in found:
        unique.setdefault((pair.mode, pair.ink, pair.ground, pair.body), pair)
    return list(unique.values())


@lru_cache(64)
def _colouring(css: str) -> tuple[Rule, ...]:
    """The rules of a style sheet that have a say in what can be read."""
    rules = (replace(rule, declarations=_telling(rule.declarations)) for rule in read(css).rules)
    return tuple(rule for rule in rules if rule.declarations)


def _telling(said: tuple[Declaration, ...]) -> tuple[Declaration, ...]:
    return tuple(one for one in said if one.name in _TELLING)


@lru_cache(1024)
def _of_style(style: str) -> tuple[Declaration, ...]:
    return _telling(declarations(style))


def _seen(
    document: Any,
    rules: list[Rule],
    modes: Mapping[Mode, Callable[[str, str], float]],
    known_matches: _Matches,
) -> Iterator[Pair]:
    body = document.find("body")
    if body is None:
        return
    matched = _matched(document, rules, known_matches)
    card = _card(document)
    looks: dict[Any, _Look] = {None: _Look(*_CANVAS["dark" in modes], True, ())}
    known: set[tuple[str, str, bool]] = set()
    for element in body.iter(etree.Element):
        parent = looks.get(element.getparent()) or looks[None]
        look = looks[element] = _look(element, parent, matched.get(element, []))
        if look.shown and has_text(element):
            inside = card is not None and _within(element, card)
            if (look.ink, look.ground, inside) not in known:
                known.add((look.ink, look.ground, inside))
                needles = tuple(dict.fromkeys(look.source + _spellings(look.ground)))
                for mode, ratio in modes.items():
                    value = ratio(look.ink, look.ground)
                    yield Pair(mode, value, look.ink, look.ground, inside, needles)


def has_text(element: Any) -> bool:
    """Whether text stands directly in it, so that its colours show."""
    return any((text or "").strip() for text in (element.text, *(child.tail for child in element)))


def _look(element: Any, parent: _Look, rules: list[_Weighed]) -> _Look:
    own = [_Weighed((False, False, (0, 0, 0), -1), *said) for said in _presentational(element)]
    own += rules
    if style := _of_style(element.get("style", "")):
        names = tuple(f".{name} {{" for name in element.get("class", "").split()) or (f"{element.tag} {{",)
        for number, said in enumerate(style):
            own.append(_Weighed((said.important, True, (0, 0, 0), number), said, (*names, said.value)))
    if not own:
        return parent
    ink, ground, shown, source = parent
    for _, said, where in sorted(own, key=lambda one: one.weight):
        if said.name == "color" and (new := colour(said.value)):
            ink, source = new.code, where + _spellings(new.code)
        elif new := background(said.name, said.value):
            ground = _over(new, parent.ground)
        elif said.name == "display":
            shown = parent.shown and said.value != "none"
        elif said.name == "font-size" and _HIDDEN_SIZE.fullmatch(said.value):
            shown = False
    return _Look(ink, ground, shown, source)


def _presentational(element: Any) -> Iterator[tuple[Declaration, tuple[str, ...]]]:
    if ground := element.get("bgcolor"):
        yield Declaration("background-color", ground), (ground,)
    if element.tag == "font" and (ink := element.get("color")):
        yield Declaration("color", ink), (ink,)


def _spellings(code: str) -> tuple[str, ...]:
    short = "#" + code[1::2] if code[1::2] == code[2::2] else code
    return tuple(dict.fromkeys((code, short)))


def _over(colour: Colour, behind: str) -> str:
    """What is seen where a colour lies over another."""
    if colour.alpha >= 1:
        return colour.code
    mixed = (
        round(
            int(colour.code[i : i + 2], 16) * colour.alpha + int(behind[i : i + 2], 16) * (1 - colour.alpha)
        )
        for i in (1, 3, 5)
    )
    return "#" + "".join(f"{channel:02X}" for channel in mixed)


def _card(document: Any) -> Any:
    """The cell that holds the heading, and so the body of the mail."""
    heading = next(document.iter("h1"), None)
    if heading is None:
        return None
    return next(heading.iterancestors("td", "div", "body"), None)


def _within(element: Any, card: Any) -> bool:
    for ancestor in (element, *element.iterancestors()):
        if ancestor.tag == "a":
            return False
        if ancestor is card:
            return True
    return False


def _matched(document: Any, rules: list[Rule], known: _Matches) -> dict[Any, list[_Weighed]]:
    """For each element the declarations of the rules that match it; what `known` has is not sought again."""
    found: dict[Any, list[_Weighed]] = {}
    for number, rule in enumerate(rules):
        source = (", ".join(rule.selectors), *rule.selectors)
        for selector in rule.selectors:
            if selector not in known:
                known[selector] = [(weight, path(document)) for weight, path in _compiled(selector)]
            for specificity, elements in known[selector]:
                for element in elements:
                    weighed = found.setdefault(element, [])
                    for said in rule.declarations:
                        weight = (said.important, False, specificity, number)
                        weighed.append(_Weighed(weight, said, source))
    return found


@lru_cache(1024)
def _compiled(selector: str) -> tuple[tuple[tuple[int, int, int], Any], ...]:
    """The specificity and a function that finds the elements; nothing for a selector that nobody knows."""
    translator = HTMLTranslator()
    try:
        return tuple(
            (one.specificity(), etree.XPath(translator.selector_to_xpath(one)))
            for one in parse_selector(selector)
            if not one.pseudo_element
        )
    except SelectorError:
        return ()
