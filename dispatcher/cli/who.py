"""``dispatcher who``: who gets a mail, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from dispatcher.app import has_ledger, open_project, system_clock
from dispatcher.cli import output
from dispatcher.cli.choices import Json, Set, instance_of, settings_of_fields, type_of
from dispatcher.cli.inspect import with_ledger
from dispatcher.cli.main import cli, settings_of
from dispatcher.domain.audience import Recipient
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.who import Who, told
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.suppressions import Suppression


@cli.command(
    epilog="Example: dispatcher who planned-maintenance --instance contoso-prod --not boss@contoso.example"
)
def who(
    ctx: typer.Context,
    type: Annotated[str, typer.Argument(help="A communication type.", metavar="TYPE")],  # noqa: A002
    instance: Annotated[str, typer.Option(help="The instance's id.")],
    set_: Set = None,
    not_: Annotated[
        str | None, typer.Option("--not", metavar="ADDRESS", help="Say why this address does not get it.")
    ] = None,
    json: Json = False,
) -> None:
    """Say who would get a mail of a type now, and why; or why somebody would not."""
    project = open_project(settings_of(ctx))
    spec = type_of(project, type)
    found = instance_of(project, instance)
    question = Who(project.catalogue, type, found, settings_of_fields(spec, set_ or ()), system_clock())
    if question.optional:
        question.opted_out = _opted_out(ctx, question.type)
    if spec.audience.told:
        output.say(f"With a thread, {type} goes to those who were told of the incident instead.")
    if "contact" in spec.audience.roles and not any(one.startswith("contact=") for one in set_ or ()):
        output.say("The contact of the case gets it as well; --set contact=ADDRESS shows them too.")
    if not_ is not None:
        _absence(question, not_, json=json)
    elif json:
        output.print_json([recipient_json(recipient) for recipient in question.recipients()])
    elif question.nobody:
        output.say(f"Nobody gets {type} by mail: {question.nobody}.")
    else:
        _table(question.recipients())
        _omitted(question)


def _opted_out(ctx: typer.Context, type_: str) -> Mapping[tuple[str, str], Suppression]:
    """Who opted out of the type: nobody where there is no ledger; where it is away, nobody knows."""
    found: dict[tuple[str, str], Suppression] = {}

    async def work(ledger: Ledger) -> None:
        found.update(await ledger.suppressions.standing(type_=type_))

    if has_ledger(settings_of(ctx)):
        try:
            with_ledger(ctx, work)
        except ServiceUnreachable as error:
            output.warn(f"Who opted out is not known. {error}")
    return found


def _omitted(question: Who) -> None:
    """Those whom the lists name, and who do not want it."""
    for one in question.named():
        if opt_out := question.opt_out(one.address):
            output.say(f"{one.address} is left out: {told(opt_out)}.")


def recipient_json(recipient: Recipient) -> dict[str, object]:
    """A recipient as JSON."""
    return {
        "address": recipient.address,
        "name": recipient.name,
        "language": recipient.language,
        "time_zone": recipient.time_zone,
        "reasons": [{"role": reason.role, "at": reason.at} for reason in recipient.reasons],
    }


def _absence(question: Who, address: str, *, json: bool) -> None:
    why_not = question.why_not(address)
    why = question.reasons(address)
    if json:
        output.print_json({"address": address, "gets": not why_not, "why": why_not or why})
    elif why_not:
        output.show(f"{address} does not get it:")
        for reason in why_not:
            output.show(f"  {reason}")
    else:
        output.show(f"{address} does get it: {', '.join(why)}")


def _table(recipients: tuple[Recipient, ...]) -> None:
    output.show_table(
        ("ADDRESS", "NAME", "LANGUAGE", "TIME ZONE", "REASONS"),
        (
            (
                recipient.address,
                recipient.name or "",
                recipient.language,
                recipient.time_zone,
                ", ".join(f"{reason.role} {reason.at}" for reason in recipient.reasons),
            )
            for recipient in recipients
        ),
    )
