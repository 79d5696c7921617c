"""``dispatcher links``: the keys that sign the links in mails."""

from __future__ import annotations

import typer

from dispatcher.cli import output
from dispatcher.cli.inspect import with_ledger
from dispatcher.cli.main import cli
from dispatcher.ledger.ledger import Ledger

links = typer.Typer(
    help="Change the key that signs the links in mails.", epilog="Example: dispatcher links rotate"
)
cli.add_typer(links, name="links")


@links.callback()
def _links() -> None:
    """Give the command a name of its own, though it has one part only."""


@links.command(epilog="Example: dispatcher links rotate")
def rotate(ctx: typer.Context) -> None:
    """Sign the links of new mails with a new key. Links of older mails go on working."""

    async def work(ledger: Ledger) -> None:
        key = await ledger.link_keys.rotate()
        output.say(f"Key {key.id} signs the links of mails from now on. Links of older mails go on working.")

    with_ledger(ctx, work)
