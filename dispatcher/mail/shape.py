"""Inlining once per shape: a mail is a shape, the same for many events, and the values in it.

premailer costs milliseconds, Jinja hundredths of one. So while a template renders, every plain value it
outputs is replaced by a token and kept aside. What is left, the skeleton, has no event data in it: it is
inlined once and kept, split at its tokens; every further mail of that shape is a join of parts and values.

A token is a random word of this process and a number, so event data cannot forge one even inside `Markup`.
"""

from __future__ import annotations

import enum
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from gettext import NullTranslations
from typing import Any

from jinja2 import Template, Undefined, pass_context
from jinja2.exceptions import TemplateRuntimeError, UndefinedError
from jinja2.runtime import Context
from markupsafe import Markup, escape

from dispatcher.errors import EventInvalid, Problem, TemplateInvalid
from dispatcher.mail.translations import to_fill

#: Where the values of a render are kept in its context; no template can spell this name.
_VALUES = "<values>"
#: Shapes kept; one is about 30 kB. Sixteen types in nine languages, some with lists of several lengths.
_SHAPES = 512

_BREAK = re.compile(r"\r\n?")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LINK = re.compile(r"https?://[^\s/?#]|mailto:\S", re.IGNORECASE)
_OUTSIDE_URL = re.compile(r"[^\x21-\x7e]")
_STYLE_VALUE = re.compile(r"[^<>{};\\()\n]*")
_URL_ATTRIBUTE = re.compile(
    r"""\b(?:href|src|action|formaction|background)\s*=\s*["']?([^"'<>\s]*)\Z""", re.IGNORECASE
)
_STYLE_ATTRIBUTE = re.compile(r"""\bstyle\s*=\s*(?:"[^"<>]*|'[^'<>]*)\Z""", re.IGNORECASE)


class Place(enum.Enum):
    """What a value is where it stands."""

    TEXT = enum.auto()  # text, or an attribute's value
    LINK = enum.auto()  # the beginning of a URL, and so its scheme
    URL = enum.auto()  # further on in a URL
    STYLE = enum.auto()  # a value in CSS


@dataclass(frozen=True, slots=True)
class Shape:
    """An inlined skeleton, split at its tokens.

    Attributes:
        parts: The text around the values; one more than there are `slots`.
        slots: For each gap the index of its value, and where it stands.
    """

    parts: tuple[str, ...]
    slots: tuple[tuple[int, Place], ...]

    def fill(self, values: Sequence[str]) -> str:
        """The HTML with `values`, each escaped as its place needs it.

        Raises:
            EventInvalid: A value may not stand where it does: a link that is none, or CSS of its own.
        """
        pieces = [self.parts[0]]
        for (index, place), part in zip(self.slots, self.parts[1:], strict=True):
            pieces += (str(escape(_FITTED[place](values[index]))), part)
        return "".join(pieces)

    def filled(self, known: Mapping[int, str]) -> Shape:
        """The shape with some values in it that are the same in every mail, by their index.

        Raises:
            EventInvalid: See `fill`.
        """
        parts, slots = [self.parts[0]], []
        for (index, place), part in zip(self.slots, self.parts[1:], strict=True):
            if index in known:
                parts[-1] += str(escape(_FITTED[place](known[index]))) + part
            else:
                parts.append(part)
                slots.append((index, place))
        return Shape(tuple(parts), tuple(slots))


class Shaper:
    """Renders templates through shapes; threads may share one.

    The environment of the templates must have been made with `finalize=shaper.finalize`.

    Args:
        inline: Takes a skeleton and the name of its template, gives the inlined HTML.
        word: Gives a random word of letters and digits.

    Attributes:
        prefix: What every token begins with.
    """

    def __init__(
        self, inline: Callable[[str, str], str], word: Callable[[], str] = lambda: secrets.token_hex(8)
    ) -> None:
        # The letters around it keep a token one word to HTML and one identifier to CSS.
        self.prefix = f"v{word()}n"
        self._token = re.compile(rf"{self.prefix}(\d+)z")
        # Six characters of a token, in either case, are enough to see that a filter worked on one.
        self._harmed = re.compile(self.prefix[:6], re.IGNORECASE)
        self._inline = inline
        self._shape = lru_cache(_SHAPES)(self._make_shape)

    @pass_context
    def finalize(self, context: Context, value: Any) -> Any:
        """What Jinja calls with everything that ``{{ }}`` outputs.

        Raises:
            UndefinedError: The value is undefined, or None.
            TemplateRuntimeError: The value is no text; or a macro was imported without context.
        """
        if not isinstance(value, Undefined) and hasattr(value, "__html__"):
            return value
        values = context.get(_VALUES)
        if values is None:
            raise TemplateRuntimeError("a file was imported or included without context")
        values.append(self.text(value))
        return Markup(f"{self.prefix}{len(values) - 1}z")  # noqa: S704 - a token, not data

    def translating(self, catalog: NullTranslations) -> dict[str, Callable[..., Markup]]:
        """The functions behind ``{% trans %}``: the translated text is structure, its variables are values.

        They go into the context of a render, under these names. They work as Jinja's newstyle ones do.
        """

        def filled(context: Context, text: str, variables: Mapping[str, Any]) -> Markup:
            tokens = {name: self.finalize(context, value) for name, value in variables.items()}
            return Markup(text) % tokens  # noqa: S704 - a translation is part of the template

        @pass_context
        def gettext(context: Context, text: str, /, **variables: Any) -> Markup:
            return filled(context, to_fill(text, catalog.gettext(text)), variables)

        @pass_context
        def ngettext(context: Context, one: str, many: str, n: int, /, **variables: Any) -> Markup:
            text = to_fill(one + many, self.chosen(catalog.ngettext, one, many, n))
            return filled(context, text, {"num": n, **variables})

        @pass_context
        def pgettext(context: Context, about: str, text: str, /, **variables: Any) -> Markup:
            found = to_fill(text, catalog.pgettext(about, text))
            return filled(context, found, {"context": about, **variables})

        @pass_context
        def npgettext(
            context: Context, about: str, one: str, many: str, n: int, /, **variables: Any
        ) -> Markup:
            text = to_fill(one + many, self.chosen(catalog.npgettext, about, one, many, n))
            return filled(context, text, {"context": about, "num": n, **variables})

        return {"gettext": gettext, "ngettext": ngettext, "pgettext": pgettext, "npgettext": npgettext}

    def render(self, template: Template, context: Mapping[str, Any], where: str) -> str:
        """The inlined HTML of `template` with `context`.

        Args:
            template: A whole HTML document, from an environment with this shaper's `finalize`.
            context: What the template may use; see `translating` for its texts.
            where: The template's file, for errors: ``templates/maintenance.html.j2``.

        Raises:
            TemplateInvalid: The skeleton cannot be inlined, or a token was harmed on the way.
            EventInvalid: A value may not stand where it does.
            jinja2.TemplateError: The template cannot be rendered with this context.
        """
        shape, values = self.shaped(template, context, where)
        return shape.fill(values)

    def shaped(self, template: Template, context: Mapping[str, Any], where: str) -> tuple[Shape, list[Any]]:
        """The shape of a mail and its values, by their index; see `render`."""
        values: list[Any] = []
        skeleton = template.render({**context, _VALUES: values})
        return self._shape(skeleton, where), values

    def text(self, value: Any) -> Any:
        """The text that a value is shown as; see `plain`."""
        return plain(value)

    def chosen(self, function: Callable[..., str], *args: Any) -> str:
        """The translation that `function` chooses by a number."""
        return function(*args)

    def _make_shape(self, skeleton: str, where: str) -> Shape:
        self._check(skeleton, where, "a filter works on text that was already put together")
        html = self._inline(skeleton, where)
        self._check(html, where, "a value stands where CSS or HTML changes its spelling")
        pieces = self._token.split(html)
        parts, indexes = tuple(pieces[::2]), [int(index) for index in pieces[1::2]]
        ends = [match.start() for match in self._token.finditer(html)]
        return Shape(parts, tuple((n, _place(html, end)) for n, end in zip(indexes, ends, strict=True)))

    def _check(self, text: str, where: str, why: str) -> None:
        if len(self._harmed.findall(text)) != len(self._token.findall(text)):
            fix = "apply the filter to the value itself, in {{ }}"
            raise TemplateInvalid(Problem(where, f"a value would be lost: {why}", fix))


def plain(value: Any) -> str:
    """A value as the text that a reader gets: line breaks as LF, what cannot be shown as U+FFFD.

    Raises:
        UndefinedError: It is None, or undefined.
        TemplateRuntimeError: It is no single value: a list, a mapping, a method, bytes, true or false.
    """
    if isinstance(value, str):
        text = str(value)
        # Most texts are printable to Python as well, which is sooner found out than by a pattern.
        return text if text.isprintable() or not _ODD.search(text) else _shown(text)
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - what StrictUndefined does, with the name
    if value is None:
        raise UndefinedError("a value is None; test it with {% if %} first")
    if isinstance(value, (bool, bytes, Mapping, list, tuple, set, frozenset)) or callable(value):
        raise TemplateRuntimeError(f"a value of type {type(value).__name__} is no text to show")
    return _shown(str(value))


def _shown(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", _BREAK.sub("\n", text))


def _place(html: str, end: int) -> Place:
    """Where a value stands that begins at character `end` of the HTML."""
    # Neither pattern reaches over a bracket, so what stands before the last one need not be searched.
    start = max(html.rfind("<", 0, end), html.rfind(">", 0, end)) + 1
    before = html[max(start, end - 2000) : end]
    if url := _URL_ATTRIBUTE.search(before):
        return Place.URL if url[1] else Place.LINK
    in_element = html.rfind("<style", 0, end) > html.rfind("</style", 0, end)
    return Place.STYLE if in_element or _STYLE_ATTRIBUTE.search(before) else Place.TEXT


def _link(value: str) -> str:
    # The fields' kinds checked this before; a `javascript:` that slipped through ends here.
    if not _LINK.match(value):
        raise _refused(value, "a link", "give an address that begins with https://, http:// or mailto:")
    return _url(value)


def _url(value: str) -> str:
    """As lxml writes a URL's characters outside ASCII, so that a filled shape equals an inlined mail."""
    return _OUTSIDE_URL.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), value)


def _style(value: str) -> str:
    if not _STYLE_VALUE.fullmatch(value):
        raise _refused(value, "a style", "give a colour such as #FFDDB3, or one plain CSS value")
    return value


def _refused(value: str, what: str, fix: str) -> EventInvalid:
    return EventInvalid(Problem("fields", f"{value[:80]!r} stands in the mail as {what}, and is none", fix))


_FITTED: Mapping[Place, Callable[[str], str]] = {
    Place.TEXT: lambda value: value,
    Place.LINK: _link,
    Place.URL: _url,
    Place.STYLE: _style,
}
