"""What the ledger knows: ``events``, ``deliveries``, ``explain``; and ``config``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import typer

from dispatcher.app import open_ledger
from dispatcher.cli import output
from dispatcher.cli.choices import Json
from dispatcher.cli.main import cli, settings_of
from dispatcher.domain.delivery import Delivery, Status
from dispatcher.flow.explain import explain as explain_flow
from dispatcher.flow.explain import tell
from dispatcher.flow.present import delivery_json, event_json
from dispatcher.ledger.deliveries import Filter
from dispatcher.ledger.ledger import Ledger

LISTED = 50
#: Where somebody may want to name a delivery.
_REPAIRED = {Status.FAILED, Status.HELD}


def with_ledger(
    ctx: typer.Context, work: Callable[[Ledger], Awaitable[None]], *, existing: bool = True
) -> None:
    """Run `work` on the open ledger, which must be there already unless `existing` is false."""

    async def run() -> None:
        async with open_ledger(settings_of(ctx), existing=existing) as ledger:
            await work(ledger)

    asyncio.run(run())


@cli.command(epilog="Example: dispatcher events --json | head")
def events(
    ctx: typer.Context,
    id: Annotated[  # noqa: A002
        str | None, typer.Argument(help="One event's id; all without it.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to list.")] = LISTED,
    json: Json = False,
) -> None:
    """List the newest events, or show one."""

    async def work(ledger: Ledger) -> None:
        if id is not None:
            event = await ledger.events.find(id)
            if json:
                output.print_json(event_json(event))
            else:
                await _tell(ledger, event.id)
            return
        found = await ledger.events.list(limit)
        if json:
            output.print_json([event_json(event) for event in found])
            return
        rows = []
        for event in found:
            counts = ", ".join(f"{number:,} {status}" for status, number in sorted(event.counts.items()))
            rows.append(
                (event.id, output.moment(event.accepted_at), event.type, event.status, counts or event.reason)
            )
        output.show_table(("EVENT", "ACCEPTED", "TYPE", "STATUS", "DELIVERIES"), rows)

    with_ledger(ctx, work)


@cli.command(epilog="Example: dispatcher deliveries --status failed --json")
def deliveries(
    ctx: typer.Context,
    event: Annotated[
        str | None, typer.Option(help="An event's id, as `send` printed it.", show_default=False)
    ] = None,
    address: Annotated[str | None, typer.Option(help="A recipient's address.", show_default=False)] = None,
    status: Annotated[
        Status | None, typer.Option(help="Where the deliveries stand.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="How many; the table shows 50, --json all.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """List deliveries: who was sent what, every attempt and reply."""

    async def work(ledger: Ledger) -> None:
        name = None if event is None else (await ledger.events.find(event)).id
        wanted = Filter(event=name, address=address, status=status)
        if json:
            await _print_all(ledger, wanted, limit)
        else:
            _table(
                await ledger.deliveries.list(wanted, limit=(limit or LISTED) + 1, with_attempts=True),
                limit or LISTED,
            )

    with_ledger(ctx, work)


async def _print_all(ledger: Ledger, wanted: Filter, limit: int | None) -> None:
    printer = output.JsonRows()
    left = limit
    async for delivery in ledger.deliveries.stream(wanted, with_attempts=True):
        if left is not None:
            if left <= 0:
                break
            left -= 1
        printer.add(delivery_json(delivery))
    printer.close()


def _table(found: Sequence[Delivery], limit: int) -> None:
    if not found:
        output.say("There are no such deliveries.")
        return
    columns = ["EVENT", "INSTANCE", "ADDRESS", "STATUS", "TRIES", "NEXT TRY", "LAST REPLY"]
    rows = [
        [
            delivery.event,
            ", ".join(delivery.instances),
            delivery.address,
            delivery.status.value,
            str(delivery.tries),
            output.moment(delivery.next_try_at),
            last_reply(delivery),
        ]
        for delivery in found[:limit]
    ]
    if {delivery.status for delivery in found} <= _REPAIRED:
        # `replay` and `release` take these ids; elsewhere they would only take room.
        columns = ["DELIVERY", *columns, "REASON"]
        rows = [[delivery.id, *row, delivery.reason] for delivery, row in zip(found, rows, strict=False)]
    output.show_table(columns, rows)
    if len(found) > limit:
        output.say(f"There are more than {limit}; --limit N shows more, --json all.")


def last_reply(delivery: Delivery) -> str:
    """What the SMTP server said last, or what happened instead; as much as a table has room for."""
    last = delivery.attempts[-1] if delivery.attempts else None
    return f"{last.code or ''} {last.reply}".strip()[:80] if last else ""


@cli.command(epilog="Example: dispatcher explain ops@contoso.example")
def explain(
    ctx: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            help="An event's id, ours or its source's, an address or a Message-ID.", metavar="WHAT"
        ),
    ],
    json: Json = False,
) -> None:
    """Tell the whole story of an event, an address or a message."""

    async def work(ledger: Ledger) -> None:
        if not json:
            await _tell(ledger, what)
            return
        stories = await explain_flow(ledger, what)
        output.print_json(
            [
                {
                    "event": event_json(story.event),
                    "deliveries": [delivery_json(delivery) for delivery in story.deliveries],
                    "left_out": story.left_out,
                }
                for story in stories
            ]
        )

    with_ledger(ctx, work)


async def _tell(ledger: Ledger, what: str) -> None:
    for story in await explain_flow(ledger, what):
        output.show("\n".join(tell(story)))


@cli.command(epilog="Example: dispatcher config --json")
def config(ctx: typer.Context, json: Json = False) -> None:
    """Print the settings in force and where each came from, secrets masked."""
    settings = settings_of(ctx)
    rows = [(name, text, settings.sources[name]) for name, text in settings.shown.items()]
    if json:
        output.print_json([{"name": name, "value": text, "source": source} for name, text, source in rows])
    else:
        output.show_table(("SETTING", "VALUE", "FROM"), rows)
