from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lint_root import small_root
from program import PROJECT

from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.files.source import parse
from dispatcher.flow.lint import Lint, Report
from dispatcher.flow.places import Places
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.translations import Translations

NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
BAD = sorted((PROJECT / "tests" / "bad" / "mails").glob("*.j2"))


def looked_at(root: Path, key: str = "general-awareness") -> Report:
    catalogue, templates = root / "catalogue.yaml", root / "templates"
    renderer = Renderer(templates, Translations(root, PROJECT / "locales"))
    places = Places(templates, parse(catalogue.read_bytes(), catalogue.name))
    return Lint(load_catalogue(catalogue), renderer, places, NOW).type(key)


#: Lines of files that change often, and sizes that change with them.
MOVING = (
    (re.compile(r"(catalogue\.yaml|base\.html\.j2)(:\d+)+"), r"\1:…"),
    (re.compile(r"\d+,\d+ bytes in"), "… bytes in"),
)


def told(report: Report) -> str:
    lines = [f"problem: {one}" for one in report.problems] + [f"warning: {one}" for one in report.warnings]
    text = "".join(f"{line}\n" for line in lines)
    for pattern, still in MOVING:
        text = pattern.sub(still, text)
    return text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_root(tmp_path / "root", "general-awareness", "planned-maintenance", "security-update")


@pytest.mark.parametrize("file", BAD, ids=lambda path: path.stem)
def test_a_bad_mail_is_told_with_place_and_remedy(root: Path, file: Path) -> None:
    """The text beside the template is what is found in its mails."""
    shutil.copyfile(file, root / "templates" / "awareness.html.j2")
    report = looked_at(root)

    assert told(report) == file.with_suffix(".txt").read_text(encoding="utf-8")


def test_a_borrowed_template_asks_for_its_fields(root: Path) -> None:
    """Whoever names another type's template wrote none: the fields that it needs are told, all at once."""
    catalogue = root / "catalogue.yaml"
    text = catalogue.read_text(encoding="utf-8")
    [shown] = re.findall(r"(?ms)^  general-awareness:\n.*?(?=^  [a-z-]+:$|\Z)", text)
    lacking = re.sub(r"(?m)^      (act_by|more_url): .*\n", "", shown).replace("general-awareness", "own")
    catalogue.write_text(text.replace(shown, shown + lacking), encoding="utf-8")

    problems = looked_at(root, "own").problems

    assert [(one.key, one.what) for one in problems] == [
        ("types.own", "has not every field that its template awareness needs: act_by is missing")
    ]
    assert problems[0].where.startswith("catalogue.yaml:")
    assert problems[0].fix == "give it that, as general-awareness has it, or a template of its own"


def test_there_are_bad_mails() -> None:
    """The test above has something to read."""
    assert len(BAD) >= 14


@pytest.mark.parametrize("key", ["general-awareness", "planned-maintenance", "security-update"])
def test_the_project_s_mails_have_no_findings(root: Path, key: str) -> None:
    """What is shipped is within every bar, in every language."""
    assert looked_at(root, key) == Report()


def test_what_a_mail_says_of_a_window_that_moved_is_looked_at(root: Path) -> None:
    """A fault that shows only once a window has moved is found before it does."""
    template = root / "templates" / "maintenance.txt.j2"
    begin = "{% block content %}"
    text = template.read_text(encoding="utf-8")
    text = text.replace(begin, f"{begin}{{% if moved_from %}}{{{{ moved_from.since }}}}{{% endif %}}")
    template.write_text(text, encoding="utf-8")
    [found] = looked_at(root, "planned-maintenance").problems

    assert found.where.startswith("templates/maintenance.txt.j2:")
    assert "since" in found.what


def test_a_field_that_nothing_shows_is_told_at_its_line(root: Path) -> None:
    """A field that no mail shows, and that decides nothing about one, is told where the catalogue has it."""
    catalogue = root / "catalogue.yaml"
    text = catalogue.read_text(encoding="utf-8")
    text = text.replace("      headline: {", "      colour: {kind: text, label: Colour}\n      headline: {")
    catalogue.write_text(text, encoding="utf-8")
    (found,) = looked_at(root).warnings

    line = text.splitlines().index("      colour: {kind: text, label: Colour}") + 1
    assert found.where == f"catalogue.yaml:{line}:7"
    assert found.key == "types.general-awareness.fields.colour"


def test_a_field_that_decides_about_the_mail_is_used(root: Path) -> None:
    """What `expires` goes by need not be shown."""
    catalogue = root / "catalogue.yaml"
    text = catalogue.read_text(encoding="utf-8")
    field = "      until: {kind: date, label: Until, example: +30d}\n      headline: {"
    text = text.replace("      headline: {", field).replace(
        "    template: awareness\n", "    template: awareness\n    expires: until\n"
    )
    catalogue.write_text(text, encoding="utf-8")

    assert looked_at(root) == Report()
