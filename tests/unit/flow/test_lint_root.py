from __future__ import annotations

from pathlib import Path

import pytest
from domain_examples import shipped
from lint_root import small_root

from dispatcher.errors import Problem
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.files.source import parse
from dispatcher.flow.lint_root import (
    nobody_to_remind,
    plain_links,
    unplanned,
    untranslated,
    without_decisions,
    without_opt_out,
)
from dispatcher.flow.places import Places
from dispatcher.mail.extract import Message


def places_of(root: Path) -> Places:
    catalogue = root / "catalogue.yaml"
    return Places(root / "templates", parse(catalogue.read_bytes(), catalogue.name))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_root(tmp_path / "root", "general-awareness", "planned-maintenance")


def test_the_project_has_no_plain_links(root: Path) -> None:
    """Every link of the shipped templates and examples is https."""
    assert not list(plain_links(places_of(root)))


def test_a_plain_link_is_found_in_template_and_catalogue(root: Path) -> None:
    """Wherever it stands, its line is told; a comment and a namespace are no links."""
    template = (
        "{# http://comment.example #}\n<v:x xmlns='http://www.w3.org/1999/xhtml'>\nhttp://a.example/x\n"
    )
    (root / "templates" / "awareness.txt.j2").write_text(template, encoding="utf-8")
    catalogue = (root / "catalogue.yaml").read_text(encoding="utf-8")
    catalogue = catalogue.replace("https://support.fabrikam.example/", "http://support.fabrikam.example/")
    (root / "catalogue.yaml").write_text(catalogue, encoding="utf-8")
    found = [(one.where.rsplit(":", 1)[0], one.what) for one in plain_links(places_of(root))]

    assert ("templates/awareness.txt.j2", "the link http://a.example/x is not https") in found
    assert any(where.startswith("catalogue.yaml:") for where, _ in found)
    assert len(found) == 2


def test_a_language_that_lacks_texts_is_told_once(tmp_path: Path) -> None:
    """One warning for each language, with the number and the first three texts."""
    texts = [Message(text) for text in ("One", "Two", "Three", "Four")]
    file = tmp_path / "locales" / "de" / "LC_MESSAGES" / "messages.po"
    file.parent.mkdir(parents=True)
    file.write_text('msgid ""\nmsgstr ""\n\nmsgid "One"\nmsgstr "Eins"\n', encoding="utf-8")
    found = {one.where: one for one in untranslated(texts, [tmp_path / "locales"])}

    assert len(found) == 8
    assert found["locales/de/LC_MESSAGES/messages.po"].what == (
        "3 texts are not translated, so readers get English: 'Two', 'Three', 'Four'"
    )
    assert found["locales/ja/LC_MESSAGES/messages.po"].what.endswith("'One', 'Two', 'Three' and 1 more")


def test_a_text_that_a_language_does_not_need_is_not_asked_for(tmp_path: Path) -> None:
    """What is written in English for everybody needs no translation."""
    texts = [Message("Report", languages=frozenset({"en"}))]

    assert not list(untranslated(texts, [tmp_path]))


def test_optional_mail_without_a_public_address_is_told(root: Path) -> None:
    """Without an address for the link, the types that it would stop are named."""
    catalogue = load_catalogue(root / "catalogue.yaml")
    found: list[Problem] = list(without_opt_out(catalogue, None))

    assert [one.where for one in found] == ["DISPATCHER_PUBLIC_URL"]
    assert "general-awareness" in found[0].what
    assert "planned-maintenance" not in found[0].what
    assert not list(without_opt_out(catalogue, "https://notices.example"))


def test_a_needle_is_looked_for_in_the_type_s_own_template_first(root: Path) -> None:
    """Its own file comes before those it extends, and these before the catalogue."""
    (root / "templates" / "awareness.html.j2").write_text(
        '{% extends "base.html.j2" %}\n{# #ABCDEF #}\n<p style="color: #ABCDEF">\n', encoding="utf-8"
    )
    places = places_of(root)
    path = ("types", "general-awareness")

    assert places.of(("#ABCDEF",), "awareness", path) == "templates/awareness.html.j2:3"
    assert places.of((".banner {",), "awareness", path).startswith("templates/base.html.j2:")
    assert places.of(("https://support.fabrikam.example/",), "awareness", path).startswith("catalogue.yaml:")
    assert places.of(("nowhere at all",), "awareness", path) == places.of((), "awareness", path)
    assert places.of(("#ABC",), "awareness", path) == places.of((), "awareness", path)


def test_decisions_without_a_public_address_are_told() -> None:
    """Without an address for the link, no admin can approve a date or choose another from a mail."""
    (found,) = without_decisions(shipped(), None)

    assert found.where == "DISPATCHER_PUBLIC_URL"
    assert "no admin can decide about major-update" in found.what
    assert not list(without_decisions(shipped(), "https://notices.example"))


def test_a_type_of_dates_that_no_cadence_tells_is_told() -> None:
    """A catalogue of before there were cadences makes no plans, and says so."""
    old = shipped().model_copy(update={"cadences": {}})
    (found,) = unplanned(old)

    assert "update-scheduled" in found.what
    assert "nobody is reminded" in found.what
    assert not list(unplanned(shipped()))


def test_somebody_must_hear_of_what_is_overdue() -> None:
    """A catalogue that lets something be owed and names no owners is warned of; others are not."""
    catalogue = shipped()
    nobody = catalogue.model_copy(update={"owners": []})
    (found,) = nobody_to_remind(nobody)

    assert "nobody is reminded when major-service-incident or post-incident-report is overdue" in found.what
    assert not list(nobody_to_remind(catalogue))
    assert not list(nobody_to_remind(nobody.model_copy(update={"cadences": {}})))
