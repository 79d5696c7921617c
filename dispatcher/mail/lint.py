"""What a mail measures, and what about it should be better: for `check` and the gallery.

The bars are those of docs/checks.md, which says where each comes from. A finding is an *error* where readers
could not read the mail; all else is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any, Final

from lxml import etree  # type: ignore[import-untyped]
from lxml import html as lxml_html

from dispatcher.domain.colour import MIN_CONTRAST
from dispatcher.mail.contrast import Mode, Pair
from dispatcher.mail.skeleton import looks

#: Gmail cuts a mail off at 102 kB; a third of that leaves room for what relays and forwards add.
MAX_HTML_BYTES: Final = 30_000
#: Gmail drops a <style> of more than 8,192 characters whole.
MAX_STYLE_BYTES: Final = 8_000
#: The whole message: both bodies, encoded, with headers and attachments.
MAX_MESSAGE_BYTES: Final = 60_000
#: RFC 5322, 2.1.1: lines should have no more characters.
MAX_LINE: Final = 78
#: What programs show beside the subject at most.
MAX_PREHEADER: Final = 90
#: WCAG 2.2, success criterion 1.4.6, asks for 7 where text is read and not only glanced at.
MIN_BODY_CONTRAST: Final = 7.0
#: Feature and mail program, unsupported: what mails of this kind need at the least, and no more.
MAX_GAPS: Final = 30

#: What to do about a link that is not https.
HTTPS: Final = "write https://; what is not encrypted can be read and changed on its way"

_STYLE = re.compile(r"<style\b[^>]*>(.*?)</style>", re.IGNORECASE | re.DOTALL)
#: Nobody sees them, and filters take them for a trick: joiners, zero-width blanks, a byte order mark.
_INVISIBLE = re.compile("[\u034f\u200b-\u200d\u2060\ufeff]")
_HIDDEN = re.compile(r"(?:^|;)\s*display\s*:\s*none\b", re.IGNORECASE)
_LANGUAGE = re.compile(rb"^content-language: *([a-z0-9-]+)", re.IGNORECASE | re.MULTILINE)
#: RFC 2369 forbids to fold the URL of this header, so its line may be as long as it is.
_UNFOLDED = b"list-unsubscribe:"


@dataclass(frozen=True, slots=True)
class Measures:
    """What a mail measures.

    Attributes:
        html_bytes: The HTML in UTF-8.
        style_bytes: What stands in its `<style>` elements.
        message_bytes: The whole message.
        longest_line: The characters of its longest line, without the line break.
        contrast_light: The lowest contrast of any text as the mail is written.
        contrast_dark: The same in dark mail programs that the mail has colours for.
        contrast_inverted: The same where a program inverts the light colours.
        gaps: How often a mail program does not support a feature that the mail uses.
    """

    html_bytes: int
    style_bytes: int
    message_bytes: int
    longest_line: int
    contrast_light: float
    contrast_dark: float
    contrast_inverted: float
    gaps: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a mail that should be better.

    Attributes:
        rule: The rule's name, which docs/checks.md lists.
        what: What is wrong, as a sentence without a full stop.
        fix: What to do, likewise.
        needles: What to look for in the templates to find its place, the likeliest first; may be empty.
        error: Whether readers could not read the mail.
    """

    rule: str
    what: str
    fix: str
    needles: tuple[str, ...] = ()
    error: bool = False

    @property
    def needle(self) -> str:
        """The likeliest text to look for in a template, or nothing."""
        return self.needles[0] if self.needles else ""


def measure(html: str, message: bytes) -> Measures:
    """What a mail measures.

    Args:
        html: Its HTML, as a reader gets it.
        message: The whole message.
    """
    seen, features = looks(_parsed(html))
    return _measured(html, message, seen, sum(len(one.clients) for one in features))


def findings(html: str, text: str, message: bytes) -> list[Finding]:
    """Everything about a mail that should be better, by rule.

    Args:
        html: Its HTML, as a reader gets it.
        text: Its plain text.
        message: The whole message.
    """
    document = _parsed(html)
    seen, features = looks(document)
    measured = _measured(html, message, seen, sum(len(one.clients) for one in features))
    found = [*_faint(seen), *_too_much(measured), *_structure(document), *_words(document, html, text)]
    for feature in features:
        if not feature.allowed:
            what = f"{feature.title} is not known to {_listed(feature.clients)}"
            found.append(Finding(f"feature {feature.slug}", what, "do without it", (feature.needle,)))
    if not message.isascii():
        found.append(Finding("7-bit", "the message is not 7-bit clean", "leave out what is not encoded"))
    language = document.get("lang", "")
    stated = _LANGUAGE.search(message)
    if language and stated and language != stated[1].decode():
        what = f"the mail is in {stated[1].decode()}, and its <html> says {language}"
        found.append(Finding("lang", what, 'write <html lang="{{ lang }}">', ("<html",)))
    return found


def _parsed(html: str) -> Any:
    parser = lxml_html.HTMLParser(encoding="utf-8")
    return lxml_html.document_fromstring(html.encode() or b"<html></html>", parser=parser)


def _measured(html: str, message: bytes, seen: list[Pair], gaps: int) -> Measures:
    lines = (line for line in message.splitlines() if not line.lower().startswith(_UNFOLDED))
    return Measures(
        html_bytes=len(html.encode()),
        style_bytes=sum(len(style.encode()) for style in _STYLE.findall(html)),
        message_bytes=len(message),
        longest_line=max(map(len, lines), default=0),
        contrast_light=_lowest(seen, "light"),
        contrast_dark=_lowest(seen, "dark"),
        contrast_inverted=_lowest(seen, "inverted"),
        gaps=gaps,
    )


def _lowest(seen: list[Pair], mode: Mode) -> float:
    return min((pair.ratio for pair in seen if pair.mode == mode), default=21.0)


def _faint(seen: list[Pair]) -> Iterator[Finding]:
    for pair in seen:
        wanted = MIN_BODY_CONTRAST if pair.body else MIN_CONTRAST
        if pair.ratio < wanted:
            shown = {"light": "", "dark": " in dark mode", "inverted": " once inverted"}[pair.mode]
            kind = "body text" if pair.body else "text"
            # Cut, not rounded: 4.496 is too little, and must not read as if it were enough.
            ratio = f"{int(pair.ratio * 100) / 100:.2f}:1{shown}"
            yield Finding(
                f"contrast-{pair.mode}",
                f"{kind} {pair.ink} on {pair.ground} has a contrast of {ratio}",
                f"choose colours with at least {wanted:g}:1",
                pair.needles,
                error=pair.ratio < MIN_CONTRAST,
            )


def _too_much(measured: Measures) -> Iterator[Finding]:
    for rule, name, value, bar, unit, fix in (
        ("html-size", "the HTML", measured.html_bytes, MAX_HTML_BYTES, " bytes", "say less, or link to it"),
        ("style-size", "<style>", measured.style_bytes, MAX_STYLE_BYTES, " bytes", "leave rules out"),
        ("message-size", "the message", measured.message_bytes, MAX_MESSAGE_BYTES, " bytes", "say less"),
        ("line", "the longest line", measured.longest_line, MAX_LINE, " characters", "make it shorter"),
        ("gaps", "what the mail uses", measured.gaps, MAX_GAPS, " gaps in mail programs", "use less"),
    ):
        if value > bar:
            verb = "is" if rule == "line" else "has"
            yield Finding(rule, f"{name} {verb} {value:,}{unit}", f"{fix}; at most {bar:,} are allowed")


def _structure(document: Any) -> Iterator[Finding]:
    if not (document.findtext("head/title") or "").strip():
        yield Finding("title", "the mail has no title", "write one into <title>", ("<title", "<head"))
    if not document.get("lang"):
        yield Finding("lang", "<html> has no lang", 'write <html lang="{{ lang }}">', ("<html",))
    body = document.find("body")
    if body is not None and not any(child.get("lang") for child in body.iterchildren(etree.Element)):
        fix = 'wrap it in <div role="article" lang="{{ lang }}">, for programs that drop <html>'
        yield Finding("lang", "nothing directly in <body> has a lang", fix, ("<body",))
    headings = len(list(document.iter("h1")))
    if headings != 1:
        what = f"the mail has {headings} <h1>" if headings else "the mail has no <h1>"
        yield Finding("h1", what, "write exactly one, which says what happens", ("<h1",))
    for image in document.iter("img"):
        if image.get("alt") is None:
            fix = 'say in alt="…" what it shows, or write alt="" for decoration'
            yield Finding("alt", "an image has no alt", fix, (image.get("src", "<img"), "<img"))
    for table in document.iter("table"):
        data = next(table.iterfind(".//th"), None) is not None and not list(table.iterfind(".//table"))
        if not data and table.get("role") not in {"presentation", "none"}:
            names = tuple(f'class="{name}' for name in table.get("class", "").split())
            fix = 'write <table role="presentation">, or give a table of data its <th scope="row">'
            yield Finding("table-role", "a table for layout has no role", fix, (*names, "<table"))


def _words(document: Any, html: str, text: str) -> Iterator[Finding]:
    for name, content in (("HTML", unescape(html)), ("plain text", text)):
        if found := _INVISIBLE.search(content):
            what = f"the {name} holds U+{ord(found[0]):04X}, which nobody sees"
            yield Finding("invisible", what, "take it out", (found[0], f"&#{ord(found[0])};", "&zwnj;"))
    preheader = _preheader(document)
    if not preheader:
        fix = "put one true sentence into the block `preheader`"
        yield Finding("preheader", "the mail has no preheader", fix, ("block preheader",))
    elif len(preheader) > MAX_PREHEADER:
        what = f"the preheader has {len(preheader)} characters"
        yield Finding("preheader", what, f"say it in {MAX_PREHEADER}", ("block preheader",))
    for link in document.iter("a", "img"):
        address = str(link.get("href") or link.get("src") or "")
        if address.lower().startswith("http:"):
            what = f"the link {address[:80]} is not https"
            yield Finding("https", what, HTTPS, (address,))


def _preheader(document: Any) -> str:
    """The hidden text with which the body begins."""
    for element in document.iter("div", "span", "p", "td"):
        if _HIDDEN.search(element.get("style", "")):
            return " ".join("".join(element.itertext()).split())
        if (element.text or "").strip():
            break
    return ""


def _listed(clients: tuple[str, ...]) -> str:
    return f"{', '.join(clients[:2])} and {len(clients) - 2} more" if len(clients) > 3 else ", ".join(clients)
