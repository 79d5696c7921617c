"""What a mail looks like without its words: mails of several languages mostly look alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from dispatcher.mail.clients import Feature, used
from dispatcher.mail.contrast import Pair, has_text, pairs

#: Attributes that hold words, or say in which language they are; a style sheet that names one decides by it.
_WORDS = ("lang", "aria-label", "aria-roledescription", "title", "alt")
#: Skeletons kept: those of one type, in all its languages.
_KEPT = 32


@dataclass(frozen=True, slots=True)
class _Skeleton:
    """Two are equal if their elements, styles and places of text are."""

    key: tuple[object, ...]
    document: Any = field(compare=False, repr=False)


def looks(document: Any) -> tuple[list[Pair], list[Feature]]:
    """The pairs of colours and the features of an HTML document, which other words in it do not change."""
    return _looks(_Skeleton(tuple(_parts(document)), document))


@lru_cache(_KEPT)
def _looks(skeleton: _Skeleton) -> tuple[list[Pair], list[Feature]]:
    return pairs(skeleton.document), used(skeleton.document)


def _parts(document: Any) -> Iterator[tuple[object, ...]]:
    css = "".join(style.text or "" for style in document.iter("style"))
    yield (css,)
    left_out = {name for name in _WORDS if name not in css}
    numbers: dict[Any, int] = {}
    for element in document.iter(etree.Element):
        parent = numbers.get(element.getparent(), -1)
        numbers[element] = len(numbers)
        said = tuple(pair for pair in element.attrib.items() if pair[0] not in left_out)
        named = tuple(name for name in element.attrib if name in left_out)
        yield parent, element.tag, said, named, has_text(element)
