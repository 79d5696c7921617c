from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from lint_root import small_root
from program import PROJECT

from dispatcher.errors import Problem, TemplateInvalid
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.flow.specimen import EXAMPLE, Specimens
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.translations import Translations

NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
TABLE = {
    "kind": "table",
    "label": "Plans",
    "columns": {"name": {"label": "Plan"}, "new": {"label": "From then on"}},
    "example": [{"name": "Basic", "new": "9"}],
}
FIELDS = "The fields of general-awareness are act_by, action, body, headline, more_url, plans"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with one type, which has a table."""
    root = small_root(tmp_path / "root", "general-awareness")
    catalogue = root / "catalogue.yaml"
    data = yaml.safe_load(catalogue.read_text(encoding="utf-8"))
    data["types"]["general-awareness"]["fields"]["plans"] = TABLE
    catalogue.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return root


def rendered(root: Path, template: str) -> str:
    text = '{% extends "base.html.j2" %}\n{% block heading %}x{% endblock %}\n{% block content %}\n'
    own = root / "templates" / "awareness.html.j2"
    own.write_text(f"{text}{template}\n{{% endblock %}}", encoding="utf-8")
    renderer = Renderer(root / "templates", Translations(root, PROJECT / "locales"))
    specimens = Specimens(load_catalogue(root / "catalogue.yaml"), renderer, NOW)
    sample = specimens.sample("general-awareness")
    return specimens.render("general-awareness", sample, EXAMPLE, "en").html


def problem(root: Path, template: str) -> Problem:
    with pytest.raises(TemplateInvalid) as caught:
        rendered(root, template)
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("template", "what", "fix"),
    [
        (
            "{{ label('acton') }}",
            "label('acton') names no field of general-awareness",
            f"did you mean action? {FIELDS}",
        ),
        (
            "{{ shown('head') }}",
            "shown('head') names no field of general-awareness",
            f"did you mean headline? {FIELDS}",
        ),
        (
            "{{ label('plans.nwe') }}",
            "label('plans.nwe') names no column of plans; it has name, new",
            "",
        ),
        (
            "{% for row in fields.plans %}{{ row.nwe }}{% endfor %}",
            "has no attribute 'nwe'",
            "did you mean new? The columns of plans are name, new",
        ),
        (
            "{{ fields.plan }}",
            "has no attribute 'plan'",
            f"did you mean plans? {FIELDS}; test optional ones with fields.get()",
        ),
        ("{{ c.paragaphs(fields.body) }}", "has no attribute 'paragaphs'", "did you mean paragraphs? "),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion", "see to it that every macro"),
    ],
)
def test_what_is_not_there_is_told_with_what_there_is(root: Path, template: str, what: str, fix: str) -> None:
    """The message names the author's line, and what was meant perhaps."""
    found = problem(root, template)

    assert found.where == "templates/awareness.html.j2:4"
    assert what in found.what
    assert found.fix.startswith(fix)


def test_where_a_component_fails_the_line_that_asks_it_is_told_first(root: Path) -> None:
    """The author's own line is the place; the component's is named besides."""
    found = problem(root, "{{ c.paragraphs(none) }}")

    assert found.where == "templates/awareness.html.j2:4"
    assert "in templates/components.html.j2:" in found.what
    assert found.fix == "an event may leave a field out; test optional ones with {% if %} first"


def test_a_misspelt_filter_is_told_with_the_one_that_was_meant(root: Path) -> None:
    """A template that cannot be read says why, and how it would be right."""
    assert problem(root, "{{ fields.headline|capitol }}").fix == "did you mean capital?"


def test_a_column_has_its_label(root: Path) -> None:
    """`label('table.column')` is what a mail calls the column."""
    assert "<b>From then on</b>" in rendered(root, "<b>{{ label('plans.new') }}</b>")


def test_a_mail_that_is_never_done_is_told_with_its_line(root: Path) -> None:
    """Whoever renders it, a template that loops for ever is stopped and named."""
    found = problem(root, "{% for i in range(10000000000) %}{% endfor %}")

    assert found.where == "templates/awareness.html.j2:4"
    assert found.what == "a mail is not done after 2 seconds of work"
