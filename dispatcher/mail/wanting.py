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


def mistakes(language: str, texts: Sequence[Message], own: PoFile) -> Iterator[Problem]:
    """What is wrong with what a root's own file translates; what it leaves out is no mistake.

    Args:
        language: One of the languages that are translated to.
        texts: Every text.
        own: The root's file.
    """
    for message in texts:
        entry = own.entries.get(message.key)
        if entry and entry.translated and language in message.languages:
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


def unfit(entry: Entry, where: str) -> Iterator[Problem]:
    """Why a translation cannot be used in mails: its placeholders are not those of the English text.

    Args:
        entry: The translation.
        where: The name of its file.
    """
    text = entry.text + entry.plural
    formatted = entry.formatted or bool(_NAMED.search(text))  # editors lose the flag
    for form in entry.forms:
        for what, fix in _misplaced(text, form, formatted=formatted):
            yield Problem(f"{where}:{entry.line}", f"{_cut(form)} {what}", fix)


def _misplaced(text: str, form: str, *, formatted: bool) -> Iterator[tuple[str, str]]:
    pattern, mark = (_NAMED, "%({})s") if formatted else (_BRACED, "{{{}}}")
    there, given = set(pattern.findall(text)), set(pattern.findall(form))
    for name in sorted(there - given):
        yield f"has lost {mark.format(name)}", "put it where the value belongs"
    for name in sorted(given - there):
        yield f"has {mark.format(name)}, which the English text has not", "leave it out"
    if formatted and _stray_percent(form):
        yield "has a % that begins no placeholder", "write a percent sign as %%"


def _stray_percent(form: str) -> bool:
    return "%" in _NAMED.sub("", form).replace("%%", "")


def faults(message: Message, form: str) -> Iterator[tuple[str, str]]:
    """What is wrong with one form of a translation: what it is, and what to do."""
    if not form.strip():
        return
    yield from _misplaced(message.text + message.plural, form, formatted=message.formatted)
    if not message.formatted and "%" in form and set(message.places) - {"catalogue.yaml"}:
        # Harmless today; yet whoever writes one cannot know whether it would have to be doubled.
        yield "has a %, which the English text has not", "write it in words"
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
