"""``dispatcher check``: everything that is wrong with a root, at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import typer

from dispatcher.app import Project, open_project, system_clock
from dispatcher.cli import output
from dispatcher.cli.choices import Json
from dispatcher.cli.main import EXIT_INVALID, cli, settings_of
from dispatcher.domain.instance import ROLES
from dispatcher.errors import CatalogueInvalid, InvalidInput, Problem
from dispatcher.files.catalogue_file import rough_words
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.specimen import EXAMPLE, Specimens

#: Every word that the footer has for why somebody gets a mail.
ALL_ROLES = (*ROLES, "contact", "thread")


@cli.command(epilog="Example: dispatcher --root mycloud check")
def check(ctx: typer.Context, json: Json = False) -> None:
    """Check the catalogue, the recipient lists and every template; exit 2 if anything is wrong."""
    settings = settings_of(ctx)
    logging.getLogger("dispatcher.files").setLevel(logging.ERROR)  # it says itself what is wrong
    try:
        project: Project | None = open_project(settings, cached=False)
        problems: list[Problem] = []
    except CatalogueInvalid as error:
        project, problems = None, list(error.problems)
    words = project.catalogue.audience_keys if project else rough_words(settings.root / "catalogue.yaml")
    store = project.recipients if project else RecipientStore(settings.root, cache=None, audience_keys=words)
    if words:
        problems += _recipient_problems(store)
    if project is not None:
        problems += _template_problems(project)
    types = len(project.catalogue.types) if project else 0
    _report(problems, types, len(store.ids()), json=json)
    if problems:
        raise typer.Exit(EXIT_INVALID)


def _recipient_problems(store: RecipientStore) -> Iterator[Problem]:
    for broken in store.refresh():
        yield from broken.problems


def _template_problems(project: Project) -> Iterator[Problem]:
    """Compile every template; render each type with all its examples, and with its required fields alone.

    A fault that several types or both renderings meet is told once.
    """
    specimens = Specimens(project.catalogue, project.renderer, system_clock())
    found = list(project.renderer.problems())
    for key, spec in project.catalogue.types.items():
        for fields, roles in ((specimens.sample(key), ("admins",)), (specimens.required(key), ALL_ROLES)):
            try:
                specimens.render(key, fields, EXAMPLE, spec.languages[0], roles)
            except InvalidInput as error:
                found += error.problems
    yield from dict.fromkeys(found)


def _report(problems: list[Problem], types: int, instances: int, *, json: bool) -> None:
    if json:
        rows = [{"where": p.where, "key": p.key, "what": p.what, "fix": p.fix} for p in problems]
        output.print_json({"ok": not problems, "types": types, "instances": instances, "problems": rows})
        return
    for problem in problems:
        output.show(str(problem))
    if problems:
        output.fail(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found.")
    else:
        output.say(f"All is well: {types} types, {instances} instances.")
