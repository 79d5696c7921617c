"""What is wrong with translations, told so that a translator can put it right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from string import Formatter

from dispatcher.errors import Problem
from dispatcher.mail.extract import Message
from dispatcher.mail.pofile import Entry, PoFile

_NAMED = re.compile(r"%\(([a-z_]+)\)s")
_BRACED = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u034f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffd]"
)
_SHOWN = 60


def joined(own: PoFile, shipped: PoFile) -> PoFile:
    """What translates a root's mails: its own file, and what the program knows where that is silent."""
    entries = {key: entry for key, entry in shipped.entries.items() if entry.translated}
    entries |= {key: entry for key, entry in own.entries.items() if any(entry.forms) or key not in entries}
    return PoFile(own.where, entries)


def shortcomings(language: str, texts: Sequence[Message], own: PoFile, shipped: PoFile) -> Iterator[Problem]:
    """What is wrong with the mails in `language`: texts that would be English, together; each that is wrong.

    Args:
        language: One of the languages that are translated to.
        texts: Every text.
        own: The root's file.
        shipped: The program's.
    """
    known = joined(own, shipped)
    wanted = [message for message in texts if language in message.languages]
    entries = {message.key: known.entries.get(message.key) for message in wanted}
    missing = [message for message in wanted if not (entry := entries[message.key]) or not entry.translated]
    if missing:
        what = f"{len(missing)} of {len(wanted)} texts are not translated, {_cut(missing[0].text)} for one"
        fix = "run `dispatcher locales` and translate what is empty, or name the languages of a type"
        yield Problem(own.where, f"{what}, and would be English in mails", fix)
    for message in wanted:
        entry = own.entries.get(message.key)
        if entry and entry.translated:
            yield from _wrong(message, entry, f"{own.where}:{entry.line}")


def problems(language: str, texts: Sequence[Message], known: PoFile) -> Iterator[Problem]:
    """Everything that `known` lacks or has wrong, of the texts that `language` needs.

    Args:
        language: One of the languages that are translated to.
        texts: Every text, as `dispatcher.mail.extract.messages` finds them.
        known: The file of that language.
    """
    wanted = {message.key: message for message in texts if language in message.languages}
    for key, message in wanted.items():
        entry = known.entries.get(key)
        if entry is None or not any(form.strip() for form in entry.forms):
            place = f"{known.where}:{entry.line}" if entry else known.where
            yield Problem(place, f"{_cut(message.text)} is not translated", "translate it")
        else:
            yield from _wrong(message, entry, f"{known.where}:{entry.line}")
    for key, entry in known.entries.items():
        if key not in wanted:
            where = f"{known.where}:{entry.line}"
            yield Problem(
                where, f"{_cut(entry.text)} is not used", "run `dispatcher locales`, which drops it"
            )


def _wrong(message: Message, entry: Entry, where: str) -> Iterator[Problem]:
    if entry.fuzzy:
        yield Problem(where, f"{_cut(entry.text)} is fuzzy", "see that it is right and take the mark away")
    if message.plural != entry.plural or not all(form.strip() for form in entry.forms):
        yield Problem(where, f"{_cut(entry.text)} lacks a plural form", "translate every form")
    for form in entry.forms:
        for what, fix in faults(message, form):
            yield Problem(where, f"{_cut(form)} {what}", fix)


def breaking(entry: Entry) -> str:
    """What in a translation would keep a mail from being rendered; empty for most."""
    if not entry.formatted:
        return ""
    there = set(_NAMED.findall(entry.text + entry.plural))
    for form in entry.forms:
        if strange := sorted(set(_NAMED.findall(form)) - there):
            return f"{_cut(form)} has %({strange[0]})s, which the English text has not"
        if _stray_percent(form):
            return f"{_cut(form)} has a % that begins no placeholder"
    return ""


def _stray_percent(form: str) -> bool:
    return "%" in _NAMED.sub("", form).replace("%%", "")


def faults(message: Message, form: str) -> Iterator[tuple[str, str]]:
    """What is wrong with one form of a translation: what it is, and what to do."""
    if not form.strip():
        return
    pattern = _NAMED if message.formatted else _BRACED
    mark = "%({})s" if message.formatted else "{{{}}}"
    there, given = (set(pattern.findall(text)) for text in (message.text + message.plural, form))
    for name in sorted(there - given):
        yield f"has lost {mark.format(name)}", "put it where the value belongs"
    for name in sorted(given - there):
        yield f"has {mark.format(name)}, which the English text has not", "leave it out"
    if message.formatted and _stray_percent(form):
        yield "has a % that begins no placeholder", "write a percent sign as %%"
    if not message.formatted and not _balanced(form):
        yield "has a brace that begins no placeholder", "write placeholders as {name}"
    if found := _INVISIBLE.search(form):
        yield f"holds the character U+{ord(found[0]):04X}, which nobody sees", "take it out"
    if form != form.strip():
        yield "begins or ends with a blank", "take it out"
    if set(re.findall(r"[<>&]", form)) - set(re.findall(r"[<>&]", message.text)):
        yield "has <, > or &, which the English text has not", "write it in words"


def _balanced(form: str) -> bool:
    try:
        list(Formatter().parse(form))
    except ValueError:
        return False
    return True


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
