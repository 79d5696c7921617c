"""``dispatcher simulate``: who would get what, when, on which channel, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dispatcher.cli import output
from dispatcher.cli.choices import Json
from dispatcher.cli.foresight import Asked, foreseen
from dispatcher.cli.main import cli
from dispatcher.flow.foresight.outlook import Row, row_json
from dispatcher.flow.foresight.told_ahead import lines

From = Annotated[
    str,
    typer.Option("--from", metavar="DATE", help="The first day, or a moment like 2027-01-05T09:00+01:00."),
]
To = Annotated[
    str, typer.Option("--to", metavar="DATE", help="The last day, where each instance is, or a moment.")
]
Events = Annotated[
    list[Path] | None,
    typer.Option(
        "--event",
        metavar="FILE",
        help="One CloudEvent or a list; each happens at its time, else at --from. Repeatable.",
        show_default=False,
    ),
]
Empty = Annotated[bool, typer.Option("--empty", help="Begin with nothing, not with what the ledger has.")]
OnlyInstance = Annotated[
    str | None, typer.Option("--instance", help="Only this instance.", show_default=False)
]
OnlyType = Annotated[
    str | None, typer.Option("--type", help="Only this communication type.", show_default=False)
]
Aside = Annotated[bool, typer.Option("--all", help="Also steps that a new date, or an end, made void.")]


@cli.command(
    epilog="Example: dispatcher simulate --from 2027-01-01 --to 2027-06-30 --event update.json --empty"
)
def simulate(
    ctx: typer.Context,
    first: From,
    last: To,
    event: Events = None,
    empty: Empty = False,
    instance: OnlyInstance = None,
    type_: OnlyType = None,
    aside: Aside = False,
    json: Json = False,
) -> None:
    """Say who would get what, when, on which channel, and why. Nothing is sent, nothing is kept."""
    seen = foreseen(ctx, Asked(first, last, tuple(event or ()), empty, instance, type_, aside))
    for warning in seen.warnings:
        output.warn(warning)
    if json:
        output.print_json([row_json(row) for row in seen.rows])
    else:
        _show(seen.rows)


def _show(rows: Sequence[Row]) -> None:
    if not rows:
        output.say("Nothing would be told.")
        return
    for line in lines(rows):
        output.show(line)
