"""The translated texts of a project, read from files of translations as they are."""

from __future__ import annotations

import gettext
from collections.abc import Iterable
from pathlib import Path

from dispatcher.domain.language import DEFAULT
from dispatcher.errors import Problem, TemplateInvalid
from dispatcher.mail import pofile
from dispatcher.mail.pofile import PoFile
from dispatcher.mail.wanting import breaking

_Stamp = tuple[int, int] | None


class Translation(gettext.GNUTranslations):
    """The texts of one language, or none: then every text stays the English it is written in.

    Attributes:
        language: The language that the texts are in.

    Args:
        language: Likewise.
        files: Where they are looked for; the first that has a text counts.

    Raises:
        TemplateInvalid: A translation asks for a value that the English text has not.
    """

    def __init__(self, language: str = DEFAULT, files: Iterable[PoFile] = ()) -> None:
        super().__init__(None)
        self.language = language
        self.plural = gettext.c2py(pofile.plural_rule(language))
        self._catalog: dict[str | tuple[str, int], str] = {}
        for file in reversed(tuple(files)):
            self._add(file)

    def _add(self, file: PoFile) -> None:
        for entry in file.entries.values():
            if not entry.translated:
                continue
            if what := breaking(entry):
                fix = "correct the translation; `dispatcher locales --check` shows all that are wrong"
                raise TemplateInvalid(Problem(f"{file.where}:{entry.line}", what, fix))
            key = f"{entry.context}\x04{entry.text}" if entry.context else entry.text
            if entry.plural:
                self._catalog |= {(key, number): form for number, form in enumerate(entry.forms)}
            else:
                self._catalog[key] = entry.forms[0]


class Translations:
    """Every language's texts; threads may share one.

    A file is read when its language is first asked for, and again when it has changed on disk.

    Args:
        root: The project's root; its ``locales/<language>/LC_MESSAGES/messages.po`` come first.
        shipped: The folder ``locales`` that came with the program, which has what the root's lack: so a
            root that is older, or has types of its own, still gets every text that is known.
    """

    def __init__(self, root: Path, shipped: Path | None = None) -> None:
        self._folders = tuple(dict.fromkeys(folder for folder in (root / "locales", shipped) if folder))
        self._found: dict[str, tuple[tuple[_Stamp, ...], Translation]] = {}

    def find(self, language: str) -> Translation:
        """The texts in `language`; the untranslated English ones where there is no file.

        Raises:
            TemplateInvalid: A file cannot be read, is no file of translations, or would break a mail.
        """
        files = [pofile.file_of(folder, language) for folder in self._folders]
        stamps = tuple(map(_stamp, files))
        known = self._found.get(language)
        if known is not None and known[0] == stamps:
            return known[1]
        there = [_read(file) for file, stamp in zip(files, stamps, strict=True) if stamp]
        found = Translation(language, there) if there else Translation()
        self._found[language] = stamps, found
        return found


def _stamp(file: Path) -> _Stamp:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _read(file: Path) -> PoFile:
    try:
        return pofile.read(file)
    except OSError as error:
        what = f"cannot be read: {(error.strerror or str(error)).lower()}"
        raise TemplateInvalid(
            Problem(pofile.called(file), what, "see to it that this user may read it")
        ) from None
