"""``dispatcher check``: everything that is wrong with a root, at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from dispatcher import environment
from dispatcher.app import Project, locales_of_program, open_project, program_folder, system_clock
from dispatcher.cli import output
from dispatcher.cli.apart import Ended, each
from dispatcher.cli.choices import Json, type_of
from dispatcher.cli.gallery import Types
from dispatcher.cli.main import EXIT_INVALID, cli, settings_of
from dispatcher.errors import CatalogueInvalid, InvalidInput, Problem
from dispatcher.files.catalogue_file import rough_words
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.files.source import parse
from dispatcher.flow.lint import Lint, Report
from dispatcher.flow.lint_root import (
    mistranslated,
    nobody_to_remind,
    plain_links,
    unplanned,
    untranslated,
    without_decisions,
    without_opt_out,
)
from dispatcher.flow.lint_templates import misnamed, one_sided, unclosed, untold
from dispatcher.flow.places import Places
from dispatcher.mail.extract import messages

#: A type's mails take a second, on a slow machine ten; what takes longer hangs where no clock stops it.
TYPE_SECONDS = 60.0
_ready: dict[Path, Lint] = {}


@cli.command(epilog="Example: dispatcher --root mycloud check")
def check(
    ctx: typer.Context,
    types: Types = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 2 for warnings, too.")] = False,
    json: Json = False,
) -> None:
    """Check the catalogue, the recipient lists, every template and every mail in every language.

    Exits with 2 if anything is wrong. A warning is what should be better, yet keeps no mail from being read.
    """
    settings = settings_of(ctx)
    _quiet()
    report, keys = Report(), list[str]()
    try:
        project: Project | None = open_project(settings, cached=False)
    except CatalogueInvalid as error:
        project = None
        report.problems += error.problems
    for key in types or ():
        if project is not None:
            type_of(project, key)
    words = project.catalogue.audience_keys if project else rough_words(settings.root / "catalogue.yaml")
    store = project.recipients if project else RecipientStore(settings.root, cache=None, audience_keys=words)
    if words:
        report.problems += _recipient_problems(store)
    if project is not None:
        report.problems += project.renderer.problems()
        keys = [key for key in project.catalogue.types if not types or key in types]
        report.add(_mails(project, keys))
        report.add(_root(project))
    _tell(report, len(keys), len(store.ids()), json=json)
    if report.problems or (strict and report.warnings):
        raise typer.Exit(EXIT_INVALID)


def inspector(root: Path) -> Callable[[str], Report]:
    """What looks at the mails of one type of this root, for a process of its own."""
    _quiet()
    # A forked process has the parent's, with every template compiled.
    return (_ready.get(root) or _lint(open_project(environment.load(root), cached=False))).type


def _quiet() -> None:
    """Let the parts that go on without what is wrong say nothing of it: the check does."""
    for name in ("dispatcher.files", "dispatcher.mail"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _lint(project: Project) -> Lint:
    return Lint(project.catalogue, project.renderer, _places(project), system_clock())


def _places(project: Project) -> Places:
    catalogue = project.settings.root / "catalogue.yaml"
    return Places(project.templates, parse(catalogue.read_bytes(), catalogue.name))


def _recipient_problems(store: RecipientStore) -> Iterator[Problem]:
    for broken in store.refresh():
        yield from broken.problems


def _mails(project: Project, keys: Sequence[str]) -> Report:
    """What is wrong with the mails of these types. A fault that several of them have is told once."""
    places, found, root = _places(project), {}, project.settings.root
    _ready[root] = _lint(project)
    for key, result in each(keys, inspector, (root,), seconds=TYPE_SECONDS):
        found[key] = result
        if isinstance(result, Ended):
            where = places.of((), "", ("types", key))
            fix = f"look for a loop in templates/{project.catalogue.types[key].template}.html.j2 and .txt.j2"
            found[key] = Report([Problem(where, f"rendering its mails {result}", fix, f"types.{key}")])
    whole = Report()
    for key in keys:
        whole.add(found[key])
    return whole


def _root(project: Project) -> Report:
    """What should be better about the root as a whole."""
    settings, places = project.settings, _places(project)
    report = Report(warnings=list(plain_links(places)))
    for find in (untold, misnamed, unclosed, one_sided):
        report.warnings += find(project.catalogue, places)
    report.warnings += without_opt_out(project.catalogue, settings.public_url)
    report.warnings += without_decisions(project.catalogue, settings.public_url)
    report.warnings += nobody_to_remind(project.catalogue)
    report.warnings += unplanned(project.catalogue)
    try:
        texts = messages(project.catalogue, project.templates, program_folder())
        folders = (settings.root / "locales", locales_of_program())
        report.problems += mistranslated(texts, folders[0])
        report.warnings += untranslated(texts, folders)
    except InvalidInput as error:
        report.problems += error.problems
    return report


def _tell(report: Report, types: int, instances: int, *, json: bool) -> None:
    if json:
        shown = {
            name: [{"where": one.where, "key": one.key, "what": one.what, "fix": one.fix} for one in found]
            for name, found in (("problems", report.problems), ("warnings", report.warnings))
        }
        output.print_json({"ok": not report.problems, "types": types, "instances": instances, **shown})
        return
    for problem in report.problems:
        output.show(str(problem))
    for warning in report.warnings:
        output.warn(str(warning))
    counted = [
        f"{len(found)} {name}{'s' if len(found) > 1 else ''}"
        for name, found in (("problem", report.problems), ("warning", report.warnings))
        if found
    ]
    if report.problems:
        output.fail(f"{' and '.join(counted)} found.")
    else:
        well = "All is well" if not counted else f"Nothing is wrong; {counted[0]}"
        output.say(f"{well}: {types} type{'s' * (types != 1)}, {instances} instances.")
