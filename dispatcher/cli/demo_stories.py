"""The demonstration's stories: what becomes of an update, and of an incident, while time passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lxml import html  # type: ignore[import-untyped]

from dispatcher.cli.demo_stage import Scene, Stage, StoryBroken, send_form
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.instance import Instance
from dispatcher.domain.moment import day_in
from dispatcher.domain.plan import Plan, PlanKey, StepStatus
from dispatcher.flow.decide_links import PATH

#: How long before now they begin, so that they are over by now.
BEHIND = timedelta(days=125)
UPDATE, INCIDENT = "update-2027-2", "INC-20500"
_MINUTE, _HOUR, _WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(weeks=1)
_UPDATES = ("update-scheduled", "update-reminder", "update-in-progress", "update-succeeded")
_INCIDENTS = ("major-service-incident", "service-restored", "post-incident-report")


@dataclass(frozen=True, slots=True)
class Story:
    """One story, as it went."""

    title: str
    scenes: Sequence[Scene]


async def incident(stage: Stage) -> Story | None:
    """Opened, two updates, restored; the report is due, is late, is sent. None if the root has no such types.

    Raises:
        StoryBroken: It did not go on.
        ServiceUnreachable: A service does not answer.
    """
    catalogue, places = stage.app.project.catalogue, _places(stage)[:2]
    if not set(_INCIDENTS) <= set(catalogue.types) or not places:
        return None
    stage.begin()
    began, names = stage.clock(), [place.id for place in places]

    async def say(what: str, type_: str, **fields: object) -> None:
        facts = {"incident": INCIDENT, "started_at": began.isoformat(), **fields}
        await stage.tell(what, type_, names, facts, INCIDENT)

    for what, status, minutes in (
        ("An incident is opened", "investigating", 0),
        ("First update", "identified", 40),
        ("Second update", "monitoring", 80),
    ):
        stage.clock.pass_until(began + minutes * _MINUTE)
        due = (stage.clock() + _HOUR).isoformat()
        news = _news(began, minutes // 40)
        await say(what, "major-service-incident", status=status, next_update_at=due, updates=news or None)
    stage.clock.pass_until(began + 2 * _HOUR)
    ended = stage.clock().isoformat()
    await say("Service is restored", "service-restored", restored_at=ended)
    owed = [one for one in await stage.app.ledger.obligations.of(INCIDENT) if one.owed]
    if owed:
        late = max(one.due_at for one in owed) + _MINUTE
        await stage.pass_until(late, "The report is late; its owners are reminded")
    await say("The report is sent", "post-incident-report", resolved_at=ended)
    return Story("An incident, from its opening to the report: one thread in the mailbox", stage.scenes)


def _news(began: datetime, number: int) -> list[dict[str, object]]:
    """What was told so far."""
    told = ("The cause is known, and a change is being taken back.", "The change is taken back.")
    return [
        {"at": (began + 40 * (index + 1) * _MINUTE).isoformat(), "text": text}
        for index, text in enumerate(told[:number])
    ]


async def update(stage: Stage) -> Story | None:
    """Announced, reminded of, moved by the link in the mail, reminded of anew, begun, done.

    None if the root has no such types.

    Raises:
        StoryBroken: It did not go on.
        ServiceUnreachable: A service does not answer.
    """
    catalogue, places = stage.app.project.catalogue, _places(stage)[:1]
    cadence = _cadence(catalogue)
    if cadence is None or not places:
        return None
    stage.begin()
    key, zone = PlanKey(cadence, UPDATE, places[0].id), places[0].time_zone
    first = (stage.clock() + timedelta(days=95)).replace(hour=21, minute=0, second=0, microsecond=0)
    dates = [(first + number * _WEEK).isoformat() for number in range(3)]

    async def say(what: str, type_: str, **fields: object) -> None:
        await stage.tell(what, type_, [key.instance], {"update": UPDATE, "version": "10.1", **fields})

    await say(
        "An update is announced",
        "update-scheduled",
        scheduled_at=dates[0],
        alternate_at=dates[1],
        offered_dates=dates,
        decide_url=None,
    )
    await _next_step(stage, key, zone)
    await send_form(stage.here(stage.link(PATH)), "reschedule", _second_choice)
    await stage.settle("An admin follows the link in the mail and chooses another date")
    moved = await _plan(stage, key)
    if moved.revision != 2:
        raise StoryBroken(f"the plan of {key.subject} did not move: {moved.state}, revision {moved.revision}")
    while await _next_step(stage, key, zone):
        pass
    await _carry_out(stage, say, moved.anchor)
    return Story("An update, moved by the link in its mail", stage.scenes)


async def _carry_out(stage: Stage, say: Callable[..., Awaitable[None]], starts: datetime) -> None:
    stage.clock.pass_until(starts)
    begun = stage.clock().isoformat()
    await say("The update starts", "update-in-progress", started_at=begun, version=None)
    stage.clock.pass_until(starts + 3 * _HOUR)
    times = {"started_at": begun, "completed_at": stage.clock().isoformat()}
    await say("The update is done", "update-succeeded", version=None, **times)


async def _plan(stage: Stage, key: PlanKey) -> Plan:
    found = await stage.app.ledger.plans.find([key])
    if key not in found:
        raise StoryBroken(f"there is no plan of {key.subject} at {key.instance}")
    return found[key]


async def _next_step(stage: Stage, key: PlanKey, zone: str) -> bool:
    """Let time pass until the next step of the plan is due; False if none waits."""
    plan = await _plan(stage, key)
    due = min((step.due_at for step in plan.steps if step.status is StepStatus.PENDING), default=None)
    if due is None:
        return False
    days = (day_in(zone, plan.anchor) - day_in(zone, due)).days
    what = f"Time passes: {days} days before" if days else "The day has come"
    await stage.pass_until(due + _MINUTE, what)
    return True


def _second_choice(form: html.FormElement) -> None:
    """The first of the dates that are not the one that holds, and the next one as alternate."""
    choices = form.inputs["preferred"].value_options
    form.fields["preferred"] = choices[1]
    form.fields["alternate"] = choices[2]


def _cadence(catalogue: Catalogue) -> str | None:
    """The cadence of the catalogue by which updates are decided about."""
    if not set(_UPDATES) <= set(catalogue.types):
        return None
    found: Iterator[str] = (
        key
        for key, cadence in catalogue.cadences.items()
        if cadence.decisions and cadence.turn_of("update-scheduled") == "scheduled"
    )
    return next(found, None)


def _places(stage: Stage) -> Sequence[Instance]:
    """Production instances: those that are read in English first, and of these who have most to tell."""
    found = [one for one in stage.app.project.recipients.all() if one.kind == "production"]
    return sorted(
        found, key=lambda one: (one.language != "en", -len(one.admins) - len(one.recipients), one.id)
    )
