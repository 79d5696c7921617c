"""``dispatcher suppressions``: who opted out of what; to opt somebody out, and to undo it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated

import typer

from dispatcher.app import open_project
from dispatcher.cli import output
from dispatcher.cli.choices import Json, type_of
from dispatcher.cli.inspect import with_ledger
from dispatcher.cli.main import cli, settings_of
from dispatcher.domain.address import AddressInvalid, canonical
from dispatcher.errors import InvalidInput, NotFound, Problem
from dispatcher.flow.choices import optional_types
from dispatcher.flow.present import moment_json
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.suppressions import Suppression

suppressions = typer.Typer(
    help="List who opted out of optional mail, opt somebody out, lift an opt-out.",
    epilog="Example: dispatcher suppressions --address ops@contoso.example",
)
cli.add_typer(suppressions, name="suppressions")

AddressOption = Annotated[str | None, typer.Option("--address", help="Of this address.", show_default=False)]
TypeOption = Annotated[
    str | None, typer.Option("--type", help="Of this communication type.", show_default=False)
]
AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="A reader's address.")]


@suppressions.callback(invoke_without_command=True)
def _list_by_default(
    ctx: typer.Context, address: AddressOption = None, type_: TypeOption = None, json: Json = False
) -> None:
    if ctx.invoked_subcommand is None:
        _list(ctx, address, type_, json=json)


@suppressions.command("list", epilog="Example: dispatcher suppressions list --json")
def list_(
    ctx: typer.Context, address: AddressOption = None, type_: TypeOption = None, json: Json = False
) -> None:
    """List opt-outs, lifted ones too, the oldest first."""
    _list(ctx, address, type_, json=json)


@suppressions.command(epilog="Example: dispatcher suppressions add ops@contoso.example general-awareness")
def add(
    ctx: typer.Context,
    address: AddressArgument,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="An optional communication type.")],
) -> None:
    """Let an address get no more mail of an optional type. Doing it again changes nothing."""
    whose = _canonical(address)
    project = open_project(settings_of(ctx))
    if not type_of(project, type_).optional:
        fix = f"the optional types are {', '.join(sorted(optional_types(project.catalogue))) or 'none'}"
        raise InvalidInput(Problem("TYPE", f"nobody can opt out of {type_}", fix))

    async def work(ledger: Ledger) -> None:
        if await ledger.suppressions.add(whose, [type_], "operator"):
            output.say(f"{whose} gets no more {type_}. What is on its way already may still arrive.")
        else:
            output.say(f"{whose} had opted out of {type_} before; nothing was changed.")

    with_ledger(ctx, work, existing=False)


@suppressions.command(epilog="Example: dispatcher suppressions lift ops@contoso.example general-awareness")
def lift(
    ctx: typer.Context,
    address: AddressArgument,
    type_: Annotated[
        str | None,
        typer.Argument(metavar="TYPE", help="A communication type; all without it.", show_default=False),
    ] = None,
) -> None:
    """Let an address get optional mail again. Mail that was suppressed meanwhile is not sent after all."""

    async def work(ledger: Ledger) -> None:
        lifted = await ledger.suppressions.lift(address, None if type_ is None else [type_])
        if not lifted:
            what = f" of {type_}" if type_ else ""
            there = {one.type for one in await ledger.suppressions.list(address, None)}
            close = difflib.get_close_matches(type_ or "", there, 1)
            meant = f"Did you mean {close[0]}? " if close and close[0] != type_ else ""
            hint = f"`dispatcher suppressions --address {address}` lists what there was."
            raise NotFound(f"{address} has not opted out{what}. {meant}{hint}")
        output.say(f"{address} gets {' and '.join(lifted)} again.")

    with_ledger(ctx, work)


def _list(ctx: typer.Context, address: str | None, type_: str | None, *, json: bool) -> None:
    async def work(ledger: Ledger) -> None:
        _show(await ledger.suppressions.list(address, type_), json=json)

    with_ledger(ctx, work)


def _show(found: Sequence[Suppression], *, json: bool) -> None:
    if json:
        output.print_json([_json(one) for one in found])
    elif not found:
        output.say("There are no such opt-outs.")
    else:
        rows = (
            (
                one.address,
                one.type,
                one.origin,
                output.moment(one.created_at),
                output.moment(one.lifted_at),
            )
            for one in found
        )
        output.show_table(("ADDRESS", "TYPE", "BY", "SINCE", "LIFTED"), rows)


def _json(one: Suppression) -> dict[str, object]:
    return {
        "address": one.address,
        "type": one.type,
        "origin": one.origin,
        "created_at": moment_json(one.created_at),
        "lifted_at": moment_json(one.lifted_at),
    }


def _canonical(address: str) -> str:
    try:
        return canonical(address)
    except AddressInvalid as error:
        raise InvalidInput(Problem("ADDRESS", f"{address[:80]!r} {error}")) from None
