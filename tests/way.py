"""The way of an event with all its parts in one process: a ledger, files, a real SMTP server, no Redis."""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from clock import Clock, Monotonic
from program import PROJECT
from smtp_server import SmtpServer

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Delivery
from dispatcher.domain.event import Selection
from dispatcher.domain.fields import sample
from dispatcher.files.catalogue_file import load_catalogue
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.attempt import Terms
from dispatcher.flow.deliver import Deliver
from dispatcher.flow.expand import Expand
from dispatcher.flow.schedule import Schedule
from dispatcher.flow.submit import Submission, Submit
from dispatcher.flow.sweep import Sweep, Sweeper, Watches
from dispatcher.ledger import Filter, Ledger
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.translations import Translations
from dispatcher.queue.bell import Bell
from dispatcher.smtp.relay import Relay

CONTOSO = """\
instance: contoso-prod
name: Contoso Production
time_zone: Europe/Berlin
admins: [a@contoso.example, b@contoso.example]
recipients: [c@contoso.example]
"""
NORTHWIND = "instance: northwind-prod\nadmins: [a@contoso.example, n@northwind.example]\n"


@dataclass
class Way:
    """The parts of the way, and short words for going it."""

    root: Path
    catalogue: Catalogue
    ledger: Ledger
    clock: Clock
    submit: Submit
    expand: Expand
    deliver: Deliver
    sweep: Sweep
    monotonic: Monotonic
    server: SmtpServer
    recipients: RecipientStore
    schedule: Schedule

    async def accept(
        self,
        key: str,
        *,
        instances: Sequence[str] = ("contoso-prod",),
        thread: str | None = None,
        id_: str = "1",
        **fields: Any,
    ) -> str:
        """Submit an event with the type's examples, and give its id."""
        values = sample(self.catalogue.types[key], self.clock()) | fields
        chosen = Selection("instances", tuple(instances)) if instances else None
        [accepted] = await self.submit([Submission("test", id_, key, chosen, thread, values)])
        return accepted.event

    async def go(self, key: str, **choices: Any) -> list[Delivery]:
        """Submit, expand and deliver once; what became of it."""
        event = await self.accept(key, **choices)
        await self.expand(event)
        await self.deliver(self.catalogue.types[key].lane)
        return await self.rows(event)

    async def swept(self) -> None:
        """One sweep, and what it begins itself because there is no bell."""
        await self.sweep()
        await self.sweep.settled()

    async def sweeps(self, seconds: float, step: float = 2.0) -> None:
        """Sweep every `step` seconds for so long; both clocks move on."""
        for _ in range(round(seconds / step)):
            self.monotonic.now += step
            self.clock.advance(seconds=step)
            await self.swept()

    async def rows(self, event: str) -> list[Delivery]:
        """The event's deliveries with their attempts, by address."""
        found = await self.ledger.deliveries.list(Filter(event=event), with_attempts=True)
        return sorted(found, key=lambda one: one.address)


@asynccontextmanager
async def open_way(
    ledger: Ledger, clock: Clock, tmp_path: Path, public_url: str | None = None
) -> AsyncIterator[Way]:
    """All parts over that ledger; files are laid out under `tmp_path`."""
    root = tmp_path / "root"
    shutil.copytree(PROJECT / "templates", root / "templates")
    shutil.copyfile(PROJECT / "catalogue.yaml", root / "catalogue.yaml")
    (root / "recipients").mkdir()
    (root / "recipients" / "contoso-prod.yaml").write_text(CONTOSO, encoding="utf-8")
    (root / "recipients" / "northwind-prod.yaml").write_text(NORTHWIND, encoding="utf-8")
    catalogue = load_catalogue(root / "catalogue.yaml", templates=root / "templates")
    recipients = RecipientStore(root, cache=None, audience_keys=catalogue.audience_keys)
    bell = Bell(f"unix://{tmp_path}/nobody.sock", token=lambda: "word")
    renderer = Renderer(root / "templates", Translations(root))
    monotonic = Monotonic()
    async with SmtpServer() as server:
        relay = Relay(server.address(), connections=4, clock=monotonic)
        terms = Terms("tester", timedelta(seconds=30), 4, clock, random.Random(1))
        expand = Expand(catalogue, recipients, ledger, renderer, bell, clock)
        expand.links = public_url is not None
        deliver = Deliver(catalogue, ledger, relay, terms, public_url)
        submit = Submit(catalogue, recipients, ledger, bell)
        yield Way(
            root,
            catalogue,
            ledger,
            clock,
            submit,
            expand,
            deliver,
            Sweep(
                ledger,
                bell,
                Watches(clock, monotonic),
                timedelta(seconds=30),
                Sweeper("sweeper", expand, deliver, lambda: False),
            ),
            monotonic,
            server,
            recipients,
            Schedule(catalogue, recipients, ledger, submit, clock),
        )
        await relay.close()
        await bell.close()
