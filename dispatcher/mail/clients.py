"""Which CSS and HTML of a mail which mail programs do not support, as caniemail.com has tested it.

``data/caniemail.json`` holds what is needed of that data; ``data/README.md`` says where it comes from.
A *gap* is one feature that one program does not support.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

from lxml import etree  # type: ignore[import-untyped]

from dispatcher.mail.stylesheet import Declaration, declarations, read

#: Features that mails may use though some programs lack them: for each the reason why that does no harm.
ALLOWED: Final[Mapping[str, str]] = {
    "css-at-media": "narrow screens and dark mode; without it the mail is as it is on a wide, light screen",
    "css-selector-attribute": "only for [data-ogsc] and [data-ogsb], which Outlook's programs for phones set",
    "css-word-break": "a long word may then be wider than a narrow screen, and is still read",
    "html-aria-hidden": "a screen reader then speaks the banner's glyph",
    "html-aria-label": "a screen reader then speaks no name of the document, and the heading all the same",
    "html-body": "its styles stand on the wrapper and its cells as well",
    "html-meta-color-scheme": "what programs that go dark read; the others have nothing to do with it",
}


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that a mail uses and some mail program lacks.

    Attributes:
        slug: Its key at caniemail.com.
        title: Its name there.
        clients: The programs that do not support it.
        needle: What to look for in a template to find it.
    """

    slug: str
    title: str
    clients: tuple[str, ...]
    needle: str

    @property
    def allowed(self) -> bool:
        """Whether mails may use it all the same."""
        return self.slug in ALLOWED


def used(document: Any) -> list[Feature]:
    """The features of an HTML document that some program lacks.

    As the npm package caniemail does, rules inside ``@media`` are passed over: they are for programs that
    know it, and what they add is missed by nobody else.
    """
    marks: dict[str, str] = {}
    for slug, needle in (*_of_elements(document), *_of_styles(document)):
        marks.setdefault(slug, needle)
    known = _data()["features"]
    clients = _data()["clients"]
    return [
        Feature(slug, known[slug]["title"], tuple(clients[n] for n in known[slug]["without"]), needle)
        for slug, needle in sorted(marks.items())
    ]


@cache
def _data() -> dict[str, Any]:
    text = resources.files("dispatcher.mail").joinpath("data/caniemail.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def _marks(kind: str) -> tuple[tuple[str, Any], ...]:
    """The features that show by a mark of this kind, each with its mark."""
    return tuple((slug, entry[kind]) for slug, entry in _data()["features"].items() if kind in entry)


@cache
def _by_name(kind: str) -> dict[str, list[str]]:
    """For each name that is a mark of this kind the features that it shows."""
    found: dict[str, list[str]] = {}
    for slug, names in _marks(kind):
        for name in names:
            found.setdefault(name, []).append(slug)
    return found


def _of_elements(document: Any) -> Iterator[tuple[str, str]]:
    elements, attributes = _by_name("element"), _by_name("attribute")
    for element in document.iter(etree.Element):
        for slug in elements.get(element.tag, ()):
            yield slug, f"<{element.tag}"
        for name in element.attrib:
            for slug in attributes.get(name, ()):
                yield slug, name
        for slug, (tag, name, start) in _marks("pair"):
            if element.tag == tag and str(element.get(name, "")).startswith(start):
                yield slug, f'{name}="{start}'
        for said in declarations(element.get("style", "")):
            for slug in _of_declaration(said):
                yield slug, said.name


def _of_styles(document: Any) -> Iterator[tuple[str, str]]:
    at = _by_name("at")
    for style in document.iter("style"):
        sheet = read(style.text or "")
        for name in sheet.at:
            for slug in at.get(name, ()):
                yield slug, f"@{name}"
        for rule in (one for one in sheet.rules if not one.media):
            for selector in rule.selectors:
                marks = (slug for slug, mark in _marks("selector") if re.search(mark, selector))
                yield from ((slug, selector) for slug in marks)
            for said in rule.declarations:
                yield from ((slug, said.name) for slug in _of_declaration(said))


@cache
def _patterns() -> tuple[tuple[str, Callable[[str], Any]], ...]:
    """The features that show in a value, each with what finds it there."""
    found = [(slug, re.compile(rf"\d{re.escape(unit)}(?![a-z])").search) for slug, unit in _marks("unit")]
    for slug, names in _marks("function"):
        found.append((slug, re.compile(rf"(?<![\w-])(?:{'|'.join(names)})\(").search))
    for slug, names in _marks("word"):
        found.append((slug, re.compile(rf"(?<![\w-])(?:{'|'.join(names)})(?![\w-])").search))
    return tuple(found)


def _of_declaration(said: Declaration) -> tuple[str, ...]:
    return _shown_by(said.name, said.value.lower())


@cache
def _properties(name: str) -> tuple[str, ...]:
    known = _by_name("property")
    # As the npm package does: `outline-offset` uses `outline` as well.
    starts = [name] + [name[: found.start()] for found in re.finditer("-", name) if found.start()]
    return tuple(slug for start in starts for slug in known.get(start, ()))


@lru_cache(4096)
def _shown_by(name: str, value: str) -> tuple[str, ...]:
    found = [slug for slug, search in _patterns() if search(value)]
    found += [slug for slug, (own, wanted) in _marks("declaration") if (own, wanted) == (name, value)]
    return (*_properties(name), *found)
