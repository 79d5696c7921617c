"""``dispatcher plan``: what lies ahead of an instance, why it is so, and an admin's decision by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from dispatcher.app import open_app, see_ledger
from dispatcher.cli import output
from dispatcher.cli.choices import Json, Set, settings_of_fields
from dispatcher.cli.inspect import with_ledger
from dispatcher.cli.main import cli, settings_of
from dispatcher.domain.plan import Move, Plan, PlannedStep, PlanState, StepStatus
from dispatcher.flow.plans import Wish, find_plan, next_step, plan_json, turn_type, wished
from dispatcher.flow.present import event_json
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.plans import PlanFilter

LISTED = 50

plan = typer.Typer(
    help="What is planned for an instance: list it, show it, approve, move or cancel it.",
    epilog="Example: dispatcher plan show update-2027-1 --instance contoso-prod",
    no_args_is_help=True,
)
cli.add_typer(plan, name="plan")

Which = Annotated[
    str,
    typer.Argument(
        metavar="PLAN", help="A plan's id, or what it is about (`update-2027-1`) with --instance."
    ),
]
InstanceOption = Annotated[str | None, typer.Option("--instance", help="Its instance.", show_default=False)]
_EVERYTHING = "All of the cadence's steps, also those that were superseded."


@plan.command("list", epilog="Example: dispatcher plan list --instance contoso-prod")
def list_(
    ctx: typer.Context,
    instance: InstanceOption = None,
    subject: Annotated[
        str | None, typer.Option("--about", help="What it is about: `update-2027-1`.", show_default=False)
    ] = None,
    cadence: Annotated[
        str | None, typer.Option(help="A cadence of the catalogue.", show_default=False)
    ] = None,
    state: Annotated[PlanState | None, typer.Option(help="Where it stands.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to list.")] = LISTED,
    json: Json = False,
) -> None:
    """List plans, the newest first: where each stands, its date, what is told next, and what is amiss."""

    async def work(ledger: Ledger) -> None:
        states = () if state is None else (state,)
        wanted = PlanFilter(instance=instance, subject=subject, cadence=cadence, states=states)
        found = await ledger.plans.list(wanted, limit=limit + 1)
        if json:
            output.print_json([plan_json(one) for one in found[:limit]])
            return
        if not found:
            output.say("There are no such plans.")
            return
        columns = ("PLAN", "ABOUT", "INSTANCE", "STATE", "DATE", "NEXT", "AT")
        output.show_table(columns, map(_row, found[:limit]))
        if len(found) > limit:
            output.say(f"There are more than {limit}; --limit N shows more.")
        for one in found[:limit]:
            for warning in one.warnings:
                output.warn(f"{one.key.subject} at {one.key.instance}: {warning}")

    with_ledger(ctx, work)


def _row(found: Plan) -> tuple[str, ...]:
    step = next_step(found)
    next_ = (step.key, output.moment(step.due_at)) if step else ("", "")
    key = found.key
    return found.id, key.subject, key.instance, found.state.value, output.moment(found.anchor), *next_


@plan.command(epilog="Example: dispatcher plan show update-2027-1 --instance contoso-prod")
def show(
    ctx: typer.Context,
    which: Which,
    instance: InstanceOption = None,
    all_: Annotated[bool, typer.Option("--all", help=_EVERYTHING)] = False,
    json: Json = False,
) -> None:
    """Show a plan: its date, every step with its status and reason, and every turn that it took."""

    async def work(ledger: Ledger) -> None:
        found = await find_plan(ledger, which, instance)
        moves = await ledger.plans.moves(found.id)
        if json:
            output.print_json(plan_json(found, moves))
        else:
            _show(found, moves, everything=all_)

    with_ledger(ctx, work)


def _show(found: Plan, moves: Sequence[Move], *, everything: bool) -> None:
    for line in _head(found):
        output.show(line)
    output.show("")
    gone = {StepStatus.SUPERSEDED}
    shown = [step for step in found.steps if everything or step.status not in gone]
    output.show_table(("STEP", "TYPE", "DUE", "STATUS", "EVENT", "REASON"), map(_step, shown))
    if left := len(found.steps) - len(shown):
        output.say(f"{left} superseded; --all shows them too.")
    output.show("")
    output.show_table(("TURN", "AT", "DATE", "BY", "DELIVERY", "EVENT"), map(_move, moves))


def _head(found: Plan) -> Iterator[str]:
    key = found.key
    yield f"{found.id}: {key.subject} at {key.instance}, after {key.cadence}, revision {found.revision}"
    must = ", mandatory" if found.mandatory else ""
    yield f"state: {found.state.value}{must}"
    yield f"date: {output.moment(found.anchor)}"
    if found.alternate_at:
        yield f"alternate date: {output.moment(found.alternate_at)}"
    for warning in found.warnings:
        yield f"Warning: {warning}"


def _step(step: PlannedStep) -> tuple[str, ...]:
    due = output.moment(step.due_at)
    return step.key, step.type, due, step.status.value, step.event or "", step.reason


def _move(move: Move) -> tuple[str, ...]:
    moved = move.before is not None and move.before != move.after
    date = (
        f"{output.moment(move.before)} → {output.moment(move.after)}" if moved else output.moment(move.after)
    )
    by, delivery = (move.decision.by, move.decision.delivery) if move.decision else ("", "")
    return move.turn, output.moment(move.at), date, by, delivery, move.event


@plan.command(epilog="Example: dispatcher plan approve update-2027-1 --instance contoso-prod")
def approve(
    ctx: typer.Context, which: Which, instance: InstanceOption = None, set_: Set = None, json: Json = False
) -> None:
    """Approve the date, in the admins' place. What was approved is refused."""
    _turn(ctx, _Asked(which, instance, set_, json), Wish("approved"))


@plan.command(
    epilog="Example: dispatcher plan reschedule update-2027-1 --instance contoso-prod "
    "--to 2027-03-13T22:00+01:00 --by vendor"
)
def reschedule(
    ctx: typer.Context,
    which: Which,
    to: Annotated[str, typer.Option(help="The new date: a date and time with its offset.")],
    instance: InstanceOption = None,
    alternate: Annotated[
        str | None, typer.Option(help="The date to fall back to.", show_default=False)
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="admin: to one of the dates offered, and thereby approved; vendor: to any date, to be "
            "approved anew. Without it: to one of the dates offered, to be approved anew.",
            show_default=False,
        ),
    ] = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Move it to another date, until it starts: pending steps are superseded, and one mail tells of it."""
    fields = {"alternate_at": alternate, "rescheduled_by": by}
    given = {key: value for key, value in fields.items() if value is not None}
    _turn(ctx, _Asked(which, instance, set_, json), Wish("rescheduled", anchor=to, fields=given))


@plan.command(epilog="Example: dispatcher plan cancel update-2027-1 --instance contoso-prod")
def cancel(
    ctx: typer.Context, which: Which, instance: InstanceOption = None, set_: Set = None, json: Json = False
) -> None:
    """Say that it will not take place: nothing pending is told, and one mail says so."""
    _turn(ctx, _Asked(which, instance, set_, json), Wish("cancelled"))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which plan is meant, and what else its event is to say."""

    which: str
    instance: str | None
    options: list[str] | None
    json: bool


def _turn(ctx: typer.Context, asked: _Asked, wish: Wish) -> None:
    """Have the plan take a turn, and show what came of it."""
    settings = settings_of(ctx)
    output.mute_outages()

    async def run() -> None:
        see_ledger(settings)
        async with open_app(settings) as app:
            found = await find_plan(app.ledger, asked.which, asked.instance)
            catalogue = app.project.catalogue
            spec = catalogue.types[turn_type(catalogue, found, wish.turn)]
            given = settings_of_fields(spec, asked.options or ())
            submission = wished(catalogue, found, replace(wish, fields={**wish.fields, **given}), "cli")
            [accepted] = await app.submit([submission])
            event = await app.ledger.events.get(accepted.event)
            after = await app.ledger.plans.get(found.id)
            if asked.json:
                output.print_json({"event": event_json(event), "plan": plan_json(after)})
                return
            for line in _head(after):
                output.show(line)
            for warning in event.warnings:
                if not warning.endswith(after.warnings):  # what the plan is warned of stands above
                    output.warn(warning)

    asyncio.run(run())
