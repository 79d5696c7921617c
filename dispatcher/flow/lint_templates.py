"""What about the templates should be better that no rendered mail shows; for `check`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Final

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.language import DEFAULT
from dispatcher.errors import Problem
from dispatcher.flow.places import Places
from dispatcher.mail.environment import own_files

_TRANS: Final = re.compile(r"{%-?\s*trans\b.*?{%-?\s*endtrans\b.*?%}", re.DOTALL)
#: What is put together for later: colours and styles, mostly.
_SET: Final = re.compile(r"{%-?\s*set\s+\w+\s*-?%}.*?{%-?\s*endset\b.*?%}", re.DOTALL)
_JINJA: Final = re.compile(r"{%.*?%}|{{.*?}}", re.DOTALL)
_STYLE: Final = re.compile(r"<style\b.*?</style>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]*>")
_ENTITY: Final = re.compile(r"&#?\w+;")
#: Attributes whose words are read out or shown.
_SPOKEN: Final = re.compile(r"""\b(?:alt|title|aria-label|aria-roledescription)\s*=\s*["']([^"']*)["']""")
#: A word is more than a letter; names of units and of what nobody translates are written in capitals.
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_ELEMENT: Final = re.compile(
    r"<(/?)(table|tr|td|th|div|p|ul|ol|li|a|span|strong|em|h[1-6])\b[^<>]*>", re.IGNORECASE
)
_BRANCH: Final = re.compile(r"{%[-+]?\s*(if|elif|else|endif|for|endfor)\b")
#: Components that take the name of a field.
_ASKED: Final = re.compile(r"""\bc\.(section|list|timeline|fact|table)\(\s*["'](\w+)["']""")
_SHOWN: Final = 60


def untold(catalogue: Catalogue, places: Places) -> Iterator[Problem]:
    """Sentences in templates that no translation reaches, since they stand outside ``{% trans %}``."""
    english = _english_only(catalogue)
    for name in places.templates():
        if name in english:
            continue
        for start, text in _texts(places.source(name), html=name.endswith(".html.j2")):
            what = f"{_cut(text)!r} is English for every reader"
            fix = "put the whole sentence into {% trans %}, or a word into _('…')"
            yield Problem(places.line(name, start), what, fix)


def unclosed(catalogue: Catalogue, places: Places) -> Iterator[Problem]:
    """Elements of types' own templates that are opened and not closed, or the other way round."""
    for name in sorted({own_files(spec.template)[0] for spec in catalogue.types.values()}):
        source = _first_branches(_blank(_STYLE, places.source(name)))
        opened: list[tuple[str, int]] = []
        for found in _ELEMENT.finditer(_blank(_JINJA, source)):
            tag = found[2].lower()
            if not found[1]:
                opened.append((tag, found.start()))
            elif opened and opened[-1][0] == tag:
                opened.pop()
            else:
                tag, at = opened[-1] if opened else (f"/{tag}", found.start())
                yield _crossed(places.line(name, at), tag)
                break
        else:
            yield from (_crossed(places.line(name, at), tag) for tag, at in opened[:1])


def misnamed(catalogue: Catalogue, places: Places) -> Iterator[Problem]:
    """Components that are asked for a field that no type of the template has, and so show nothing."""
    fields: dict[str, set[str]] = {}
    for spec in catalogue.types.values():
        for name in own_files(spec.template):
            fields.setdefault(name, set()).update(spec.fields)
    for name, known in fields.items():
        for found in _ASKED.finditer(places.source(name)):
            if found[2] not in known:
                close = difflib.get_close_matches(found[2], sorted(known), 1)
                meant = f"did you mean {close[0]}?" if close else f"the fields are {', '.join(sorted(known))}"
                what = f"c.{found[1]}({found[2]!r}) names no field, so it shows nothing"
                yield Problem(places.line(name, found.start()), what, meant)


def one_sided(catalogue: Catalogue, places: Places) -> Iterator[Problem]:
    """Fields that a type's HTML shows and its plain text does not, or the other way round."""
    told = set()
    for key, spec in catalogue.types.items():
        html, text = own_files(spec.template)
        for field in spec.fields:
            named = re.compile(rf"""fields\.{field}\b|["']{field}["']""")
            for here, there in ((html, text), (text, html)):
                found = named.search(places.source(here))
                if not found or (here, field) in told or _anywhere(named, places, there):
                    continue
                told.add((here, field))
                what = f"the field {field} of {key} is shown here and not in templates/{there}"
                fix = "show it in both, for some read only one"
                yield Problem(places.line(here, found.start()), what, fix)


def _anywhere(named: re.Pattern[str], places: Places, file: str) -> bool:
    """Whether a file, or the layout and the components of its kind, names a field."""
    template, ending = file.split(".", 1)
    files = (name for name in places.names(template) if name.endswith(f".{ending}"))
    return any(named.search(places.source(name)) for name in files)


def _english_only(catalogue: Catalogue) -> set[str]:
    found: dict[str, set[str]] = {}
    for spec in catalogue.types.values():
        found.setdefault(spec.template, set()).update(spec.languages)
    only = (template for template, written in found.items() if written == {DEFAULT})
    return {file for template in only for file in own_files(template)}


def _texts(source: str, *, html: bool) -> Iterator[tuple[int, str]]:
    """What a template says by itself that has words, with its place."""
    source = _blank(_JINJA, _blank(_SET, _blank(_TRANS, source)))
    if html:
        source = _blank(_STYLE, source)
        spoken = (found for found in _SPOKEN.finditer(source) if _worded(found[1]))
        yield from ((found.start(1), found[1].strip()) for found in spoken)
        source = _blank(_TAG, source)
    for found in re.finditer(r"[^\0\n]+", source):
        if _worded(found[0]):
            before = len(found[0]) - len(found[0].lstrip())
            yield found.start() + before, " ".join(found[0].split())


def _worded(text: str) -> bool:
    return any(not word.isupper() for word in _WORD.findall(_ENTITY.sub(" ", text)))


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """`text` with nothing where `pattern` matches; every character stays at its place."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", "\0", found[0]), text)


def _first_branches(source: str) -> str:
    """A template in which every `{% if %}` has its first branch alone."""
    found, left_out = list[tuple[int, int]](), list[int]()
    for tag in _BRANCH.finditer(source):
        if tag[1] in {"if", "for"}:
            left_out.append(-1)
        elif not left_out:
            break
        elif tag[1] in {"else", "elif"}:
            left_out[-1] = tag.start() if left_out[-1] < 0 else left_out[-1]
        elif (start := left_out.pop()) >= 0:
            found.append((start, tag.start()))
    for start, end in found:
        source = source[:start] + re.sub(r"[^\n]", "\0", source[start:end]) + source[end:]
    return source


def _crossed(where: str, tag: str) -> Problem:
    if tag.startswith("/"):
        fix = f"take it out, or write <{tag[1:]}> before"
        return Problem(where, f"<{tag}> closes what was not opened", fix)
    return Problem(where, f"<{tag}> is not closed before what it stands in", f"write </{tag}>")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1].rstrip()}…"
