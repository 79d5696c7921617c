"""``dispatcher obligations``: what customers are owed, by when, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from dispatcher.cli import output
from dispatcher.cli.choices import Json
from dispatcher.cli.inspect import with_ledger
from dispatcher.cli.main import cli
from dispatcher.cli.status import span
from dispatcher.domain.incident import Obligation
from dispatcher.flow.owed import obligation_json, standing, to_do
from dispatcher.ledger.ledger import Ledger

_EXAMPLES = "Example: dispatcher obligations --incident INC-20418"


@cli.command(epilog=_EXAMPLES)
def obligations(
    ctx: typer.Context,
    incident: Annotated[
        str | None,
        typer.Option("--incident", help="All that ever was owed for this incident.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """List which updates and reports are owed for incidents, by when, and what is overdue by how much."""

    async def work(ledger: Ledger) -> None:
        now = ledger.database.now()
        if incident is None:
            found = await ledger.obligations.owed()
        else:
            found = await ledger.obligations.of((await ledger.incidents.get(incident)).key)
        if json:
            output.print_json([obligation_json(one, now) for one in found])
        elif found:
            _show(found, now)
        else:
            output.say("Nothing is owed.")

    with_ledger(ctx, work)


def _show(found: Sequence[Obligation], now: datetime) -> None:
    rows = ((one.incident, one.owes, output.moment(one.due_at), _word(one, now), _how(one)) for one in found)
    output.show_table(("INCIDENT", "OWES", "BY", "STATUS", "TO DO"), rows)


def _word(one: Obligation, now: datetime) -> str:
    late = one.overdue(now)
    return standing(one, now) if late is None else f"overdue by {span(int(late.total_seconds()))}"


def _how(one: Obligation) -> str:
    """What to do; of what is settled, how it was."""
    if one.met_at is not None:
        return f"met by {one.met_by} at {output.moment(one.met_at)}"
    reminded = f" (reminded {one.reminders} times)" if one.reminders > 1 else ""
    return one.ended or f"{to_do(one)}{reminded}"
