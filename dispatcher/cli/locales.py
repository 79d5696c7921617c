"""``dispatcher locales``: the files of translations, brought up to date with what there is to translate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dispatcher.app import locales_of_program, open_project, program_folder
from dispatcher.cli import output
from dispatcher.cli.main import EXIT_INVALID, cli, settings_of
from dispatcher.errors import Problem, TemplateInvalid
from dispatcher.mail import pofile
from dispatcher.mail.extract import Message, messages
from dispatcher.mail.wanting import joined, problems


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
    folder, found, broken = settings.root / "locales", list[Problem](), list[Problem]()
    for language in pofile.PLURALS:
        try:
            found += list(_brought_up(folder, language, texts, check=check))
        except TemplateInvalid as error:
            broken += error.problems
    for problem in _grouped(found):
        output.show(str(problem))
    if broken:
        raise TemplateInvalid(broken)
    if found:
        output.say(f"{len(found)} to do in {len(pofile.PLURALS)} languages, of {len(texts)} texts each.")
    else:
        output.say(f"All is translated: {len(texts)} texts, {len(pofile.PLURALS)} languages.")
    if found and check:
        raise typer.Exit(EXIT_INVALID)


def _grouped(found: Sequence[Problem]) -> Iterator[Problem]:
    """What is wrong with a text, once for all languages in which it is."""
    alike: dict[tuple[str, str], list[Problem]] = {}
    for problem in found:
        alike.setdefault((problem.what, problem.fix), []).append(problem)
    for first, *others in alike.values():
        too = ", ".join(Path(one.where).parts[-3] for one in others)
        yield replace(first, what=f"{first.what}, likewise in {too}") if too else first


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
    if check:
        # What the file does not have yet has no line there to write on.
        new = "run `dispatcher locales`, which adds it, then translate it"
        told = [replace(one, fix=new) if one.where == own.where else one for one in told]
    yield from told
    if stale and check and not told:
        fix = "run `dispatcher locales`, which brings it up to date"
        yield Problem(own.where, "is not as `dispatcher locales` writes it", fix)


def _read(file: Path) -> pofile.PoFile:
    return pofile.read(file) if file.is_file() else pofile.PoFile(pofile.called(file))
