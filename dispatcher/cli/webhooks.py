"""``dispatcher webhooks``: what upstream is told of decisions, what became of it; to have it tried again."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.cli import output
from dispatcher.cli.choices import Json
from dispatcher.cli.inspect import with_ledger
from dispatcher.cli.main import cli
from dispatcher.domain.webhook import WebhookStatus
from dispatcher.errors import NotFound
from dispatcher.flow.spans import number
from dispatcher.flow.told import webhook_json
from dispatcher.ledger.ledger import Ledger

LISTED = 50

webhooks = typer.Typer(
    help="List messages to upstream, what became of each; have one tried again.",
    epilog="Example: dispatcher webhooks --status failed",
)
cli.add_typer(webhooks, name="webhooks")

StatusOption = Annotated[
    WebhookStatus | None, typer.Option("--status", help="Only those that stand there.", show_default=False)
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many to list.")]


@webhooks.callback(invoke_without_command=True)
def _list_by_default(
    ctx: typer.Context, status: StatusOption = None, limit: Limit = LISTED, json: Json = False
) -> None:
    if ctx.invoked_subcommand is None:
        _list(ctx, status, limit, json=json)


@webhooks.command("list", epilog="Example: dispatcher webhooks list --json")
def list_(ctx: typer.Context, status: StatusOption = None, limit: Limit = LISTED, json: Json = False) -> None:
    """List messages, the newest first."""
    _list(ctx, status, limit, json=json)


@webhooks.command(epilog="Example: dispatcher webhooks retry")
def retry(
    ctx: typer.Context,
    id: Annotated[  # noqa: A002 - the argument's name
        str | None,
        typer.Argument(help="One message's id; all that were not taken without it.", show_default=False),
    ] = None,
) -> None:
    """Have messages that were not taken tried again at once, and then by the schedule from its start."""

    async def work(ledger: Ledger) -> None:
        found = await ledger.webhooks.retry(id)
        if id is not None and not found:
            raise NotFound(
                f"There is no message {id!r} that was not taken. `dispatcher webhooks` lists them."
            )
        output.say(
            f"{number(found, 'message is', 'messages are')} tried again; a worker sends within seconds."
        )

    with_ledger(ctx, work)


def _list(ctx: typer.Context, status: WebhookStatus | None, limit: int, *, json: bool) -> None:
    async def work(ledger: Ledger) -> None:
        found = await ledger.webhooks.list(status=status, limit=limit)
        if json:
            output.print_json([webhook_json(one) for one in found])
            return
        columns = ("ID", "TYPE", "STATUS", "MADE", "TRIES", "NEXT TRY", "REPLY")
        rows = (
            (
                one.id,
                one.type,
                one.status.value,
                output.moment(one.made_at),
                str(one.tries),
                output.moment(one.next_try_at),
                one.reply,
            )
            for one in found
        )
        output.show_table(columns, rows)

    with_ledger(ctx, work)
