"""``dispatcher gallery``: every type in every language as pages to look through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dispatcher.app import open_project, system_clock
from dispatcher.cli import output
from dispatcher.cli.choices import instance_of, type_of
from dispatcher.cli.gallery_folder import refuse_other, write_gallery
from dispatcher.cli.gallery_pages import Card, Pages, Section, files_of
from dispatcher.cli.main import cli, settings_of
from dispatcher.domain.language import LANGUAGES
from dispatcher.errors import EventInvalid, Problem
from dispatcher.flow.gallery import Exhibit, Gallery, Room

Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only this type; repeatable.", metavar="TYPE", show_default=False),
]
Languages = Annotated[
    list[str] | None,
    typer.Option("--language", help="Only this language; repeatable.", metavar="LANG", show_default=False),
]
AnInstance = Annotated[
    str | None,
    typer.Option(
        "--instance",
        help="An instance's id; a made-up one by default.",
        metavar="ID",
        show_default=False,
    ),
]


#: A type and its mails.
Wing = tuple[Room, list[Exhibit]]


@cli.command(epilog="Example: dispatcher gallery --out /tmp/gallery")
def gallery(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option(help="The folder to write to: a new or empty one, or an earlier gallery.")
    ],
    types: Types = None,
    languages: Languages = None,
    instance: AnInstance = None,
) -> None:
    """Write a page of every type in every language: light, dark, inverted, phone, text, source, figures.

    Open index.html in a browser; no server is needed. `dispatcher preview` shows the same while you write
    templates.
    """
    project = open_project(settings_of(ctx))
    for key in types or ():
        type_of(project, key)
    refuse_languages(languages or ())
    reader = instance_of(project, instance) if instance else None
    shown = Gallery(project.catalogue, project.renderer, system_clock(), reader)
    refuse_other(out)
    wings = render_all(shown, list(shown.rooms(types or (), languages or ())))
    write_gallery(out, site_of(shown, wings, project.catalogue.service.name))
    number = _count(wings)
    output.say(f"Wrote {number} mail{'' if number == 1 else 's'}. Look at {out / 'index.html'}")
    if missed := _missed(wings):
        output.warn(f"{missed} of {number} could be better; the pages say in what.")


def refuse_languages(languages: Sequence[str]) -> None:
    """Refuse what is none of the nine.

    Raises:
        EventInvalid: Nothing is written in that language.
    """
    for language in languages:
        if language not in LANGUAGES:
            fix = f"give one of {', '.join(LANGUAGES)}"
            raise EventInvalid(Problem("--language", f"{language[:40]!r} is not written here", fix))


def site_of(shown: Gallery, wings: Sequence[Wing], service: str) -> dict[str, bytes]:
    """Every file of a gallery, the index last: once it is there, what it links to is there."""
    pages = Pages(service)
    files: dict[str, bytes] = {}
    for room, exhibits in wings:
        for mail in exhibits:
            folder = f"{room.key}/{mail.language}"
            files |= {f"{folder}/{name}": content for name, content in files_of(mail).items()}
            files[f"{folder}/index.html"] = pages.mail(mail, room.languages).encode()
    index = pages.index([_section(*one) for one in wings], shown.unmailed(), _summary(wings))
    return files | {"index.html": index.encode()}


def render_all(shown: Gallery, rooms: Sequence[Room]) -> list[Wing]:
    """Each type's mails, with a bar on standard error while they are rendered.

    Raises:
        InvalidInput: One cannot be rendered.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    wings: list[Wing] = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("Rendering", total=sum(len(room.languages) for room in rooms))
        for room in rooms:
            progress.update(bar, description=f"{room.key:<24}")
            wings.append((room, []))
            for language in room.languages:
                wings[-1][1].append(shown.exhibit(room, language))
                progress.advance(bar)
    return wings


def _section(room: Room, exhibits: list[Exhibit]) -> Section:
    cards = (
        Card(mail.language, f"{room.key}/{mail.language}", mail.subject, mail.faults) for mail in exhibits
    )
    return Section(room, tuple(cards))


def _summary(wings: Sequence[Wing]) -> str:
    missed = _missed(wings)
    held = "each within every figure" if not missed else f"{missed} of them could be better"
    return f"{_count(wings)} mails of {len(wings)} types; {held}."


def _count(wings: Sequence[Wing]) -> int:
    return sum(len(mails) for _, mails in wings)


def _missed(wings: Sequence[Wing]) -> int:
    return sum(mail.faults > 0 for _, mails in wings for mail in mails)
