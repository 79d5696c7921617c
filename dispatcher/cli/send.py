"""``dispatcher send``: an event from the command line."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated

import typer

from dispatcher.app import App, open_app, system_clock
from dispatcher.cli import output
from dispatcher.cli.choices import Data, Json, Set, fields_of, type_of
from dispatcher.cli.main import EXIT_FAILED, EXIT_UNREACHABLE, cli, settings_of
from dispatcher.cli.wait import Waited, wait_for
from dispatcher.domain.event import Event, EventStatus, Selection
from dispatcher.domain.fields import sample as examples
from dispatcher.errors import EventInvalid, Problem
from dispatcher.flow.submit import OURS, Accepted, Submission, is_ours


@cli.command(
    epilog="Example: dispatcher send planned-maintenance --instance contoso-prod --sample "
    '--set "summary=Storage is replaced" --wait'
)
def send(
    ctx: typer.Context,
    type: Annotated[str, typer.Argument(help="A communication type.", metavar="TYPE")],  # noqa: A002
    instance: Annotated[
        list[str] | None, typer.Option(help="An instance's id; repeatable.", show_default=False)
    ] = None,
    region: Annotated[str | None, typer.Option(help="All instances of a region.", show_default=False)] = None,
    all_: Annotated[bool, typer.Option("--all", help="All instances.")] = False,
    thread: Annotated[
        str | None, typer.Option(help="Joins the events of one incident.", show_default=False)
    ] = None,
    set_: Set = None,
    data: Data = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Fill fields with the catalogue's examples.")
    ] = False,
    id_: Annotated[
        str | None,
        typer.Option("--id", help="The event's id; a repeat sends nothing.", show_default=False),
    ] = None,
    source: Annotated[str, typer.Option(help="Who says so.")] = "cli",
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Wait until each delivery was sent, failed or put off once, and tell how far it is.",
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait at most.")] = 300.0,
    json: Json = False,
) -> None:
    """Send an event: commit it, wake a worker, and print its id."""
    settings = settings_of(ctx)
    output.mute_outages()

    async def run() -> int:
        async with open_app(settings) as app:
            spec = type_of(app.project, type)
            given = fields_of(spec, set_, data)
            chosen = _selection(instance or [], region, everything=all_)
            if chosen is None and not (thread and spec.audience.told):
                fix = "give --instance ID, --region NAME or --all"
                raise EventInvalid(Problem("--instance", "is missing: which instances is it about", fix))
            if is_ours(source):
                raise EventInvalid(Problem("--source", f"{OURS!r} is ours", "name who says so"))
            submission = Submission(
                source=source,
                id=uuid.uuid4().hex if id_ is None else id_,
                type=type,
                selection=chosen,
                thread=thread,
                fields=examples(spec, system_clock()) | given if sample else given,
                # Two samples are one event if the same was said, though their dates moved with the clock.
                said={"sample": True, "fields": given} if sample else None,
            )
            [accepted] = await app.submit([submission])
            _tell(app, accepted, json=json)
            waited = await wait_for(app, accepted.event, timeout, quiet=json) if wait else None
            event = await app.ledger.events.get(accepted.event)
            if json:
                output.print_json(_json(event, accepted))
            elif waited:
                _outcome(event)
            return _exit_code(waited)

    raise typer.Exit(asyncio.run(run()))


def _selection(instances: list[str], region: str | None, *, everything: bool) -> Selection | None:
    names = tuple(name.strip() for option in instances for name in option.split(",") if name.strip())
    if sum((bool(names), region is not None, everything)) > 1:
        fix = "give only one of the three"
        raise EventInvalid(Problem("--instance, --region, --all", "are given together", fix))
    if everything:
        return Selection("all")
    if region is not None:
        return Selection("region", (region,))
    return Selection("instances", names) if names else None


def _tell(app: App, accepted: Accepted, *, json: bool) -> None:
    if not json:
        output.show(accepted.event)
    if accepted.duplicate:
        output.say("This event had been accepted before; nothing new is sent.")
    if not accepted.woken:
        why = f" ({app.bell.trouble.rstrip('.')})" if app.settings.redis_url else ""
        output.warn(
            f"no worker could be woken{why}. The event is safe in the ledger: a worker that runs finds it "
            "within seconds; if none does, start one: dispatcher up"
        )


def _json(event: Event, accepted: Accepted) -> dict[str, object]:
    return {
        "event": event.id,
        "id": event.external_id,
        "source": event.source,
        "type": event.type,
        "effective_type": event.effective_type,
        "duplicate": accepted.duplicate,
        "status": event.status.value,
        "reason": event.reason,
        "warnings": list(event.warnings),
        "deliveries": {status.value: number for status, number in event.counts.items()},
    }


def _outcome(event: Event) -> None:
    if event.status is EventStatus.RECORDED:
        output.say(f"Nobody is mailed: {event.reason}.")
        return
    if event.status is EventStatus.FAILED:
        output.fail(f"The event failed: {event.reason}.")
        return
    for status, number in sorted(event.counts.items()):
        output.show(f"{number:,} {status}")
    for warning in event.warnings:
        output.warn(warning)


def _exit_code(waited: Waited | None) -> int:
    if waited is None or waited.done:
        return EXIT_FAILED if waited and waited.failed else 0
    output.warn(waited.why)
    return EXIT_UNREACHABLE if waited.unreachable else EXIT_FAILED
