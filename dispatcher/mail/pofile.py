"""Files of translations: ``locales/<language>/LC_MESSAGES/messages.po``, as GNU gettext describes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.catalog import Message as Babels
from babel.messages.pofile import PoFileError, PoFileParser, normalize

from dispatcher.errors import Problem, TemplateInvalid
from dispatcher.mail.extract import Message

#: A catalogue of twenty times our size; more is a mistake, and it is read into memory.
MAX_BYTES = 2 * 1024 * 1024
WIDTH = 110
# CLDR's rules for whole numbers; French and Brazilian Portuguese say "0 jour" in the singular.
PLURALS: Mapping[str, str] = {
    "de": "nplurals=2; plural=(n != 1);",
    "es": "nplurals=2; plural=(n != 1);",
    "fr": "nplurals=2; plural=(n > 1);",
    "it": "nplurals=2; plural=(n != 1);",
    "ja": "nplurals=1; plural=0;",
    "pt": "nplurals=2; plural=(n > 1);",
    "zh-Hans": "nplurals=1; plural=0;",
    "zh-Hant": "nplurals=1; plural=0;",
}
_LINE = re.compile(r'(?:#.*|(?:(?:msgctxt|msgid|msgid_plural|msgstr(?:\[[0-9]\])?) ?)?"(?:[^"\\]|\\.)*")?')

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a file.

    Attributes:
        text: The English text.
        forms: The translation; one form for each number that the language's plural rule tells apart.
        plural: The English plural, or empty.
        context: What tells it from the same text elsewhere, or empty.
        fuzzy: Whether somebody marked it as a guess; a guess is not used.
        formatted: Whether ``%(name)s`` in it is a placeholder.
        remarks: What translators wrote beside it.
        line: Where it stands, from 1.
    """

    text: str
    forms: tuple[str, ...]
    plural: str = ""
    context: str = ""
    fuzzy: bool = False
    formatted: bool = False
    remarks: tuple[str, ...] = ()
    line: int = 0

    @property
    def key(self) -> Key:
        """What identifies the message."""
        return self.context, self.text

    @property
    def translated(self) -> bool:
        """Whether it may be used: every form is there, and it is no guess."""
        return bool(self.forms) and all(form.strip() for form in self.forms) and not self.fuzzy


@dataclass(frozen=True, slots=True)
class PoFile:
    """What a file says.

    Attributes:
        where: How it is called in messages: ``locales/de/LC_MESSAGES/messages.po``.
        entries: Its messages by key.
    """

    where: str
    entries: Mapping[Key, Entry] = field(default_factory=dict)


def file_of(folder: Path, language: str) -> Path:
    """The file of a language below a folder ``locales``."""
    return folder / language / "LC_MESSAGES" / "messages.po"


def called(file: Path) -> str:
    """How a file is called in messages."""
    return "/".join(file.parts[-4:])


def plural_rule(language: str) -> str:
    """The rule that gives the number of a plural's form, in C: ``(n != 1)``."""
    return PLURALS.get(language, PLURALS["de"]).partition("plural=")[2].rstrip(";")


def read(file: Path) -> PoFile:
    """The translations in `file`.

    Raises:
        TemplateInvalid: It is no file of translations; with the line.
        OSError: It cannot be read.
    """
    where = called(file)
    raw = file.read_bytes()
    if len(raw) > MAX_BYTES:
        raise _invalid(where, f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _invalid(f"{where}:{line}", "is not UTF-8", "save the file as UTF-8") from None
    if not any(map(str.strip, lines)):  # an editor empties a file before it writes it
        raise _invalid(where, "is empty", "write it, or remove it")
    for number, text in enumerate(lines, 1):
        if not _LINE.fullmatch(text.strip()):
            raise _invalid(f"{where}:{number}", f"{text.strip()[:60]!r} is no line of a .po file")
    catalog = _Once(where)
    try:
        PoFileParser(catalog, ignore_obsolete=True, abort_invalid=True).parse(lines)
    except PoFileError as error:
        raise _invalid(f"{where}:{error.lineno + 1}", str(error)) from None
    except TemplateInvalid:
        raise
    except (ValueError, IndexError, AttributeError) as error:  # what Babel's parser raises by accident
        raise _invalid(where, f"cannot be read: {error}") from None
    entries = [_entry(message) for message in catalog if message.id]
    return PoFile(where, {entry.key: entry for entry in entries})


def written(language: str, texts: Sequence[Message], known: PoFile) -> str:
    """A whole file: `texts` in their order, each with its translation in `known`."""
    parts = [_header(language)]
    count = 2 if "nplurals=2" in PLURALS[language] else 1
    for message in texts:
        entry = known.entries.get(message.key)
        forms = entry.forms if entry and bool(entry.plural) == bool(message.plural) else ()
        wanted = count if message.plural else 1
        kept = forms if len(forms) == wanted else ("",) * wanted
        parts.append("\n".join(_block(message, kept, entry)))
    return "\n\n".join(parts) + "\n"


def _header(language: str) -> str:
    return "\n".join(
        (
            "# What the mails say. How to translate: docs/languages.md of the Dispatcher project.",
            'msgid ""',
            'msgstr ""',
            rf'"Language: {language}\n"',
            r'"MIME-Version: 1.0\n"',
            r'"Content-Type: text/plain; charset=utf-8\n"',
            r'"Content-Transfer-Encoding: 8bit\n"',
            rf'"Plural-Forms: {PLURALS[language]}\n"',
        )
    )


def _block(message: Message, forms: Sequence[str], entry: Entry | None) -> Iterator[str]:
    yield from (f"# {remark}".rstrip() for remark in (entry.remarks if entry else ()))
    yield from (f"#. {note}" for note in message.notes)
    yield f"#: {' '.join(message.places)}"
    flags = ["fuzzy"] if entry and entry.fuzzy and any(forms) else []
    flags += ["python-format"] if message.formatted else []
    if flags:
        yield f"#, {', '.join(flags)}"
    if message.context:
        yield f"msgctxt {_quoted(message.context)}"
    yield f"msgid {_quoted(message.text)}"
    if message.plural:
        yield f"msgid_plural {_quoted(message.plural)}"
        yield from (f"msgstr[{number}] {_quoted(form)}" for number, form in enumerate(forms))
    else:
        yield f"msgstr {_quoted(forms[0])}"


def _quoted(text: str) -> str:
    return str(normalize(text, width=WIDTH))


class _Once(Catalog):
    """Babel's catalogue, which would join a message that stands in a file twice without a word."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where

    def __setitem__(self, id: str | tuple[str, ...] | list[str], message: Babels) -> None:  # noqa: A002
        if id and self.get(id, message.context) is not None:
            shown = id if isinstance(id, str) else id[0]
            where, what = f"{self._where}:{message.lineno}", f"{shown[:60]!r} is translated twice"
            raise _invalid(where, what, "keep one of the two")
        super().__setitem__(id, message)


def _entry(message: Babels) -> Entry:
    texts = (message.id, "") if isinstance(message.id, str) else tuple(message.id)
    said = message.string or ""
    return Entry(
        text=texts[0],
        forms=(said,) if isinstance(said, str) else tuple(said),
        plural=texts[1],
        context=message.context or "",
        fuzzy=message.fuzzy,
        formatted="python-format" in message.flags,
        remarks=tuple(message.user_comments),
        line=message.lineno or 0,
    )


def _invalid(where: str, what: str, fix: str = "write it as docs/languages.md shows") -> TemplateInvalid:
    return TemplateInvalid(Problem(where, what, fix))
