from __future__ import annotations

import gettext
import os
from pathlib import Path

import pytest

from dispatcher.mail.translations import Translations, to_fill

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
    both = 'msgid "%(n)s day"\nmsgid_plural "%(n)s days"\nmsgstr[0] "%(n)s jour"\nmsgstr[1] "%(n)s jours"\n'
    write(tmp_path / "locales", "fr", both)
    one = 'msgid "%(n)s day"\nmsgid_plural "%(n)s days"\nmsgstr[0] "%(n)s 日"\n'
    file = write(tmp_path / "locales", "ja", one)
    file.write_text(
        file.read_text(encoding="utf-8").replace("nplurals=2; plural=(n > 1)", "nplurals=1; plural=0")
    )
    texts = Translations(tmp_path)

    assert [texts.find("fr").ngettext("%(n)s day", "", n) for n in (0, 1, 2)] == [
        "%(n)s jour",
        "%(n)s jour",
        "%(n)s jours",
    ]
    assert [texts.find("ja").ngettext("%(n)s day", "", n) for n in (0, 1, 2)] == ["%(n)s 日"] * 3


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
    ("<<<<<<< HEAD\n", 6, "'<<<<<<< HEAD' is no line of a .po file"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "line", "what"), BROKEN)
def test_a_broken_file_costs_no_mail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, line: int, what: str
) -> None:
    """Its last good version stays in force until it is mended; the fault is logged once, with its line."""
    write(tmp_path / "locales", "de", 'msgid "Yes"\nmsgstr "Ja"\n')
    texts = Translations(tmp_path)
    assert texts.find("de").gettext("Yes") == "Ja"
    write(tmp_path / "locales", "de", text)
    for _ in range(3):
        assert texts.find("de").gettext("Yes") == "Ja"
    [logged] = [record.getMessage() for record in caplog.records]
    [problem] = texts.problems()
    write(tmp_path / "locales", "de", 'msgid "Yes"\nmsgstr "Jawohl"\n')

    assert logged.startswith(f"locales/de/LC_MESSAGES/messages.po:{line}: ")
    assert what in logged
    assert logged.endswith("Until then what it said before stays in force.")
    assert problem.where == f"locales/de/LC_MESSAGES/messages.po:{line}"
    assert texts.find("de").gettext("Yes") == "Jawohl"
    assert list(texts.problems()) == []


def test_a_file_that_was_never_good_counts_as_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After a start with a broken file the shipped texts are in force, and English without them."""
    write(tmp_path / "locales", "de", "<<<<<<< HEAD\n")
    write(tmp_path / "shipped", "de", 'msgid "Yes"\nmsgstr "Ja"\n')
    alone, together = Translations(tmp_path), Translations(tmp_path, tmp_path / "shipped")

    assert (together.find("de").language, together.find("de").gettext("Yes")) == ("de", "Ja")
    assert (alone.find("de").language, alone.find("de").gettext("Yes")) == ("en", "Yes")
    assert "what came with the program stays in force" in caplog.text


def test_what_cannot_be_read_as_text_is_told(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, an emptied file and a folder in a file's place are told, no traceback."""
    file = write(tmp_path / "locales", "de", "")
    texts = Translations(tmp_path)
    told = []
    for raw in (b'msgid "a"\nmsgstr "\xff"\n', b"", b" \n"):
        file.write_bytes(raw)
        told += [str(problem) for problem in texts.problems()]
        assert texts.find("de").gettext("Yes") == "Yes"
    file.unlink()
    file.mkdir()
    told += [str(problem) for problem in texts.problems()]

    assert "messages.po:2: is not UTF-8" in told[0]
    assert ["messages.po: is empty" in one for one in told] == [False, True, True, False]
    assert "cannot be read: is a directory" in told[3]
    assert texts.find("de").gettext("Yes") == "Yes"


UNFIT = (
    ('#, python-format\nmsgid "By %(day)s"\nmsgstr "%(tag)s"\n', ["has lost %(day)s", "has %(tag)s, which"]),
    ('#, python-format\nmsgid "By %(day)s"\nmsgstr "Bald"\n', ["has lost %(day)s"]),
    ('#, python-format\nmsgid "By %(day)s"\nmsgstr "zu 50 % am %(day)s"\n', ["% that begins no placeholder"]),
    ('msgid "By %(day)s"\nmsgstr "am %(day)d"\n', ["has lost %(day)s", "% that begins no placeholder"]),
    ('msgid "On {start}"\nmsgstr "Am {anfang}"\n', ["has lost {start}", "has {anfang}, which"]),
    ('msgid "Yes"\nmsgstr "Ja, {instance}"\n', ["has {instance}, which"]),
)  # fmt: skip


@pytest.mark.parametrize(("text", "what"), UNFIT)
def test_a_translation_that_does_not_fit_counts_as_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, what: list[str]
) -> None:
    """Whatever has happened to its placeholders, the English text stands in for it, others are used."""
    write(tmp_path / "locales", "de", text + '\nmsgid "No"\nmsgstr "Nein"\n')
    texts = Translations(tmp_path)
    english = text.partition('msgid "')[2].partition('"')[0]
    line = 6 + text.startswith("#,")

    assert texts.find("de").gettext(english) == texts.find("de").gettext(english) == english
    assert texts.find("de").gettext("No") == "Nein"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(what)
    for message, fault in zip(told, what, strict=True):
        assert message.startswith(f"locales/de/LC_MESSAGES/messages.po:{line}: ")
        assert fault in message
        assert message.endswith("Until then the English text stands in for it.")
    assert [problem.where for problem in texts.problems()] == [
        f"locales/de/LC_MESSAGES/messages.po:{line}"
    ] * len(what)


def test_a_percent_sign_without_a_placeholder_is_a_sign() -> None:
    """Where English has nothing to fill in, what a translation has is shown as it is."""
    assert to_fill("Duration", "Dauer (100 % genau)") % {} == "Dauer (100 % genau)"
    assert to_fill("By %(day)s", "100 %% am %(day)s") % {"day": "2."} == "100 % am 2."
