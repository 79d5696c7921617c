"""``dispatcher timeline``: what lies ahead as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dispatcher.app import system_clock
from dispatcher.cli import output
from dispatcher.cli.event_files import earliest
from dispatcher.cli.foresight import Asked, foreseen
from dispatcher.cli.main import cli
from dispatcher.cli.simulate import Aside, Empty, Events, OnlyInstance, OnlyType
from dispatcher.errors import EventInvalid, Problem
from dispatcher.flow.foresight.timeline import timeline as draw

#: How far ahead it looks unless somebody says, in years.
AHEAD = 1


@cli.command(epilog="Example: dispatcher timeline --out ahead.svg --event update.json --empty")
def timeline(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The SVG file to write.")],
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DATE",
            help="As in simulate; else the first event, else today.",
            show_default=False,
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="DATE", help="As in simulate; else a year later.", show_default=False),
    ] = None,
    event: Events = None,
    empty: Empty = False,
    instance: OnlyInstance = None,
    type_: OnlyType = None,
    aside: Aside = False,
) -> None:
    """Draw who would get what, when, as an SVG picture. Nothing is sent, nothing is kept."""
    files = tuple(event or ())
    begin = first or (earliest(files) or system_clock()).date().isoformat()
    end = last or _later(begin)
    seen = foreseen(ctx, Asked(begin, end, files, empty, instance, type_, aside))
    if not seen.rows:
        what = f"nothing would be told from {begin} to {end}"
        raise EventInvalid(Problem("--out", what, "name other days, or events with --event"))
    out.write_text(draw(seen.rows, seen.plans, seen.project.catalogue), encoding="utf-8")
    output.say(f"{out} shows {len(seen.rows)} rows.")


def _later(day: str) -> str:
    year = int(day[:4]) + AHEAD
    return f"{year}-{day[5:7]}-{'28' if day[5:10] == '02-29' else day[8:10]}"
