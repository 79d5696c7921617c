"""The demonstration: one event of every type, through ledger, queue and SMTP, into a mailbox."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dispatcher.app import App, open_app
from dispatcher.cli import output
from dispatcher.cli.demo_page import write_page
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
from dispatcher.worker import Worker

THREAD = "INC-20418"
WAIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Row:
    """What became of one type's event."""

    event: Event
    banner: str
    instances: Sequence[str]
    recipients: int
    sent: int


def run_demo(settings: Settings) -> int:
    """Run it and return the exit code."""
    folder = settings.state_dir / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    ours = replace(
        settings,
        state_dir=folder,
        database_url=Secret(f"sqlite:///{folder / 'ledger.db'}"),
        redis_url=None,
        smtp=None,
    )
    folder.mkdir(parents=True)
    began = time.monotonic()
    rows = uvloop.run(_demo(ours))
    _show(rows)
    mails = caught(folder / "mail")
    page = folder / "index.html"
    write_page(page, mails)
    sent = sum(row.sent for row in rows)
    seconds = time.monotonic() - began
    output.say(f"\n{sent} mails of {len(rows)} types went through ledger, queue and SMTP in {seconds:.1f} s.")
    output.say(f"Look at them: {page}")
    complete = sent == len(mails) == sum(row.recipients for row in rows)
    if not complete:
        output.fail(f"Of these, {len(mails)} arrived; the ledger in {folder} tells what became of each.")
    return 0 if complete and sent else EXIT_FAILED


async def _demo(settings: Settings) -> list[_Row]:
    catcher = Catcher(settings.state_dir / "mail")
    with catcher:
        async with redis_ready(settings) as revive, open_app(settings) as app:
            stop = asyncio.Event()
            work = asyncio.create_task(Worker(app, catcher.address, revive).run(stop))
            try:
                return await _send_all(app)
            finally:
                stop.set()
                await work


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
    submission = Submission("demo", f"demo-{key}", key, Selection("all"), thread, fields)
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
