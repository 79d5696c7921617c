"""``dispatcher cancel``, ``replay`` and ``release``: what a person puts right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from dispatcher.app import system_clock
from dispatcher.cli import output
from dispatcher.cli.choices import Json
from dispatcher.cli.inspect import last_reply, with_ledger
from dispatcher.cli.main import cli
from dispatcher.domain.delivery import Status
from dispatcher.domain.event import EventStatus
from dispatcher.errors import InvalidInput, Problem
from dispatcher.flow import repair
from dispatcher.flow.repair import Cancelled, Plan, carry_out, parse_since, plan_release, plan_replay
from dispatcher.flow.spans import number
from dispatcher.ledger.events import CANCELLED_EARLY
from dispatcher.ledger.ledger import Ledger

#: How long `cancel` waits for what is on its way, so that its numbers are final.
PATIENCE = 5.0

EventOption = Annotated[
    str | None, typer.Option("--event", help="An event's id, as `send` printed it.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


@cli.command(epilog="Example: dispatcher cancel change-4711")
def cancel(
    ctx: typer.Context,
    event: Annotated[str, typer.Argument(help="An event's id, ours or its source's.", metavar="EVENT")],
    json: Json = False,
) -> None:
    """Stop what has not been sent of an event, and say how many had been. Doing it again is harmless."""

    async def work(ledger: Ledger) -> None:
        done = await repair.cancel(ledger, await ledger.events.find(event), PATIENCE)
        if json:
            output.print_json(done.as_json())
        else:
            output.show(tell(done))

    with_ledger(ctx, work)


@cli.command(epilog="Example: dispatcher replay --since 2h --dry-run")
def replay(
    ctx: typer.Context,
    event: EventOption = None,
    delivery: Annotated[str | None, typer.Option(help="One delivery's id.", show_default=False)] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="What failed since then: a date, a date and time, or a span back from now (90m, 2h, 3d).",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Have what failed tried again, with all its tries before it; name at least one condition, all must hold.

    Failed deliveries go back into the queue and keep their Message-IDs. Failed events are expanded after
    all; of these, --since takes those that were accepted since then.
    """
    moment = None
    if since is not None:
        try:
            moment = parse_since(since, system_clock())
        except ValueError as error:
            fix = "write 2027-03-06, 2027-03-06T21:00Z, 90m, 2h or 3d"
            raise InvalidInput(Problem("--since", f"{since[:60]!r} {error}", fix)) from None
    elif event is None and delivery is None:
        what = "are missing: which of all that ever failed is meant"
        raise InvalidInput(Problem("--event, --delivery, --since", what, "give at least one of the three"))

    async def work(ledger: Ledger) -> None:
        named = None if event is None else await ledger.events.find(event)
        plan = await plan_replay(ledger, named, delivery, moment)
        await _do(ledger, plan, dry_run=dry_run, json=json)

    with_ledger(ctx, work)


@cli.command(epilog="Example: dispatcher release --event change-4711 --dry-run")
def release(
    ctx: typer.Context,
    deliveries: Annotated[
        list[str] | None, typer.Argument(help="Ids of deliveries.", metavar="DELIVERY", show_default=False)
    ] = None,
    event: EventOption = None,
    all_: Annotated[bool, typer.Option("--all", help="All that are held.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Send what is held after all: those deliveries, all of an event, or all.

    A delivery is held when nobody knows whether its mail arrived, and its type does not want a second copy.
    If the first one did arrive, the reader gets a second, with the same Message-ID. One that is held as
    `poison` ended three workers in a row; see in their logs why before you let it go. One that is held for
    an `incident` goes out by itself once that is over, and not before.
    """
    if sum((bool(deliveries), event is not None, all_)) != 1:
        what = "are given together" if deliveries or event or all_ else "are missing: which are meant"
        raise InvalidInput(Problem("DELIVERY, --event, --all", what, "give one of the three"))

    async def work(ledger: Ledger) -> None:
        named = None if event is None else await ledger.events.find(event)
        plan = await plan_release(ledger, named, deliveries or ())
        await _do(ledger, plan, dry_run=dry_run, json=json)

    with_ledger(ctx, work)


def tell(done: Cancelled) -> str:
    """What came of `cancel`, in words."""
    event, before = done.event, done.before
    head = (
        f"{event.id} was cancelled before, at {output.moment(before)}" if before else f"Cancelled {event.id}"
    )
    if event.status is not EventStatus.EXPANDED:
        why = "" if event.reason == CANCELLED_EARLY else f" ({event.reason})"
        return f"{head}: nothing was sent, and nothing will be{why}."
    stopped = done.count(Status.CANCELLED)
    parts = [f"{stopped:,} will not be sent" if stopped else "nothing was left to stop"]
    if rest := ", ".join(_rest(done)):
        parts.append(rest)
    doubt = ""
    if done.doubtful:
        doubt = (
            f" Of those stopped, {done.doubtful:,} may have arrived: nobody knows how their last try ended."
        )
    return f"{head}: {'; '.join(parts)}.{doubt}"


def _rest(done: Cancelled) -> Iterator[str]:
    """What became of the deliveries that could not be stopped any more."""
    ends = {
        Status.SENT: "had been sent",
        Status.FAILED: "had failed",
        Status.HELD: "had been held",
        Status.EXPIRED: "had expired",
        Status.SUPPRESSED: "had been suppressed",
    }
    for status, words in ends.items():
        if count := done.count(status):
            yield f"{count:,} {words}"
    if count := done.count(Status.SENDING):
        on_way = "was on its way" if count == 1 else "were on their way"
        yield f"{count:,} {on_way} and may still arrive"


async def _do(ledger: Ledger, plan: Plan, *, dry_run: bool, json: bool) -> None:
    moved, expanded = (plan.deliveries, len(plan.events)) if dry_run else await carry_out(ledger, plan)
    if json:
        output.print_json(_json(plan, moved, dry_run=dry_run))
        return
    if dry_run and (plan.deliveries or plan.events):
        _show(plan)
    if moved or expanded or not (plan.left_out or plan.waiting):
        output.show(_sum(plan, moved, expanded, dry_run=dry_run))
    for note in _notes(plan):
        output.say(note)


def _sum(plan: Plan, moved: int, expanded: int, *, dry_run: bool) -> str:
    """What was done, or would be."""
    if not moved and not expanded:
        failed = plan.kind == "replayed"
        return f"There is nothing to do: nothing of that kind {'has failed' if failed else 'is held'}."
    done = []
    if moved:
        done.append(f"{number(moved, 'delivery', 'deliveries')} {plan.kind}, due now")
    if expanded:
        done.append(f"{number(expanded, 'failed event')} to be expanded again")
    text = "; ".join(done)
    return f"Nothing was changed. Without --dry-run: {text}." if dry_run else f"{text}."


def _notes(plan: Plan) -> Iterator[str]:
    """What to know of deliveries that go back."""
    doubtful = sum(share.doubtful for share in plan.shares)
    poison = sum(share.poison for share in plan.shares)
    expired = sum(share.expired for share in plan.shares)
    if doubtful:
        yield (
            f"{doubtful:,} of these may arrive as a second copy, with the same Message-ID: "
            "nobody knows whether the first arrived."
        )
    if poison:
        verb = "was" if poison == 1 else "were"
        yield f"{poison:,} of these {verb} held as poison: three workers in a row ended while sending it."
    if expired:
        yield f"{expired:,} of these will not be sent: what they announce is over."
    if plan.waiting:
        stay = number(plan.waiting, "delivery stays", "deliveries stay")
        yield f"{stay} held: a major incident affects the instance. They go out by themselves after it."
    if plan.left_out:
        left = number(plan.left_out, "delivery stays", "deliveries stay")
        yield f"{left} as before, because the event was cancelled."


def _show(plan: Plan) -> None:
    rows = [(share.event, share.type, f"{share.deliveries:,}") for share in plan.shares]
    rows += [(event.id, event.type, f"all, though it failed: {event.reason}") for event in plan.events]
    output.show_table(("EVENT", "TYPE", "DELIVERIES"), rows)
    if plan.shown:
        output.show("")
        listed = ((one.id, one.address, one.reason, last_reply(one)) for one in plan.shown)
        output.show_table(("DELIVERY", "ADDRESS", "REASON", "LAST REPLY"), listed)
    output.show("")


def _json(plan: Plan, moved: int, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "deliveries": moved,
        "events": [
            {"event": share.event, "type": share.type, "deliveries": share.deliveries}
            for share in plan.shares
        ],
        "failed_events": [event.id for event in plan.events],
        "doubtful": sum(share.doubtful for share in plan.shares),
        "poison": sum(share.poison for share in plan.shares),
        "expired": sum(share.expired for share in plan.shares),
        "left_out": plan.left_out,
        "waiting": plan.waiting,
    }
