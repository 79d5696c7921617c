"""The shipped translations: complete, right, and all that a reader of a language sees."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from program import PROJECT, dispatcher

from dispatcher.app import program_folder
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow.specimen import EXAMPLE, Specimens
from dispatcher.mail import pofile
from dispatcher.mail.extract import Message, messages
from dispatcher.mail.pofile import PoFile
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.translations import Translations
from dispatcher.mail.wanting import problems

CATALOGUE = load_catalogue(PROJECT / "catalogue.yaml")
TRANSLATED = sorted(pofile.PLURALS)
NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
ROLES = ("admins", "global_admins", "recipients", "users", "partners", "contact", "thread")
#: Names, and words that a language has taken over or shares with English.
SAME_ANYWHERE = {"Fabrikam", "ProDirect", "Unified", "Standard"}
SAME = {
    "de": {"Status", "Version", "Link", "Support", "Sandbox", "Update", "Release", "Problem"},
    "es": {"No", "Sandbox", "%(name)s (sandbox)"},
    "fr": {
        *("Version", "Instance", "Instances", "Sandbox", "%(name)s (sandbox)", "Support", "Date", "Incident"),
        "Contact",
    },
    "it": {"No", "Sandbox", "%(name)s (sandbox)", "Link", "Backup"},
    "pt": {"Status", "Sandbox", "%(name)s (sandbox)", "Link", "Backup"},
}  # fmt: skip
#: No sentence: words that may stand in a mail of any language because upstream says them.
_WORDS = 3


@cache
def texts() -> tuple[Message, ...]:
    return tuple(messages(CATALOGUE, PROJECT / "templates", program_folder()))


def shipped(language: str) -> PoFile:
    return pofile.read(pofile.file_of(PROJECT / "locales", language))


@pytest.mark.parametrize("language", TRANSLATED)
def test_nothing_is_untranslated_fuzzy_unused_or_wrong(language: str) -> None:
    """Each text has a translation with every placeholder, plural form and no invisible character."""
    assert [str(problem) for problem in problems(language, texts(), shipped(language))] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_file_is_as_the_command_writes_it(language: str) -> None:
    """`dispatcher locales` would change nothing, so a translator's diff shows translations alone."""
    wanted = [message for message in texts() if language in message.languages]
    file = pofile.file_of(PROJECT / "locales", language)

    assert file.read_text(encoding="utf-8") == pofile.written(language, wanted, shipped(language))


def has_words(text: str) -> bool:
    return any(map(str.isalpha, re.sub(r"%\([a-z_]+\)s|\{[a-z_]+\}", "", text)))


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_is_not_the_english_text(language: str) -> None:
    """A text that was copied and forgotten is found; words that are the same in both are listed here."""
    same = {
        entry.text
        for entry in shipped(language).entries.values()
        if entry.translated and entry.text in entry.forms and has_words(entry.text)
    }

    assert same <= SAME_ANYWHERE | SAME.get(language, set())


@cache
def specimens() -> Specimens:
    renderer = Renderer(PROJECT / "templates", Translations(PROJECT))
    return Specimens(CATALOGUE, renderer, NOW)


def variants(key: str) -> Iterator[dict[str, Any]]:
    """The type with all its facts, with those alone that it must have, and with each choice the other way."""
    full, made = specimens().sample(key), specimens()
    yield made.required(key)
    yield full
    for name, field in CATALOGUE.types[key].fields.items():
        if field.kind == "boolean":
            yield full | {name: not full.get(name)}
        yield from (full | {name: choice} for choice in field.choices)


@cache
def sentences(language: str) -> list[tuple[str, list[str]]]:
    """The English sentences that a mail in `language` must not have, with what is between placeholders."""
    found = []
    for entry in shipped(language).entries.values():
        for text in filter(None, (entry.text, entry.plural)):
            parts = re.split(r"%\([a-z_]+\)s|\{[a-z_]+\}", text.replace("%%", "%"))
            if len(text.split()) >= _WORDS and text not in SAME_ANYWHERE:
                found.append((text, [part for part in parts if part.strip(" :.,")]))
    return found


@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize("key", [key for key, spec in CATALOGUE.types.items() if spec.banner])
def test_a_mail_is_wholly_in_the_readers_language(key: str, language: str) -> None:
    """No sentence of a template or of the catalogue is left in English, dates and subject included."""
    spec, made = CATALOGUE.types[key], specimens()
    written_in = spec.language_for(language)
    for fields in variants(key):
        mail = made.render(key, fields, EXAMPLE, language, ROLES)
        assert f'<html lang="{written_in}"' in mail.html
        if written_in != language:
            continue
        # What upstream says is English where it gives nothing else; the examples say some of the same.
        said = " ".join(map(str, fields.values()))
        read = f"{re.sub(r'<[^>]*>', ' ', unescape(mail.html))} {' '.join(mail.text.split())}"
        left = [
            text
            for text, parts in sentences(language)
            if all(map(read.__contains__, parts)) and text not in said
        ]

        assert left == []


@pytest.fixture
def own(root: Path, tmp_path: Path) -> Path:
    """A root of the test's own, with translations as `init` lays them out."""
    folder = tmp_path / "own"
    shutil.copytree(root, folder, ignore=shutil.ignore_patterns(".dispatcher"))
    shutil.copytree(PROJECT / "locales", folder / "locales")
    return folder


def test_the_command_brings_a_root_up_to_date(own: Path) -> None:
    """A text of one's own is asked for in every language that it is read in; one that is gone goes."""
    catalogue, german = own / "catalogue.yaml", pofile.file_of(own / "locales", "de")
    text = catalogue.read_text(encoding="utf-8").replace("Planned maintenance\n", "Spring cleaning\n")
    catalogue.write_text(text, encoding="utf-8")
    before = german.read_bytes()
    checked = dispatcher(own, "locales", "--check")
    assert checked.code == 2
    assert "'Spring cleaning' is not translated" in checked.out
    assert "'Planned maintenance' is not used" in checked.out
    assert german.read_bytes() == before
    assert dispatcher(own, "locales").code == 0
    text = german.read_text(encoding="utf-8")
    empty = 'msgid "Spring cleaning"\nmsgstr "'
    assert 'Planned maintenance"' not in text
    german.write_text(text.replace(empty, f"{empty}Frühjahrsputz"), encoding="utf-8")
    again = dispatcher(own, "locales", "--check")

    assert "de/LC_MESSAGES/messages.po" not in again.out
    assert "'Spring cleaning' is not translated, likewise in fr, it, ja, pt" in again.out
    out = own / "mails"
    assert dispatcher(own, "render", "planned-maintenance", "--language", "de", "--out", str(out)).code == 0
    assert "Frühjahrsputz" in (out / "planned-maintenance.de.txt").read_text(encoding="utf-8")


def test_a_root_without_translations_gets_them(own: Path) -> None:
    """In an older root the command lays out what the program knows, and mails have it even before."""
    german = pofile.file_of(own / "locales", "de")
    before = german.read_text(encoding="utf-8")
    shutil.rmtree(own / "locales")
    assert dispatcher(own, "locales").code == 0

    assert german.read_text(encoding="utf-8") == before


def test_broken_files_are_told_and_no_traceback_is_shown(own: Path) -> None:
    """The command and `check` name file and line of what is no translation, in every language at once."""
    where = []
    for language in ("de", "ja"):
        file = pofile.file_of(own / "locales", language)
        with file.open("a", encoding="utf-8") as open_file:
            open_file.write("\n<<<<<<< mine\n")
        line = file.read_text(encoding="utf-8").count("\n")
        where.append(f"locales/{language}/LC_MESSAGES/messages.po:{line}")
    before = file.read_bytes()
    for done in (dispatcher(own, "locales", "--check"), dispatcher(own, "locales"), dispatcher(own, "check")):
        assert done.code == 2
        for place in where:
            assert (done.out + done.err).count(f"{place}: '<<<<<<< mine' is no line of a .po file") == 1
    assert file.read_bytes() == before


def test_translations_that_do_not_fit_are_told(own: Path) -> None:
    """A lost, an invented placeholder and a stray percent sign are errors of both commands, with the line."""
    file = pofile.file_of(own / "locales", "de")
    text = file.read_text(encoding="utf-8")
    harmed = {
        'msgid "Duration"': ("Dauer (100 % genau)", "has a %, which the English text has not"),
        'msgid "Cancelled: planned maintenance on {start}: {instance}"': (
            "Abgesagt am {anfang}: {instance}",
            "has lost {start}",
        ),
        'msgid "Planned maintenance: {instance}"': ("Wartung", "has lost {instance}"),
    }
    for msgid, (bad, _) in harmed.items():
        text = re.sub(rf"({re.escape(msgid)}\nmsgstr ).*", rf'\1"{bad}"', text)
    file.write_text(text, encoding="utf-8")
    lines = text.split("\n")
    for done in (dispatcher(own, "locales", "--check"), dispatcher(own, "check")):
        assert done.code == 2
        for msgid, (bad, what) in harmed.items():
            line = lines.index(msgid) + 1
            told = f"locales/de/LC_MESSAGES/messages.po:{line}: {bad!r} {what}"
            assert (done.out + done.err).count(told) == 1


def test_a_broken_file_costs_no_mail(own: Path) -> None:
    """What renders mails goes on with the texts that came with the program, and says what is wrong."""
    pofile.file_of(own / "locales", "de").write_text("<<<<<<< mine\n", encoding="utf-8")
    out = own / "mails"
    done = dispatcher(own, "render", "planned-maintenance", "--language", "de", "--out", str(out))

    assert done.code == 0
    assert "locales/de/LC_MESSAGES/messages.po:1: '<<<<<<< mine' is no line" in done.err
    assert "Wartung" in (out / "planned-maintenance.de.txt").read_text(encoding="utf-8")
