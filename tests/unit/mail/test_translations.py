from __future__ import annotations

import gettext
import os
from pathlib import Path

import pytest

from dispatcher.errors import TemplateInvalid
from dispatcher.mail.translations import Translations

HEADER = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    '"Plural-Forms: nplurals=2; plural=(n > 1);\\n"\n\n'
)


def write(folder: Path, language: str, text: str) -> Path:
    file = folder / language / "LC_MESSAGES" / "messages.po"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEADER + text, encoding="utf-8")
    return file


def test_texts_are_found_by_language(tmp_path: Path) -> None:
    """A file of translations under locales/ is used as it is, and says that it is in its language."""
    write(tmp_path / "locales", "de", 'msgid "What to do"\nmsgstr "Was zu tun ist"\n')
    found = Translations(tmp_path).find("de")

    assert (found.language, found.gettext("What to do")) == ("de", "Was zu tun ist")
    assert found.gettext("Not translated yet") == "Not translated yet"


def test_without_a_file_the_text_stays_english(tmp_path: Path) -> None:
    """A language without a file gets the English texts, and they say that they are English."""
    found = Translations(tmp_path).find("ja")

    assert isinstance(found, gettext.NullTranslations)
    assert (found.language, found.gettext("Yes")) == ("en", "Yes")
    assert [found.ngettext("one", "many", number) for number in (1, 2)] == ["one", "many"]


def test_the_roots_own_texts_come_before_the_shipped_ones(tmp_path: Path) -> None:
    """A root may word things its own way, and gets from the program what it does not have."""
    write(tmp_path / "locales", "de", 'msgid "Yes"\nmsgstr "Jawohl"\n\nmsgid "No"\nmsgstr ""\n')
    write(tmp_path / "shipped", "de", 'msgid "Yes"\nmsgstr "Ja"\n\nmsgid "No"\nmsgstr "Nein"\n')
    found = Translations(tmp_path, tmp_path / "shipped").find("de")

    assert (found.gettext("Yes"), found.gettext("No")) == ("Jawohl", "Nein")


def test_plural_forms_follow_the_language(tmp_path: Path) -> None:
    """French says nought in the singular; Japanese has one form for every number."""
    both = 'msgid "%(n)s day"\nmsgid_plural "%(n)s days"\nmsgstr[0] "jour"\nmsgstr[1] "jours"\n'
    write(tmp_path / "locales", "fr", both)
    one = 'msgid "%(n)s day"\nmsgid_plural "%(n)s days"\nmsgstr[0] "日"\n'
    file = write(tmp_path / "locales", "ja", one)
    file.write_text(
        file.read_text(encoding="utf-8").replace("nplurals=2; plural=(n > 1)", "nplurals=1; plural=0")
    )
    texts = Translations(tmp_path)

    assert [texts.find("fr").ngettext("%(n)s day", "", n) for n in (0, 1, 2)] == ["jour", "jour", "jours"]
    assert [texts.find("ja").ngettext("%(n)s day", "", n) for n in (0, 1, 2)] == ["日", "日", "日"]


def test_the_same_english_text_may_mean_two_things(tmp_path: Path) -> None:
    """A context tells two texts apart that are the same in English."""
    text = 'msgctxt "news"\nmsgid "Update"\nmsgstr "Meldung"\n\nmsgid "Update"\nmsgstr "Aktualisierung"\n'
    write(tmp_path / "locales", "de", text)
    found = Translations(tmp_path).find("de")

    assert (found.pgettext("news", "Update"), found.gettext("Update")) == ("Meldung", "Aktualisierung")


def test_a_guess_is_not_used(tmp_path: Path) -> None:
    """What is marked as fuzzy stays English until somebody has looked at it."""
    write(tmp_path / "locales", "de", '#, fuzzy\nmsgid "Yes"\nmsgstr "Jein"\n')

    assert Translations(tmp_path).find("de").gettext("Yes") == "Yes"


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """A running preview shows a new translation at the next render, and keeps what has not changed."""
    file = write(tmp_path / "locales", "de", 'msgid "Yes"\nmsgstr "Ja"\n')
    texts = Translations(tmp_path)
    before = texts.find("de")
    assert texts.find("de") is before
    write(tmp_path / "locales", "de", 'msgid "Yes"\nmsgstr "Jo"\n')
    os.utime(file, ns=(1, 1))

    assert texts.find("de").gettext("Yes") == "Jo"


BROKEN = (
    ('msgid "Yes"\nmsgstr "Ja\n', 7, "'msgstr \"Ja' is no line of a .po file"),
    ('msgid "Yes"\nmsgtsr "Ja"\n', 7, "is no line of a .po file"),
    ('msgid "Yes"\n\nmsgid "No"\nmsgstr "Nein"\n', 6, "missing msgstr for msgid 'Yes'"),
    ('msgid "Yes"\nmsgstr "Ja"\n\nmsgid "Yes"\nmsgstr "Jo"\n', 9, "'Yes' is translated twice"),
    ('msgid "D"\nmsgid_plural "Ds"\nmsgstr[0] "a"\nmsgstr[7] "b"\n', 6, "more translations than num_plurals"),
    ('#, python-format\nmsgid "%(day)s"\nmsgstr "%(tag)s"\n', 7, "which the English text has not"),
    ('#, python-format\nmsgid "%(day)s"\nmsgstr "zu 50 % am %(day)s"\n', 7, "begins no placeholder"),
    ("<<<<<<< HEAD\n", 6, "'<<<<<<< HEAD' is no line of a .po file"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "line", "what"), BROKEN)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    """What would break a mail, or hide a text, is an error that names file and line."""
    write(tmp_path / "locales", "de", text)

    with pytest.raises(TemplateInvalid) as caught:
        Translations(tmp_path).find("de")

    assert caught.value.problems[0].where == f"locales/de/LC_MESSAGES/messages.po:{line}"
    assert what in caught.value.problems[0].what


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 and folders in a file's place are told, never a traceback."""
    file = write(tmp_path / "locales", "de", "")
    file.write_bytes(b'msgid "a"\nmsgstr "\xff"\n')
    with pytest.raises(TemplateInvalid, match=r"messages\.po:2: is not UTF-8"):
        Translations(tmp_path).find("de")
    file.unlink()
    file.mkdir()

    with pytest.raises(TemplateInvalid, match="cannot be read: is a directory"):
        Translations(tmp_path).find("de")
