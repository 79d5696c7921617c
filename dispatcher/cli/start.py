"""``dispatcher init`` and ``demo``: the first steps."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from dispatcher.app import starter
from dispatcher.cli import output
from dispatcher.cli.demo import run_demo
from dispatcher.cli.main import cli, settings_of
from dispatcher.errors import InvalidInput, Problem

PARTS = ("catalogue.yaml", "templates", "locales", "recipients", "docs/schemas", "policy-tests")


@cli.command(epilog="Example: dispatcher init mycloud && dispatcher --root mycloud check")
def init(
    folder: Annotated[
        Path, typer.Argument(help="The folder to lay out; it must be new or empty.", metavar="DIR")
    ],
) -> None:
    """Lay out a new root: catalogue, templates, sample recipient lists, expectations of the policy."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(Problem(str(folder), "is there and not empty", "name a new folder"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            source, target = starter() / part, folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
        (folder / ".gitignore").write_text(".dispatcher/\n.env\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInput(
            Problem(str(folder), f"cannot be written: {error.strerror}", "name another folder")
        ) from None
    output.say(f"Laid out {folder}. Next: dispatcher --root {folder} check")


@cli.command(epilog="Example: dispatcher demo")
def demo(ctx: typer.Context) -> None:
    """Tell two stories and send one event of every type, into a mailbox on this machine.

    In the stories time passes: an update is moved by the link in its mail, and an incident goes from its
    opening to the report. The events of every type are about all instances of the root.

    Real parts all the way, and nothing leaves the machine: whatever SMTP server, Redis or database is
    configured is left alone. The captured mails are shown by index.html under the state folder.
    """
    raise typer.Exit(run_demo(settings_of(ctx)))
