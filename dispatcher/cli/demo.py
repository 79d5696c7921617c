"""The demonstration: through ledger, queue, HTTP and SMTP into a mailbox.

Two stories first, in which time passes: a clock is passed in that is behind and is moved on. Then, now, one
event of every type.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dispatcher.app import App, open_app
from dispatcher.cli import output
from dispatcher.cli.demo_page import Group, write_page
from dispatcher.cli.demo_stage import SOURCE, WAIT_SECONDS, DemoClock, Scene, Stage, StoryBroken
from dispatcher.cli.demo_stories import BEHIND, Story, incident, update
from dispatcher.cli.main import EXIT_FAILED
from dispatcher.cli.run import redis_ready
from dispatcher.cli.wait import wait_for
from dispatcher.domain.delivery import Status
from dispatcher.domain.event import Event, Selection
from dispatcher.domain.fields import sample
from dispatcher.flow.submit import Submission
from dispatcher.ledger.deliveries import Filter
from dispatcher.settings import Secret, Settings
from dispatcher.smtp.catcher import Catcher, caught
from dispatcher.web.server import listen, serve
from dispatcher.worker import Worker

THREAD = "INC-20418"
HOST = "127.0.0.1"
#: Links of mails lead there unless the root says otherwise; the stories' browser finds it on this machine.
PUBLIC_URL = "https://notices.fabrikam.example"


@dataclass(frozen=True, slots=True)
class _Row:
    """What became of one type's event."""

    event: Event
    banner: str
    instances: Sequence[str]
    recipients: int
    sent: int


@dataclass(slots=True)
class _Told:
    """What was demonstrated.

    Attributes:
        ends: How many mails had arrived at the end of each story.
        broken: Why a story did not go on; empty if they all did.
    """

    rows: list[_Row] = field(default_factory=list)
    stories: list[Story] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    broken: str = ""

    def add(self, story: Story, mailbox: Path) -> None:
        """Take a story down, and show it."""
        self.stories.append(story)
        self.ends.append(len(caught(mailbox)))
        output.show(f"{story.title}\n")
        _show_scenes(story.scenes)
        output.show("")

    @property
    def recipients(self) -> int:
        """How many mails there should be."""
        scenes = sum(scene.recipients for story in self.stories for scene in story.scenes)
        return scenes + sum(row.recipients for row in self.rows)

    @property
    def sent(self) -> int:
        """How many mails the ledger says were sent."""
        scenes = sum(scene.sent for story in self.stories for scene in story.scenes)
        return scenes + sum(row.sent for row in self.rows)


def run_demo(settings: Settings) -> int:
    """Run it and return the exit code."""
    folder = settings.state_dir / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    told = uvloop.run(_demo(settings))
    output.show("One event of every type\n")
    _show(told.rows)
    mails, page = caught(folder / "mail"), folder / "index.html"
    starts = [0, *told.ends]
    groups = [
        Group(story.title, mails[start:end])
        for story, start, end in zip(told.stories, starts, told.ends, strict=False)
    ]
    write_page(page, groups, mails[starts[-1] :])
    seconds = time.monotonic() - began
    kinds = len(told.rows)
    output.say(
        f"\n{len(mails)} mails of {kinds} types went through ledger, queue and SMTP in {seconds:.1f} s."
    )
    output.say(f"Look at them: {page}")
    if told.broken:
        output.fail(f"A story broke off: {told.broken}.")
    # What was sent may have begun a series, whose first mail may be there as well.
    complete = told.sent == told.recipients <= len(mails)
    if not complete:
        words = f"There should be {told.recipients}; the ledger in {folder} tells what became of each."
        output.fail(words)
    return 0 if complete and told.sent and not told.broken else EXIT_FAILED


async def _demo(settings: Settings) -> _Told:
    told, clock = _Told(), DemoClock(BEHIND)
    async with _running(settings, clock) as (app, address):
        mailbox = app.settings.state_dir / "mail"
        stage = Stage(app, clock, mailbox, address)
        try:
            for story in (incident, update):
                if gone := await story(stage):
                    told.add(gone, mailbox)
        except StoryBroken as broken:
            told.broken = str(broken)
            told.add(Story("A story that broke off", stage.scenes), mailbox)
        clock.catch_up()
        told.rows = await _send_all(app)
    return told


@asynccontextmanager
async def _running(settings: Settings, clock: DemoClock) -> AsyncIterator[tuple[App, str]]:
    """A worker and the HTTP interface, on parts that are the demonstration's own; yields its address, too."""
    folder = settings.state_dir / "demo"
    listener = await listen(HOST, 0)
    port = listener.getsockname()[1]
    ours = replace(
        settings,
        state_dir=folder,
        database_url=Secret(f"sqlite:///{folder / 'ledger.db'}"),
        redis_url=None,
        smtp=None,
        public_url=settings.public_url or PUBLIC_URL,
        webhook_url=None,
        webhook_secrets=(),
    )
    with listener, Catcher(folder / "mail") as catcher:
        async with redis_ready(ours) as revive, open_app(ours, clock=clock) as app:
            stop = asyncio.Event()
            parts = [
                asyncio.create_task(Worker(app, catcher.address, revive).run(stop)),
                asyncio.create_task(serve(app, listener, stop, lambda _: None)),
            ]
            try:
                yield app, f"http://{HOST}:{port}"
            finally:
                stop.set()
                await asyncio.gather(*parts)


async def _send_all(app: App) -> list[_Row]:
    rows = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    types = app.project.catalogue.types
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("Sending", total=len(types))
        for key in types:
            progress.update(bar, description=f"{key:<24}")
            rows.append(await _send_one(app, key))
            progress.advance(bar)
    return rows


async def _send_one(app: App, key: str) -> _Row:
    """One event about all instances; those of the sample incident share its thread."""
    spec = app.project.catalogue.types[key]
    fields = sample(spec, app.clock())
    thread = THREAD if fields.get("incident") == THREAD else None
    submission = Submission(SOURCE, f"demo-{key}", key, Selection("all"), thread, fields)
    [accepted] = await app.submit([submission])
    await wait_for(app, accepted.event, WAIT_SECONDS, quiet=True)
    event = await app.ledger.events.get(accepted.event)
    found = await app.ledger.deliveries.list(Filter(event=event.id), with_attempts=False)
    return _Row(
        event=event,
        banner=app.project.catalogue.types[event.effective_type].banner or "–",
        instances=sorted({delivery.instance for delivery in found}),
        recipients=len(found),
        sent=event.counts.get(Status.SENT, 0),
    )


def _show(rows: Sequence[_Row]) -> None:
    output.show_table(
        ("TYPE", "BANNER", "INSTANCES", "RECIPIENTS", "SENT"),
        (
            (
                row.event.type,
                row.banner,
                ", ".join(row.instances) if len(row.instances) < 3 else f"{len(row.instances)} instances",
                str(row.recipients) if row.recipients else "nobody",
                str(row.sent) if row.recipients else f"– {row.event.reason}",
            )
            for row in rows
        ),
    )


def _show_scenes(scenes: Sequence[Scene]) -> None:
    output.show_table(
        ("WHEN", "WHAT HAPPENS", "TYPE", "MAILS"),
        (
            (
                f"{scene.at:%Y-%m-%d %H:%M}Z",
                scene.what,
                scene.event.type,
                str(scene.sent) if scene.recipients else f"– {scene.event.reason}",
            )
            for scene in scenes
        ),
    )
