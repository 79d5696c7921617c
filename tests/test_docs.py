"""README and docs are held to the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from dispatcher.cli import commands  # noqa: F401 - registers the commands
from dispatcher.cli.main import cli
from dispatcher.domain.cadence import Cadence, Step, Turn
from dispatcher.domain.catalogue import Audience, CommunicationType, FieldSpec, Kind
from dispatcher.domain.delivery import MOVE_REASONS, OUTCOME_REASONS, Status
from dispatcher.files.source import parse
from dispatcher.variables import PREFIX, VARIABLES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def _read(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_readme_names_every_setting_and_its_default() -> None:
    """The table of settings has a row for each variable and no other."""
    rows = dict(re.findall(r"^\| `(DISPATCHER_\w+)` \| ([^|]+) \|", README, re.MULTILINE))

    assert set(rows) == {f"{PREFIX}{variable.name}" for variable in VARIABLES}
    for variable in VARIABLES:
        if variable.default:
            assert rows[f"{PREFIX}{variable.name}"].strip() == f"`{variable.default}`"


def test_the_changelog_names_every_command() -> None:
    """Each command that there is was announced."""
    shown = [one for one in cli.registered_commands if not one.hidden]
    names = {one.name or getattr(one.callback, "__name__", "") for one in shown}
    names |= {one.name for one in cli.registered_groups}

    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_the_readmes_catalogue_lines_are_the_catalogues() -> None:
    """The six lines that the README shows stand in catalogue.yaml as they are."""
    [shown] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[:1]
    lines = [line for line in shown.splitlines() if line]
    catalogue = (ROOT / "catalogue.yaml").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 7
    assert all(line in catalogue for line in lines)


@pytest.mark.parametrize("model", [CommunicationType, Audience, FieldSpec])
def test_the_catalogue_reference_names_every_key(model: Any) -> None:
    """docs/catalogue.md has a row for each key of each model."""
    text = _read("catalogue.md")

    assert {key for key in model.model_fields if f"| `{key}` |" not in text} == set()


@pytest.mark.parametrize("model", [Cadence, Step])
def test_the_reference_of_cadences_names_every_key(model: Any) -> None:
    """docs/cadences.md has a row for each key of a cadence and of a step."""
    text = _read("cadences.md")

    assert {key for key in model.model_fields if f"| `{key}` |" not in text} == set()


def test_the_reference_of_cadences_names_every_turn() -> None:
    """docs/cadences.md has a row for each turn of a plan's life."""
    text = _read("cadences.md")

    assert {turn for turn in get_args(Turn) if f"| `{turn}` |" not in text} == set()


def test_the_example_of_cadences_is_a_cadence() -> None:
    """What the page shows first is one that the program accepts."""
    shown = re.findall(r"```yaml\n(.*?)```", _read("cadences.md"), re.DOTALL)[0]
    # The program's own reader: to YAML 1.1, which PyYAML reads, the key `on` is a boolean.
    data = parse(shown.encode(), "cadences.md").data

    assert [Cadence.model_validate(one).decisions for one in data["cadences"].values()] == [True]


def test_the_catalogue_reference_names_every_kind() -> None:
    """docs/catalogue.md has a row for each kind of field."""
    text = _read("catalogue.md")

    assert {kind for kind in get_args(Kind) if f"| `{kind}` |" not in text} == set()


def test_the_architecture_names_every_status_and_reason() -> None:
    """The words of the code are those of the docs."""
    text = _read("architecture.md")

    assert {status for status in Status if f"`{status}" not in text and f" {status}" not in text} == set()
    assert {reason for reason in OUTCOME_REASONS | MOVE_REASONS if f"| `{reason}` |" not in text} == set()


def test_the_recipient_contract_of_the_docs_is_valid() -> None:
    """The recipient file that the docs show is one that the program accepts."""
    from dispatcher.domain.instance import Instance  # noqa: PLC0415

    [shown] = re.findall(r"```yaml\n(.*?)```", _read("recipients.md"), re.DOTALL)

    assert Instance.model_validate(yaml.safe_load(shown)).id == "contoso-prod"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there."""
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    missing = [one for one in targets if "://" not in one and not (page.parent / one).exists()]
    assert missing == []


def test_every_decision_is_listed() -> None:
    """The list of decisions names each record."""
    listed = _read("decisions/README.md")
    records = [path.name for path in (ROOT / "docs" / "decisions").glob("0*.md")]

    assert [name for name in records if name not in listed] == []


def test_every_dependency_has_a_reason() -> None:
    """The record of dependencies has a row for each that pyproject.toml names."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [block] = re.findall(r"^dependencies = \[\n(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    names = re.findall(r'"([a-z0-9-]+)', block)

    text = _read("decisions/0002-dependencies.md")
    assert [name for name in names if f"| {name} |" not in text] == []


def test_every_test_that_a_promise_names_is_there() -> None:
    """docs/promises.md names tests; each is one of ours."""
    named = set(re.findall(r"`(test_\w+)`", _read("promises.md")))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
    }

    assert named - there == set()
    assert len(named) > 40
