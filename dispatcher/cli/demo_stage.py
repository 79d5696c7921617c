"""The stage of the demonstration's stories: a clock that can be moved, a browser, and who did what when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from lxml import html  # type: ignore[import-untyped]

from dispatcher.app import App, system_clock
from dispatcher.cli.wait import wait_for
from dispatcher.domain.delivery import Status
from dispatcher.domain.event import Event, Selection
from dispatcher.domain.fields import sample
from dispatcher.flow.remind import Remind
from dispatcher.flow.schedule import Schedule
from dispatcher.flow.submit import Submission
from dispatcher.smtp.catcher import caught

SOURCE = "demo"
WAIT_SECONDS = 120.0


class StoryBroken(Exception):  # noqa: N818 - it is the story that broke
    """A story did not go on as it should."""


class DemoClock:
    """The machine's clock, set back, and moved on as a story needs it."""

    def __init__(self, behind: timedelta) -> None:
        self._behind = behind

    def __call__(self) -> datetime:
        """What time it is in the story."""
        return system_clock() - self._behind

    def pass_until(self, moment: datetime) -> None:
        """Let it be that time, unless it is later already."""
        self._behind = min(self._behind, system_clock() - moment)

    def catch_up(self) -> None:
        """Let it be now."""
        self._behind = timedelta(0)


@dataclass(frozen=True, slots=True)
class Scene:
    """What happened, and what became of it.

    Attributes:
        what: In words.
        recipients: To how many it went; 0 where nobody is mailed.
    """

    at: datetime
    what: str
    event: Event
    recipients: int
    sent: int


class Stage:
    """Where a story happens; every event that comes up becomes a scene."""

    def __init__(self, app: App, clock: DemoClock, mailbox: Path, address: str) -> None:
        """Nothing happens yet.

        Args:
            app: The open application.
            clock: Its clock.
            mailbox: Where all mail arrives.
            address: Where HTTP is served on this machine; mails name the public URL.
        """
        self.app = app
        self.clock = clock
        self.scenes: list[Scene] = []
        self._mailbox = mailbox
        self._address = address
        self._seen: set[str] = set()
        project = app.project
        parts = (project.catalogue, project.recipients, app.ledger, app.submit, app.clock)
        # The worker looks after both by itself; a story need not wait for its rounds.
        self._schedule, self._remind = Schedule(*parts), Remind(*parts)

    def begin(self) -> None:
        """A new story begins."""
        self.scenes = []

    async def tell(
        self, what: str, type_: str, instances: Sequence[str], fields: dict[str, Any], thread: str = ""
    ) -> None:
        """Upstream says something; fields that are None are left out of the type's examples."""
        spec = self.app.project.catalogue.types[type_]
        said = {
            key: value for key, value in (sample(spec, self.clock()) | fields).items() if value is not None
        }
        chosen = Selection("instances", tuple(instances))
        id_ = f"story-{len(self._seen)}"
        await self.app.submit([Submission(SOURCE, id_, type_, chosen, thread or None, said)])
        await self.settle(what)

    async def pass_until(self, moment: datetime, what: str) -> None:
        """Time passes; whatever is due by then is told, and what is late is reminded of."""
        self.clock.pass_until(moment)
        await self._schedule()
        await self._remind()
        await self.settle(what)

    async def settle(self, what: str) -> None:
        """Wait until all mail of new events is out, and note them as scenes."""
        for event in await self._new():
            await wait_for(self.app, event.id, WAIT_SECONDS, quiet=True)
            done = await self.app.ledger.events.get(event.id)
            recipients, sent = sum(done.counts.values()), done.counts.get(Status.SENT, 0)
            self.scenes.append(Scene(done.accepted_at, what, done, recipients, sent))
            self._seen.add(event.id)

    async def _new(self) -> list[Event]:
        found = await self.app.ledger.events.list(50)
        return [event for event in reversed(found) if event.id not in self._seen]

    def link(self, path: str) -> str:
        """The newest link of that kind in the mailbox.

        Raises:
            StoryBroken: There is none.
        """
        begins = f"{self.app.settings.public_url}{path}/"
        for mail in reversed(caught(self._mailbox)):
            part = mail.message.get_body(("plain",))
            words = str(part.get_content()).split() if part else []
            if found := next((word for word in words if word.startswith(begins)), None):
                return found
        raise StoryBroken(f"no mail has a link to {begins}")

    def here(self, url: str) -> str:
        """Where a public URL leads on this machine: there is no proxy in front of it."""
        return self._address + url.removeprefix(str(self.app.settings.public_url))


async def send_form(url: str, button: str, choose: Callable[[html.FormElement], None]) -> None:
    """Open a page, fill in the form that has a button of that value, and press it, as a browser would.

    Raises:
        StoryBroken: The page, or the answer to the form, is not what it should be.
    """
    async with httpx.AsyncClient(timeout=30, trust_env=False) as browser:
        shown = await browser.get(url)
        if shown.status_code != httpx.codes.OK:
            raise StoryBroken(f"the page of the link answers {shown.status_code}")
        for form in html.fromstring(shown.text).forms:
            pressed = next(iter(form.xpath(".//button[@type='submit']")), None)
            if pressed is not None and pressed.get("value") == button:
                choose(form)
                sent = {**dict(form.form_values()), pressed.get("name"): button}
                answer = await browser.post(url, data=sent)
                if answer.status_code != httpx.codes.OK:
                    raise StoryBroken(f"the form is answered with {answer.status_code}")
                return
    raise StoryBroken(f"the page of the link has no button {button!r}")
