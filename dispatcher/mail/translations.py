"""The translated texts of a project, read from files of translations as they are."""

from __future__ import annotations

import gettext
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dispatcher.domain.language import DEFAULT
from dispatcher.errors import Problem, TemplateInvalid
from dispatcher.mail import pofile
from dispatcher.mail.pofile import Entry, PoFile
from dispatcher.mail.wanting import unfit

_Stamp = tuple[int, int] | None

_log = logging.getLogger(__name__)


class Translation(gettext.GNUTranslations):
    """The texts of one language, or none: then every text stays the English it is written in.

    Attributes:
        language: The language that the texts are in.

    Args:
        language: Likewise.
        files: Where they are looked for; the first that has a text counts.
    """

    def __init__(self, language: str = DEFAULT, files: Iterable[PoFile] = ()) -> None:
        super().__init__(None)
        self.language = language
        self.plural = gettext.c2py(pofile.plural_rule(language))
        self._catalog: dict[str | tuple[str, int], str] = {}
        for file in reversed(tuple(files)):
            for entry in file.entries.values():
                self._add(entry)

    def _add(self, entry: Entry) -> None:
        if not entry.translated:
            return
        key = f"{entry.context}\x04{entry.text}" if entry.context else entry.text
        if entry.plural:
            self._catalog |= {(key, number): form for number, form in enumerate(entry.forms)}
        else:
            self._catalog[key] = entry.forms[0]


class Translations:
    """Every language's texts; threads may share one.

    A file is read when its language is first asked for, and again when it has changed on disk. What is wrong
    with one never keeps a mail back: of a file that cannot be read the last version that could be stays in
    force, and a translation whose placeholders do not fit counts as none. Each is logged once.

    Args:
        root: The project's root; its ``locales/<language>/LC_MESSAGES/messages.po`` come first.
        shipped: The folder ``locales`` that came with the program, which has what the root's lack: so a
            root that is older, or has types of its own, still gets every text that is known.
    """

    def __init__(self, root: Path, shipped: Path | None = None) -> None:
        self._folders = tuple(dict.fromkeys(folder for folder in (root / "locales", shipped) if folder))
        self._places: dict[str, tuple[Path, ...]] = {}
        self._files: dict[Path, tuple[_Stamp, PoFile | None]] = {}
        self._found: dict[str, tuple[tuple[_Stamp, ...], Translation]] = {}

    def find(self, language: str) -> Translation:
        """The texts in `language`; the untranslated English ones where there is no file."""
        files = self._places.get(language)
        if files is None:
            files = self._places[language] = tuple(pofile.file_of(one, language) for one in self._folders)
        stamps = tuple(map(_stamp, files))
        known = self._found.get(language)
        if known is not None and known[0] == stamps:
            return known[1]
        read = [self._kept(file, stamp) for file, stamp in zip(files, stamps, strict=True)]
        there = [file for file in read if file]
        found = Translation(language, there) if there else Translation()
        self._found[language] = stamps, found
        return found

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the files as they are now; whatever it is, mails are sent without it."""
        for language in pofile.PLURALS:
            for folder in self._folders:
                file = pofile.file_of(folder, language)
                if _stamp(file):
                    yield from _read(file)[1]

    def _kept(self, file: Path, stamp: _Stamp) -> PoFile | None:
        """What `file` says, or said when it last could be read; None if it is gone, or never could be."""
        known = self._files.get(file, (None, None))
        if known[0] == stamp:
            return known[1]
        found = None
        if stamp:
            found, problems = _read(file)
            instead = "the English text stands in for it"
            if not found:
                found = known[1]
                instead = f"{'what it said before' if found else 'what came with the program'} stays in force"
            for problem in problems:
                _log.warning("%s %s.", problem, f"Until then {instead}")
        self._files[file] = stamp, found
        return found


def to_fill(message: str, text: str) -> str:
    """A translation of `message` that values are put into with ``%``.

    Where the English text has no placeholder, a percent sign in the translation is one and nothing else.
    """
    return text if "%" in message else text.replace("%", "%%")


def _stamp(file: Path) -> _Stamp:
    try:
        status = os.stat(file)  # noqa: PTH116 - for every mail, so it must be quick
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _read(file: Path) -> tuple[PoFile | None, tuple[Problem, ...]]:
    """What may be used of a file, if it can be read, and what is wrong with it."""
    try:
        read = pofile.read(file)
    except TemplateInvalid as error:
        return None, error.problems
    except OSError as error:
        what = f"cannot be read: {(error.strerror or str(error)).lower()}"
        return None, (Problem(pofile.called(file), what, "see to it that this user may read it"),)
    faults = {key: list(unfit(entry, read.where)) for key, entry in read.entries.items() if entry.translated}
    fit = {key: entry for key, entry in read.entries.items() if not faults.get(key)}
    return replace(read, entries=fit), tuple(problem for found in faults.values() for problem in found)
