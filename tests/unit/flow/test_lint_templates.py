from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lint_root import small_root
from program import PROJECT

from dispatcher.domain.catalogue import Catalogue
from dispatcher.errors import Problem
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.files.source import parse
from dispatcher.flow.lint_templates import misnamed, one_sided, unclosed, untold
from dispatcher.flow.places import Places

FINDERS = (untold, misnamed, unclosed, one_sided)
Finder = Callable[[Catalogue, Places], Iterator[Problem]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_root(tmp_path / "root", "general-awareness")


def told(root: Path, find: Finder) -> list[str]:
    file = root / "catalogue.yaml"
    places = Places(root / "templates", parse(file.read_bytes(), file.name))
    return [f"{one.where}: {one.what}" for one in find(load_catalogue(file), places)]


def write(root: Path, html: str, text: str = "{{ c.section('body') }}") -> None:
    head = '{% extends "base.html.j2" %}\n'
    (root / "templates" / "awareness.html.j2").write_text(f"{head}{html}", encoding="utf-8")
    (root / "templates" / "awareness.txt.j2").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("find", FINDERS)
def test_the_project_s_templates_have_no_findings(find: Finder) -> None:
    """What is shipped says everything by translations, in both bodies, with elements that are closed."""
    assert told(PROJECT, find) == []


def test_sentences_that_no_translation_reaches_are_told_at_their_line(root: Path) -> None:
    """Words between tags, in attributes that are read out, and in plain text."""
    html = '<p>All prices\n{{ x }} are net.</p>\n<img alt="Our prices" src="data:image/png;base64,aGVsbG8=">'
    write(root, html, "Dear reader,\n{% trans %}this is translated{% endtrans %}")

    assert told(root, untold) == [
        "templates/awareness.html.j2:4: 'Our prices' is English for every reader",
        "templates/awareness.html.j2:2: 'All prices' is English for every reader",
        "templates/awareness.html.j2:3: 'are net.' is English for every reader",
        "templates/awareness.txt.j2:1: 'Dear reader,' is English for every reader",
    ]


@pytest.mark.parametrize(
    "html",
    [
        "<p>{% trans n=x %}You have {{ n }} left{% pluralize %}You have {{ n }} left{% endtrans %}</p>",
        "{% set type %}font-size: 16px; margin: auto{% endset %}",
        "<style>p { color: red; }</style><!-- for Outlook only -->",
        '<p class="note big" style="margin: auto">&nbsp;&middot; 9.1 – UTC</p>',
        "{# Remarks for those who work here #}{{ _('Length') }}: {{ x if x else 'none' }}",
    ],
)
def test_what_is_no_sentence_is_left_alone(root: Path, html: str) -> None:
    """Styles, marks, names in capitals, comments and what is translated."""
    write(root, html)

    assert told(root, untold) == []


def test_a_type_that_is_english_for_everybody_needs_no_translation(root: Path) -> None:
    """With `languages: [en]` a template may say it as it is."""
    catalogue = root / "catalogue.yaml"
    text = catalogue.read_text(encoding="utf-8")
    text = text.replace("    template: awareness\n", "    template: awareness\n    languages: [en]\n")
    catalogue.write_text(text, encoding="utf-8")
    write(root, "<p>All prices are net.</p>")

    assert told(root, untold) == []


def test_a_field_that_one_body_alone_shows_is_told(root: Path) -> None:
    """Whoever reads the other body would miss it."""
    write(root, "{{ c.section('body') }}\n{{ c.section('action') }}")

    where = "templates/awareness.html.j2:3: the field action of general-awareness is shown here"

    assert told(root, one_sided) == [f"{where} and not in templates/awareness.txt.j2"]


def test_a_component_that_is_asked_for_no_field_is_told(root: Path) -> None:
    """It would show nothing, and nobody would know."""
    write(root, "{{ c.section('acton') }}")

    assert told(root, misnamed) == [
        "templates/awareness.html.j2:2: c.section('acton') names no field, so it shows nothing"
    ]


@pytest.mark.parametrize(
    ("html", "what"),
    [
        ("<table>\n<tr><td>x</td></tr>", "templates/awareness.html.j2:2: <table> is not closed"),
        ("<p>x</p>\n</div>", "templates/awareness.html.j2:3: </div> closes what was not opened"),
        ("<div>\n<p>x</div>", "templates/awareness.html.j2:3: <p> is not closed"),
    ],
)
def test_elements_that_are_not_closed_are_told(root: Path, html: str, what: str) -> None:
    """The element is named where it stands."""
    write(root, html)
    (found,) = told(root, unclosed)

    assert found.startswith(what)


def test_branches_may_open_what_is_closed_behind_them(root: Path) -> None:
    """One of them is looked at, as it would be rendered."""
    html = '{% if x %}<p class="a">{% elif y %}<p>{% else %}<p class="b">{% endif %}x</p>'
    write(root, f"{{% for x in y %}}{html}{{% endfor %}}")

    assert told(root, unclosed) == []
