from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dispatcher.domain.language import DEFAULT, LANGUAGES
from dispatcher.mail import pofile
from dispatcher.mail.extract import Message
from dispatcher.mail.pofile import Entry, PoFile, read, written
from dispatcher.mail.wanting import mistakes, problems

TEXTS = (
    Message("Start", places=("catalogue.yaml",), notes=("catalogue.yaml: label",)),
    Message("By %(day)s", places=("templates/a.j2",), notes=("templates/a.j2",), formatted=True),
    Message("%(n)s day", "%(n)s days", places=("a.py",), notes=("a.py",), formatted=True),
    Message("Update", context="news", places=("b.j2",)),
    Message("Line one\nand “two” with \\ and \t", places=("b.j2",)),
    Message("On {start}: {instance}", places=("catalogue.yaml",)),
    Message("word " * 60, places=("b.j2",)),
)
DONE = (
    Entry("Start", ("Beginn",), remarks=("as in the portal",)),
    Entry("By %(day)s", ("Bis %(day)s",)),
    Entry("%(n)s day", ("%(n)s Tag", "%(n)s Tage"), "%(n)s days"),
    Entry("Update", ("Meldung",), context="news"),
    Entry("Line one\nand “two” with \\ and \t", ("Zeile",)),
    Entry("On {start}: {instance}", ("{instance}: {start}",)),
    Entry("word " * 60, ("Wort " * 59 + "Wort",)),
)


def saved(folder: Path, text: str, language: str = "de") -> PoFile:
    file = pofile.file_of(folder / "locales", language)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return read(file)


def known(*entries: Entry) -> PoFile:
    return PoFile("de.po", {entry.key: entry for entry in entries})


def test_every_language_but_english_has_its_plural_rule() -> None:
    """There is a rule for each language that is translated to."""
    assert set(pofile.PLURALS) == set(LANGUAGES) - {DEFAULT}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """A file that was read and written is the same to the byte: nothing in it changes by itself."""
    text = written("de", TEXTS, known(*DONE))
    again = saved(tmp_path, text)

    assert written("de", TEXTS, again) == text
    assert {entry.key: entry.forms for entry in again.entries.values()} == {
        entry.key: entry.forms for entry in DONE
    }
    assert list(problems("de", TEXTS[:4], PoFile("de.po", dict(list(again.entries.items())[:4])))) == []
    assert max(map(len, text.splitlines())) <= pofile.WIDTH


def test_new_texts_are_empty_and_old_ones_are_dropped() -> None:
    """A text that nobody has translated stands there to be filled in; one that is gone goes."""
    text = written("ja", TEXTS[:3], known(DONE[0], Entry("Gone", ("Weg",))))

    assert 'msgid "By %(day)s"\nmsgstr ""' in text
    assert 'msgid_plural "%(n)s days"\nmsgstr[0] ""\n' in text
    assert "msgstr[1]" not in text
    assert "Gone" not in text
    assert "# as in the portal\n#. catalogue.yaml: label\n#: catalogue.yaml\n" in text


def test_a_guess_stays_marked() -> None:
    """The mark of a guess is kept until somebody takes it away."""
    assert "#, fuzzy, python-format\n" in written(
        "de", TEXTS, known(Entry("By %(day)s", ("Bis",), fuzzy=True))
    )


WRONG = (
    (Entry("Start", ("",), line=4), "'Start' is not translated"),
    (Entry("Start", ("Beginn",), fuzzy=True, line=4), "'Start' is fuzzy"),
    (Entry("Start", ("Be\u200bginn",), line=4), "holds the character U+200B, which nobody sees"),
    (Entry("Start", ("Beginn ",), line=4), "'Beginn ' begins or ends with a blank"),
    (Entry("Start", ("<b>Beginn</b>",), line=4), "has <, > or &"),
    (Entry("By %(day)s", ("Bis bald",), line=4), "'Bis bald' has lost %(day)s"),
    (Entry("By %(day)s", ("%(tag)s %(day)s",), line=4), "has %(tag)s, which the English text has not"),
    (Entry("By %(day)s", ("100 % %(day)s",), line=4), "has a % that begins no placeholder"),
    (Entry("Update", ("100 % neu",), context="news", line=4), "has a %, which the English text has not"),
    (Entry("%(n)s day", ("%(n)s Tag", ""), "%(n)s days", line=4), "'%(n)s day' lacks a plural form"),
    (Entry("On {start}: {instance}", ("Am {start}",), line=4), "'Am {start}' has lost {instance}"),
    (Entry("On {start}: {instance}", ("{start} {instance} {",), line=4), "has a brace"),
    (Entry("Gone", ("Weg",), line=4), "'Gone' is not used"),
)  # fmt: skip


@pytest.mark.parametrize(("entry", "what"), WRONG)
def test_everything_wrong_is_told_with_its_line(entry: Entry, what: str) -> None:
    """What is untranslated, a guess, unused, or would harm a mail is told, each with file and line."""
    wanted = [message for message in TEXTS if message.key == entry.key]
    told = list(problems("de", wanted, known(entry)))

    assert [problem.where for problem in told] == ["de.po:4"]
    assert what in told[0].what
    assert told[0].fix


def test_a_check_tells_what_is_wrong_with_own_translations() -> None:
    """Faults are told each; what is empty, a guess or in no use is not among them."""
    own = known(
        Entry("By %(day)s", ("Bald",), line=9),
        Entry("Start", ("",), line=4),
        Entry("Update", ("Neues",), context="news", fuzzy=True, line=5),
        Entry("Gone", ("%(weg)s",), line=6),
    )
    told = [str(problem) for problem in mistakes("de", TEXTS, own)]

    assert told == ["de.po:9: 'Bald' has lost %(day)s. Put it where the value belongs."]
    assert list(mistakes("ja", [replace(TEXTS[1], languages=frozenset({"en", "de"}))], own)) == []


def test_a_text_that_a_language_does_not_need_is_not_missed() -> None:
    """A type in English and German alone wants nothing of the others."""
    message = Message("Start", languages=frozenset({"en", "de"}))

    assert list(problems("ja", [message], known())) == []
    assert [problem.where for problem in problems("de", [message], known())] == ["de.po"]
