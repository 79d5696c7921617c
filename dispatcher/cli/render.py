"""``dispatcher render``: mails as files, without sending anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dispatcher.app import Project, open_project, system_clock
from dispatcher.cli import output
from dispatcher.cli.choices import Data, Set, instance_of, read_data, settings_of_fields, type_of
from dispatcher.cli.main import cli, settings_of
from dispatcher.domain.instance import Instance
from dispatcher.domain.language import LANGUAGES
from dispatcher.errors import EventInvalid, Problem
from dispatcher.flow.specimen import EXAMPLE, Specimens


@cli.command(epilog="Example: dispatcher render planned-maintenance --instance contoso-prod --out /tmp/mails")
def render(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder to write to; made if it is not there.")],
    type: Annotated[  # noqa: A002
        str | None,
        typer.Argument(help="A communication type; or --all.", metavar="[TYPE]", show_default=False),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every type.")] = False,
    instance: Annotated[
        str | None, typer.Option(help="An instance's id; a made-up instance by default.", show_default=False)
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="One language; all of the type's by default.", show_default=False)
    ] = None,
    data: Data = None,
    set_: Set = None,
    sample: Annotated[  # noqa: ARG001 - the default, spelt out for whoever wants to read it in a script
        bool,
        typer.Option("--sample", help="Use the catalogue's examples; the default without --data."),
    ] = False,
) -> None:
    """Write TYPE.LANG.html, .txt and .eml for a type, or for all with --all."""
    project = open_project(settings_of(ctx))
    if (type is None) != all_:
        raise EventInvalid(
            Problem("TYPE", "is given together with --all, or neither is", "give one of the two")
        )
    if language is not None and language not in LANGUAGES:
        fix = f"give one of {', '.join(LANGUAGES)}"
        raise EventInvalid(Problem("--language", f"{language[:40]!r} is not written here", fix))
    found = instance_of(project, instance) if instance else EXAMPLE
    specimens = Specimens(project.catalogue, project.renderer, system_clock())
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = 0
        for key in project.catalogue.types if type is None else (type,):
            spec = type_of(project, key)
            fields = specimens.sample(key) if data is None else read_data(data)
            fields |= settings_of_fields(spec, set_ or ())
            for code in _languages(project, specimens.shown_as(key), language):
                written += _write(specimens, key, fields, (found, code), out)
    except OSError as error:
        raise EventInvalid(
            Problem(str(out), f"cannot be written: {error.strerror}", "choose another --out")
        ) from None
    output.say(f"Wrote {written} files to {out}.")


def _languages(project: Project, key: str, wanted: str | None) -> list[str]:
    spec = project.catalogue.types[key]
    return [spec.language_for(wanted)] if wanted else list(spec.languages)


def _write(
    specimens: Specimens, key: str, fields: dict[str, object], reader: tuple[Instance, str], out: Path
) -> int:
    instance, language = reader
    specimen = specimens.render(key, fields, instance, language)
    files = {
        "html": specimen.html.encode(),
        "txt": specimen.text.encode(),
        "eml": specimen.message,
    }
    for suffix, content in files.items():
        (out / f"{key}.{language}.{suffix}").write_bytes(content)
    return len(files)
