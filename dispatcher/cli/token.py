"""``dispatcher token``: who may use the HTTP interface."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from dispatcher.cli import output
from dispatcher.cli.choices import Json
from dispatcher.cli.inspect import with_ledger
from dispatcher.cli.main import cli
from dispatcher.errors import EventInvalid, Problem
from dispatcher.flow.present import moment_json
from dispatcher.flow.tokens import new_token
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.tokens import Token
from dispatcher.variables import SCOPES, TOKEN_NAME

token = typer.Typer(help="Make, list and revoke the tokens of the HTTP interface.", no_args_is_help=True)
cli.add_typer(token, name="token")

Name = Annotated[str, typer.Argument(help="What the token is for: letters, digits, . _ -")]


@token.command(epilog="Example: dispatcher token new billing --scope send")
def new(
    ctx: typer.Context,
    name: Name,
    scope: Annotated[str, typer.Option(help="Comma-separated: send, read, admin.")] = "send,read",
    json: Json = False,
) -> None:
    """Make a token and print it, once; only its hash is kept. It is in force at once."""
    if not TOKEN_NAME.fullmatch(name):
        fix = "use letters, digits, dots, underscores and hyphens, at most 64"
        raise EventInvalid(Problem("NAME", f"{name[:80]!r} cannot be a name", fix))
    scopes = frozenset(part.strip() for part in scope.split(",") if part.strip())
    if not scopes or not scopes <= set(SCOPES):
        raise EventInvalid(Problem("--scope", f"{scope[:60]!r} cannot be given", f"use {', '.join(SCOPES)}"))
    text, sha256 = new_token(secrets.token_urlsafe)

    async def work(ledger: Ledger) -> None:
        await ledger.tokens.add(name, sha256, scopes)

    with_ledger(ctx, work, existing=False)
    if json:
        output.print_json({"name": name, "scopes": sorted(scopes), "token": text})
    else:
        output.show(text)
        output.say(f"This is the token {name!r}; it is shown this once. Send it as: Authorization: Bearer …")


@token.command("list", epilog="Example: dispatcher token list --json")
def list_(ctx: typer.Context, json: Json = False) -> None:
    """List all tokens, revoked ones too."""

    async def work(ledger: Ledger) -> None:
        found = await ledger.tokens.list()
        if json:
            output.print_json([_token_json(one) for one in found])
            return
        rows = (
            (
                one.name,
                " ".join(sorted(one.scopes)),
                output.moment(one.created_at),
                output.moment(one.revoked_at),
            )
            for one in found
        )
        output.show_table(("NAME", "SCOPES", "CREATED", "REVOKED"), rows)

    with_ledger(ctx, work)


def _token_json(one: Token) -> dict[str, object]:
    return {
        "name": one.name,
        "scopes": sorted(one.scopes),
        "created_at": moment_json(one.created_at),
        "revoked_at": moment_json(one.revoked_at),
    }


@token.command(epilog="Example: dispatcher token revoke billing")
def revoke(ctx: typer.Context, name: Name) -> None:
    """Refuse a token from now on."""

    async def work(ledger: Ledger) -> None:
        await ledger.tokens.revoke(name)

    with_ledger(ctx, work)
    output.say(f"The token {name!r} is revoked.")
