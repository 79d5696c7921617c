from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from domain_examples import plain_catalogue

from dispatcher.domain.catalogue import Catalogue
from dispatcher.errors import TemplateInvalid
from dispatcher.mail.extract import Message, messages

NOTE = "{% trans %}\n  A note\n  of today\n{% endtrans %}"


def found(tmp_path: Path, files: dict[str, str], **spec: Any) -> dict[str, Message]:
    """What there is to translate of a small catalogue, these templates and a program of these files."""
    data = plain_catalogue()
    data["types"]["note"] |= spec
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    catalogue = Catalogue.model_validate(data)
    texts = messages(catalogue, tmp_path / "templates", tmp_path / "program")
    assert len({message.key for message in texts}) == len(texts)
    return {message.text: message for message in texts}


def test_words_of_the_catalogue_say_where_they_stand(tmp_path: Path) -> None:
    """Title, subject, labels, choices and columns are translated, and the translator reads which is which."""
    fields = {
        "summary": {"kind": "text", "label": "Summary", "required": True, "example": "x"},
        "state": {"kind": "choice", "label": "State", "choices": {"a": "Begun"}},
        "rows": {"kind": "table", "label": "Rows", "columns": {"area": {"label": "Where"}}},
    }
    texts = found(tmp_path, {}, fields=fields)

    assert {text: message.notes for text, message in texts.items()} == {
        "Note": ("catalogue.yaml: title of note",),
        "Note: {summary}": ("catalogue.yaml: subject of note; {summary} is Summary",),
        "Summary": ("catalogue.yaml: label of field summary of note",),
        "State": ("catalogue.yaml: label of field state of note",),
        "Begun": ("catalogue.yaml: choice a of field state of note",),
        "Rows": ("catalogue.yaml: label of field rows of note",),
        "Where": ("catalogue.yaml: column area of field rows of note",),
    }


def test_sentences_of_templates_are_found_with_their_place(tmp_path: Path) -> None:
    """A sentence is trimmed as the mail shows it; file, block and remarks for translators go along."""
    source = "{% block heading %}\n{# L10N: of the day #}\n" + NOTE + "{% endblock %}"
    message = found(tmp_path, {"templates/note.html.j2": source})["A note of today"]

    assert message.places == ("templates/note.html.j2",)
    assert message.notes == ("templates/note.html.j2: heading", "of the day")
    assert not message.formatted


def test_plurals_placeholders_and_contexts_are_kept(tmp_path: Path) -> None:
    """A plural, a placeholder and a context come out as gettext wants them."""
    source = (
        "{% trans count=n %}{{ count }} day{% pluralize %}{{ count }} days{% endtrans %}"
        "{{ pgettext('news', 'Update') }}"
    )
    texts = found(tmp_path, {"templates/words.j2": source})

    assert texts["%(count)s day"].plural == "%(count)s days"
    assert texts["%(count)s day"].formatted
    assert texts["Update"].key == ("news", "Update")


def test_calls_of_the_program_and_its_pages_are_found(tmp_path: Path) -> None:
    """The program's own texts are found in its code and its pages; what is no constant is passed by."""
    files = {
        "program/a/b.py": "def yes(t):\n    return t.gettext('Yes') + t.gettext(t) + ngettext('a', 'b', 2)\n",
        "program/web/pages/choices.html.j2": "{% trans %}Your choices{% endtrans %}",
    }
    texts = found(tmp_path, files)

    assert texts["Yes"].notes == ("program/a/b.py: yes",)
    assert texts["a"].plural == "b"
    assert texts["Your choices"].places == ("program/web/pages/choices.html.j2",)


def test_a_text_is_needed_in_the_languages_it_is_read_in(tmp_path: Path) -> None:
    """Of a type in English alone nothing is translated but its title, which the page of choices lists."""
    files = {"templates/note.html.j2": NOTE, "templates/words.j2": "{% trans %}Shared{% endtrans %}"}
    texts = found(tmp_path, files, languages=["en"])

    assert "de" not in texts["A note of today"].languages | texts["Summary"].languages
    assert "de" in texts["Note"].languages & texts["Shared"].languages


def test_a_template_that_is_no_jinja_names_its_line(tmp_path: Path) -> None:
    """A syntax error is told with file and line."""
    with pytest.raises(TemplateInvalid, match=r"templates/x\.html\.j2:2: cannot be read"):
        found(tmp_path, {"templates/x.html.j2": "a\n{% endtrans %}"})
