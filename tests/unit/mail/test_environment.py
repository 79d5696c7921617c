from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
from markupsafe import Markup

from dispatcher.errors import TemplateInvalid
from dispatcher.mail.amiss import located
from dispatcher.mail.environment import html_environment, text_environment
from dispatcher.mail.locale import Format
from dispatcher.mail.translations import Translations


def write(folder: Path, text: str, name: str = "x.html.j2") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def render(folder: Path, **context: object) -> str:
    known = {"translations": Translations(folder).find("en"), "format": Format("en", "UTC")}
    return html_environment(folder).get_template("x.html.j2").render({**known, **context})


REFUSED = (
    '<style>\n@IMPORT "x.css";</style>',
    '\n<link rel="stylesheet" href="https://x.example/a.css" />',
    "\n<script>alert(1)</script>",
)


@pytest.mark.parametrize("source", REFUSED)
def test_a_template_that_fetches_or_runs_is_refused(tmp_path: Path, source: str) -> None:
    """`@import`, `<link>` and `<script>` are refused with the file and the line."""
    with pytest.raises(TemplateInvalid) as caught:
        html_environment(write(tmp_path, source)).get_template("x.html.j2")

    assert caught.value.problems[0].where == "templates/x.html.j2:2"


def test_a_template_that_is_no_jinja_names_its_line(tmp_path: Path) -> None:
    """A syntax error is told with file and line."""
    with pytest.raises(TemplateInvalid, match=r"templates/x\.html\.j2:2: .*endif"):
        html_environment(write(tmp_path, "a\n{% endif %}")).get_template("x.html.j2")


def test_a_missing_template_says_which(tmp_path: Path) -> None:
    """A template that is not there is named, with what to do."""
    with pytest.raises(TemplateInvalid, match=r"templates/gone\.html\.j2: does not exist"):
        html_environment(tmp_path).get_template("gone.html.j2")


@pytest.mark.parametrize("name", ["../secret.j2", "sub/../../secret.j2", "link.j2"])
def test_no_template_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    """Neither `..` nor a symbolic link reads a file outside the folder."""
    write(tmp_path, "secret", "secret.j2")
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "link.j2").symlink_to(tmp_path / "secret.j2")

    with pytest.raises(TemplateInvalid):
        html_environment(folder).get_template(name)


def test_items_of_a_mapping_come_before_its_methods(tmp_path: Path) -> None:
    """`fields.items` is the field of that name; methods are there where no item is."""
    write(tmp_path, "{{ fields.items }} {{ fields.get('no', 'none') }}")

    assert render(tmp_path, fields={"items": "<3>"}) == "&lt;3&gt; none"


def test_what_is_undefined_is_an_error_with_a_place(tmp_path: Path) -> None:
    """A misspelt variable stops the render, and the error can be told with file and line."""
    write(tmp_path, "\n{{ fields.sumary }}")

    with pytest.raises(jinja2.UndefinedError) as caught:
        render(tmp_path, fields={"summary": "x"})
    problem = located(caught.value, tmp_path, "x")

    assert problem.where == "templates/x.html.j2:2"
    assert "sumary" in problem.what


def test_event_data_is_escaped_in_html_even_inside_a_sentence(tmp_path: Path) -> None:
    """Neither output nor a translated sentence lets markup of an event through."""
    write(tmp_path, "{{ a }} {% trans a=a %}is {{ a }} at 100%{% endtrans %}")

    assert render(tmp_path, a="<b>%s") == "&lt;b&gt;%s is &lt;b&gt;%s at 100%"


def test_words_of_the_catalogue_may_hold_any_character(tmp_path: Path) -> None:
    """A label with `%` or `<` is text, though labels are translated like sentences."""
    write(tmp_path, "{{ 'Done < 100%'|translated }}")

    assert render(tmp_path) == "Done &lt; 100%"


def test_text_is_not_escaped(tmp_path: Path) -> None:
    """In plain text an ampersand is an ampersand."""
    write(tmp_path, "{{ a }}", "x.txt.j2")

    assert text_environment(tmp_path).get_template("x.txt.j2").render(a="<R&D>") == "<R&D>"


def test_finalize_sees_values_and_leaves_structure(tmp_path: Path) -> None:
    """The hook gets every value that is output; Markup passes as it is."""
    seen: list[object] = []

    def finalize(value: object) -> object:
        seen.append(value)
        return value

    write(tmp_path, "{{ a }}{{ b }}")
    html = html_environment(tmp_path, finalize=finalize).get_template("x.html.j2")

    assert html.render(a="<", b=Markup("<br>")) == "&lt;<br>"
    assert seen == ["<", Markup("<br>")]
