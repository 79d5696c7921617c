"""What `check` says of mails that should be better, and what it exits with."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from lint_root import small_root
from program import PROJECT, UNMEASURED, dispatcher

MAILS = PROJECT / "tests" / "bad" / "mails"
PUBLIC = {"DISPATCHER_PUBLIC_URL": "https://notices.example", **UNMEASURED}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_root(tmp_path / "root", "general-awareness")


def put(root: Path, name: str) -> None:
    shutil.copyfile(MAILS / f"{name}.j2", root / "templates" / "awareness.html.j2")


def test_a_warning_is_shown_and_not_counted_unless_asked_to(root: Path) -> None:
    """Warnings go to standard error and leave the exit code alone; --strict makes them count."""
    put(root, "layout-table-without-role")
    done, strict = dispatcher(root, "check", **PUBLIC), dispatcher(root, "check", "--strict", **PUBLIC)

    assert (done.code, done.out, strict.code) == (0, "", 2)
    assert "Warning: templates/awareness.html.j2:5: a table for layout has no role." in done.err
    assert "Nothing is wrong; " in done.err


def test_what_cannot_be_read_is_an_error(root: Path) -> None:
    """Contrast below the least is a problem, the rest of the same mail a warning; --json tells them apart."""
    put(root, "faint-text")
    done = dispatcher(root, "check", "--json", **PUBLIC)
    told = json.loads(done.out)

    assert (done.code, told["ok"]) == (2, False)
    assert [one["where"] for one in told["problems"]] == ["templates/awareness.html.j2:5"] * 2
    assert "has a contrast of 2.32:1" in told["problems"][0]["what"]
    assert any("in dark mode" in one["what"] for one in told["warnings"])


def test_a_template_that_loops_for_ever_is_named(root: Path) -> None:
    """`check` comes to an end all the same, and says in which line."""
    put(root, "endless-loop")
    done = dispatcher(root, "check", **PUBLIC)

    assert done.code == 2
    assert done.out.startswith("templates/awareness.html.j2:5: a mail is not done after 2 seconds of work.")


@pytest.mark.parametrize("command", ["render", "gallery"])
def test_what_writes_mails_comes_to_an_end_as_well(root: Path, tmp_path: Path, command: str) -> None:
    """`render` and `gallery` name the line of a template that loops for ever."""
    put(root, "endless-loop")
    which = ("general-awareness",) if command == "render" else ("--type", "general-awareness")
    done = dispatcher(root, command, *which, "--out", str(tmp_path / "out"))

    assert done.code == 2
    assert "templates/awareness.html.j2:5: a mail is not done after 2 seconds of work." in done.err


def test_only_the_types_that_are_asked_for_are_looked_at(tmp_path: Path) -> None:
    """`--type` leaves out the mails of the others; a type that is not there is told."""
    root = small_root(tmp_path / "root", "general-awareness", "planned-maintenance")
    put(root, "faint-text")
    done = dispatcher(root, "check", "--type", "planned-maintenance", **PUBLIC)
    unknown = dispatcher(root, "check", "--type", "planned-maintenanc", **PUBLIC)

    assert (done.code, unknown.code) == (0, 2)
    assert "1 type, 1 instances." in done.err
    assert "Did you mean planned-maintenance?" in unknown.err


def test_sentences_outside_of_translations_are_told(root: Path) -> None:
    """What a template says by itself is English for everybody."""
    template = root / "templates" / "awareness.html.j2"
    text = template.read_text(encoding="utf-8")
    template.write_text(
        text.replace("{% block content %}", "{% block content %}<p>Net.</p>"), encoding="utf-8"
    )
    done = dispatcher(root, "check", **PUBLIC)

    assert done.code == 0
    assert re.search(r"Warning: templates/awareness\.html\.j2:\d+: 'Net\.' is English for every", done.err)


def test_without_a_public_address_optional_types_are_named(root: Path) -> None:
    """The one warning of an untouched root says what to set."""
    done = dispatcher(root, "check")

    assert done.code == 0
    assert (
        "Warning: DISPATCHER_PUBLIC_URL: is not set, so nobody can opt out of general-awareness" in done.err
    )


def test_a_banner_that_fades_when_inverted_is_refused(root: Path) -> None:
    """Colours that are readable as written and not once a mail program inverts them are a problem."""
    catalogue = root / "catalogue.yaml"
    text = catalogue.read_text(encoding="utf-8")
    text = text.replace(
        '    background: "#BFDDF5"\n    text: "#242424"', '    background: "#F98845"\n    text: "#242424"'
    )
    catalogue.write_text(text, encoding="utf-8")
    done = dispatcher(root, "check", **PUBLIC)

    assert done.code == 2
    assert "once inverted" in done.out
