"""``dispatcher diff``: who gains and who loses which mail by a change."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated

import typer

from dispatcher.app import open_project, system_clock
from dispatcher.cli import output
from dispatcher.cli.choices import Json
from dispatcher.cli.main import cli, settings_of
from dispatcher.files.at_ref import root_at
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.foresight.difference import (
    Change,
    Side,
    StepChange,
    change_json,
    changes,
    step_change_json,
    step_changes,
)
from dispatcher.flow.foresight.told_ahead import named
from dispatcher.flow.spans import number


@cli.command(epilog="Example: dispatcher diff HEAD; dispatcher diff main --json")
def diff(
    ctx: typer.Context,
    old_ref: Annotated[str, typer.Argument(help="A commit, branch or tag of git.", metavar="OLD_REF")],
    json: Json = False,
) -> None:
    """Say who gains and who loses which mail, against recipients and catalogue as git has them there."""
    project = open_project(settings_of(ctx), cached=False)
    new = Side(project.catalogue, project.recipients)
    for broken in project.recipients.refresh():
        output.warn(f"{broken.file} is left out: {broken.problems[0]}")
    with root_at(project.settings.root, old_ref) as folder:
        catalogue = load_catalogue(folder / "catalogue.yaml")
        old = Side(catalogue, RecipientStore(folder, cache=None, audience_keys=catalogue.audience_keys))
        for broken in old.recipients.refresh():
            output.warn(f"{broken.file} at {old_ref} is left out: {broken.problems[0]}")
        people = list(changes(old, new, system_clock().date()))
        steps = list(step_changes(old.catalogue, new.catalogue))
    if json:
        output.print_json([*map(change_json, people), *map(step_change_json, steps)])
    else:
        _show(people, steps, old_ref)


def _show(people: Sequence[Change], steps: Sequence[StepChange], ref: str) -> None:
    if not people and not steps:
        output.say(f"Nobody gains or loses a mail against {ref}.")
        return
    for instance, found in groupby(people, lambda one: one.instance):
        output.show(instance)
        _show_instance(list(found))
    for step in steps:
        output.show(f"{step.cadence}, step {step.step}")
        for sign, words in (("-", step.before), ("+", step.after)):
            if words:
                output.show(f"  {sign} {words}")
    gained = sum(one.kind == "gains" for one in people)
    differ = f"{number(len(steps), 'step')} {'differs' if len(steps) == 1 else 'differ'}"
    output.say(f"{gained} gained, {len(people) - gained} lost; {differ}.")


def _mail(change: Change) -> str:
    return f"{change.type} ({change.step})" if change.step else change.type


def _show_instance(found: Sequence[Change]) -> None:
    """An address's gains and losses for the same reasons are one entry, whatever the types."""
    alike: dict[tuple[object, ...], list[Change]] = {}
    for one in found:
        alike.setdefault((one.kind, one.address, one.since, one.reasons), []).append(one)
    for same in alike.values():
        first = same[0]
        sign = "+" if first.kind == "gains" else "-"
        output.show(f"  {sign} {first.address} {first.kind} {named([_mail(one) for one in same])}")
        since = f" from {first.since.isoformat()} on" if first.since > system_clock().date() else ""
        side = "now" if first.kind == "gains" else "was"
        output.show(f"      {side} {', '.join(first.reasons)}{since}")
        for why in dict.fromkeys(why for one in same for why in one.because[:1]):
            output.show(f"      {'before' if first.kind == 'gains' else 'now'}: {why}")
            break
