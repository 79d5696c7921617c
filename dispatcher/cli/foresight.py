"""What ``simulate`` and ``timeline`` share: from options to rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from dispatcher.app import Project, open_ledger, open_project, see_ledger, system_clock
from dispatcher.cli.choices import instance_of, type_of
from dispatcher.cli.event_files import happenings_of
from dispatcher.cli.main import settings_of
from dispatcher.domain.plan import Plan
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.foresight.imagined import Start
from dispatcher.flow.foresight.outlook import Row, period_of
from dispatcher.flow.foresight.rules import Happening, Rules, View
from dispatcher.flow.foresight.simulate import Simulation
from dispatcher.flow.foresight.start import rules_of, start_of


@dataclass(frozen=True, slots=True)
class Asked:
    """The options, as they were given."""

    first: str
    last: str
    events: tuple[Path, ...] = ()
    empty: bool = False
    instance: str | None = None
    type: str | None = None
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What came of it.

    Attributes:
        warnings: What the senders of the events would be told.
        plans: As they are at the end.
    """

    rows: Sequence[Row]
    warnings: Sequence[str]
    plans: Sequence[Plan]
    project: Project


def foreseen(ctx: typer.Context, asked: Asked) -> Foreseen:
    """Play it through.

    Raises:
        EventInvalid: An option or a file of events is wrong.
        CatalogueInvalid: ``catalogue.yaml`` is missing or wrong.
        ServiceUnreachable: The ledger cannot be read, where it is asked for.
    """
    period = period_of(asked.first, asked.last)
    project = open_project(settings_of(ctx))
    project.recipients.refresh()
    if asked.instance is not None:
        instance_of(project, asked.instance)
    if asked.type is not None:
        type_of(project, asked.type)
    events = happenings_of(asked.events, period, project.recipients)
    rules = rules_of(project.catalogue, project.recipients)
    start = Start() if asked.empty else asyncio.run(_start(project, rules, events))
    simulation = Simulation(rules, start)
    rows = simulation.run(events, period, View(asked.instance, asked.type, asked.aside))
    plans = sorted(simulation.plans.values(), key=lambda plan: plan.key)
    return Foreseen(rows, list(simulation.told_to_senders()), plans, project)


async def _start(project: Project, rules: Rules, events: Sequence[Happening]) -> Start:
    try:
        see_ledger(project.settings)
    except ServiceUnreachable as error:
        raise ServiceUnreachable(error.service, f"{error} Or give --empty, to begin with nothing.") from None
    async with open_ledger(project.settings, existing=True) as ledger:
        return await start_of(ledger, rules, [one.submission for one in events], system_clock())
