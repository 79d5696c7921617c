"""``dispatcher locales``: the files of translations, brought up to date with what there is to translate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from dispatcher.app import Project, locales_of_program, open_project, program_folder
from dispatcher.cli import output
from dispatcher.cli.main import EXIT_INVALID, cli, settings_of
from dispatcher.errors import Problem
from dispatcher.mail import pofile
from dispatcher.mail.extract import Message, messages
from dispatcher.mail.wanting import joined, problems, shortcomings


@cli.command(epilog="Example: dispatcher --root mycloud locales")
def locales(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 2 if something is to do.")
    ] = False,
) -> None:
    """Bring locales/ up to date: texts that are new or gone since; says what is left to translate.

    Translations are kept, and those that came with the program are filled in.
    """
    settings = settings_of(ctx)
    project = open_project(settings, cached=False)
    texts = messages(project.catalogue, project.templates, program_folder())
    folder, found = settings.root / "locales", []
    for language in pofile.PLURALS:
        found += list(_brought_up(folder, language, texts, check=check))
    for problem in found:
        output.show(str(problem))
    if found:
        output.say(f"{len(found)} to do in {len(pofile.PLURALS)} languages, of {len(texts)} texts each.")
    else:
        output.say(f"All is translated: {len(texts)} texts, {len(pofile.PLURALS)} languages.")
    if found and check:
        raise typer.Exit(EXIT_INVALID)


def translation_problems(project: Project) -> Iterator[Problem]:
    """What `check` says of translations: a line for each language that lacks texts, and one for each fault.

    Raises:
        TemplateInvalid: A template or a file of translations cannot be read.
    """
    texts = messages(project.catalogue, project.templates, program_folder())
    for language in pofile.PLURALS:
        own = _read(pofile.file_of(project.settings.root / "locales", language))
        shipped = _read(pofile.file_of(locales_of_program(), language))
        yield from shortcomings(language, texts, own, shipped)


def _brought_up(folder: Path, language: str, texts: Sequence[Message], *, check: bool) -> Iterator[Problem]:
    """Write the file of one language where that changes it; what is left to do."""
    file = pofile.file_of(folder, language)
    own, shipped = _read(file), _read(pofile.file_of(locales_of_program(), language))
    wanted = [message for message in texts if language in message.languages]
    text = pofile.written(language, wanted, joined(own, shipped))
    stale = not file.is_file() or file.read_text(encoding="utf-8") != text
    if stale and not check:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    told = list(problems(language, texts, own if check else _read(file)))
    yield from told
    if stale and check and not told:
        fix = "run `dispatcher locales`, which brings it up to date"
        yield Problem(own.where, "is not as `dispatcher locales` writes it", fix)


def _read(file: Path) -> pofile.PoFile:
    return pofile.read(file) if file.is_file() else pofile.PoFile(pofile.called(file))
