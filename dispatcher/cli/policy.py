"""``dispatcher policy test``: expectations of the policy's owner, held against what would happen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from dispatcher.app import Project, open_project
from dispatcher.cli import output
from dispatcher.cli.event_files import happenings, submissions_of
from dispatcher.cli.main import cli, settings_of
from dispatcher.errors import EventInvalid, Problem, RecipientsInvalid
from dispatcher.files.policy_file import PolicyFile, PolicyTest, load_policy_tests
from dispatcher.files.recipient_store import FOLDER, RecipientStore
from dispatcher.flow.foresight.expectations import Failure, expects, judge, strangers
from dispatcher.flow.foresight.outlook import Row, period_of
from dispatcher.flow.foresight.rules import Rules, View
from dispatcher.flow.foresight.simulate import Simulation
from dispatcher.flow.foresight.start import rules_of

#: The folder of a root that holds expectations.
TESTS = "policy-tests"
EXIT_FAILED = 1

policy = typer.Typer(help="Hold the policy against expectations.", no_args_is_help=True)
cli.add_typer(policy, name="policy")


@policy.command("test", epilog="Example: dispatcher policy test policy-tests/major-update.yaml")
def hold(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help=f"Files of expectations; without any, those of {TESTS}/.", show_default=False),
    ] = None,
) -> None:
    """Say whether what would happen is what is expected; exit code 1 if it is not."""
    project = open_project(settings_of(ctx))
    held = failed = 0
    for path in files or _all(project):
        name = _name(path, project)
        expectations = load_policy_tests(path, name)
        with _rules(project, expectations) as rules:
            if problems := list(strangers(name, expectations.tests, rules)):
                raise EventInvalid(problems)
            unasked: dict[str, None] = {}
            for test in expectations.tests:
                rows, refused = _played(rules, expectations, test)
                unasked |= dict.fromkeys(_refusal(row) for row in refused if not expects(expectations, row))
                failures = list(judge(test, rows))
                failed += len(failures)
                held += len(test.expected) - len(failures)
                for failure in failures:
                    _tell(name, failure, refused)
            for words in unasked:
                output.warn(f"{name}: {words}")
    output.say(f"{_held(held)}, {failed} {_do(failed)} not." if failed else f"{_held(held)}.")
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _held(count: int) -> str:
    return "1 expectation holds" if count == 1 else f"{count} expectations hold"


def _do(count: int) -> str:
    return "does" if count == 1 else "do"


def _all(project: Project) -> Sequence[Path]:
    folder = project.settings.root / TESTS
    found = sorted(path for path in folder.rglob("*") if path.suffix in {".yaml", ".yml"})
    if not found:
        fix = "write one, or name files: docs/simulate.md shows how"
        raise EventInvalid(Problem(f"{TESTS}/", "there are no expectations", fix))
    return found


def _name(path: Path, project: Project) -> str:
    root = project.settings.root
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


@contextmanager
def _rules(project: Project, expectations: PolicyFile) -> Iterator[Rules]:
    """The root's rules, with the instances that a file makes up in place of those of the root."""
    if not expectations.instances:
        project.recipients.refresh()
        yield rules_of(project.catalogue, project.recipients)
        return
    with tempfile.TemporaryDirectory(prefix="dispatcher-policy-") as folder:
        yield rules_of(project.catalogue, _made_up(Path(folder), project, expectations))


def _made_up(root: Path, project: Project, expectations: PolicyFile) -> RecipientStore:
    """The instances of a file of expectations, read as recipient files are."""
    (root / FOLDER).mkdir()
    for number, one in enumerate(expectations.instances):
        (root / FOLDER / f"{number:05}.yaml").write_bytes(_json(one))
    store = RecipientStore(root, cache=None, audience_keys=project.catalogue.audience_keys)
    problems = [
        Problem(f"{expectations.name}: instances[{int(Path(broken.file).stem)}]", one.what, one.fix, one.key)
        for broken in store.refresh()
        for one in broken.problems
    ]
    if problems:
        raise RecipientsInvalid(problems)
    return store


def _json(one: Mapping[str, Any]) -> bytes:
    return orjson.dumps(one)  # which is YAML as well


def _played(rules: Rules, expectations: PolicyFile, test: PolicyTest) -> tuple[list[Row], list[Row]]:
    """What happens on the day of a test, and what of the given events is refused on any."""
    where = f"{expectations.name}:{test.line}"
    period = period_of(test.at, test.at, (where, where))
    asked = submissions_of([*expectations.given, *test.given], where)
    simulation = Simulation(rules)
    happening = list(happenings(asked, period, rules.recipients))
    rows = simulation.run(happening, period, View(aside=True))
    return rows, simulation.refused


def _tell(name: str, failure: Failure, refused: Sequence[Row]) -> None:
    words = f": {failure.test.name}" if failure.test.name else ""
    output.show(f"FAILED {name}:{failure.line}{words}")
    output.show(f"  at {failure.test.at}")
    for line in failure.difference:
        output.show(f"    {line}")
    for row in refused:
        output.show(f"  {_refusal(row)}")


def _refusal(row: Row) -> str:
    return f"given {row.type} at {row.at.isoformat()} was refused: {row.reason}"
