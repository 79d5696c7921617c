"""An update of one instance behind a real HTTP service, and the links of those who are told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from web_service import Service, cloud_event, service
from webhook_receiver import SECRET

from dispatcher.domain.plan import Plan, PlanKey
from dispatcher.flow.decide_links import decide_link, said_of
from dispatcher.settings import Secret
from dispatcher.web.limits import Limits

ADA, BOB, CY = "ada@contoso.example", "Bob@contoso.example", "cy@contoso.example"
LISTED = """\
instance: contoso-prod
name: Contoso <Production>
region: emea
time_zone: Europe/Berlin
admins: [{address: ada@contoso.example, time_zone: Asia/Tokyo}]
global_admins: [bob@contoso.example]
recipients: [cy@contoso.example]
"""
KEY = PlanKey("major-update", "update-2027-1", "contoso-prod")
#: Far enough ahead for every step, at whole minutes.
FIRST = datetime.now(UTC).replace(second=0, microsecond=0, hour=20, minute=0) + timedelta(days=120)
DATES = tuple(FIRST + timedelta(weeks=week) for week in range(3))
A, B, C = (date.isoformat() for date in DATES)


@dataclass(frozen=True)
class Desk:
    """An update of one instance, and the links of those who are told of it."""

    api: Service

    async def plan(self) -> Plan:
        return (await self.api.app.ledger.plans.find([KEY]))[KEY]

    async def say(self, type_: str, name: str = "", **fields: object) -> httpx.Response:
        """An event of upstream about the update."""
        event = cloud_event(
            name or type_,
            type=type_,
            source="/rollout",
            time=None,
            data={"instances": ["contoso-prod"], "fields": {"update": KEY.subject, **fields}},
        )
        answer = await self.api.post(event)
        assert answer.status_code == 202, answer.text
        return answer

    async def link(self, address: str = ADA, language: str = "en", plan: Plan | None = None) -> str:
        """The path of somebody's link, as a mail of this moment has it."""
        key = await self.api.app.ledger.link_keys.newest()
        reader = {"a": address, "d": "dlv_1", "l": language}
        return decide_link("", key, said_of(plan or await self.plan()), reader)

    async def page(self, address: str = ADA) -> tuple[str, httpx.Response]:
        """Somebody's link and the page behind it."""
        path = await self.link(address)
        return path, await self.api.http.get(path)

    async def decided(self) -> list[tuple[str, str, str]]:
        """The decisions in the ledger: turn, address, delivery."""
        moves = await self.api.app.ledger.plans.moves((await self.plan()).id)
        return [(move.turn, move.decision.by, move.decision.delivery) for move in moves if move.decision]


@asynccontextmanager
async def open_desk(folder: Path) -> AsyncIterator[Desk]:
    """A desk with an update that has three dates to choose from, for the block."""
    url = Secret("http://127.0.0.1:1/hooks")
    async with service(
        folder, limits=Limits(seconds=0.5), webhook_url=url, webhook_secrets=(Secret(SECRET),)
    ) as running:
        (running.app.settings.root / "recipients" / "contoso-prod.yaml").write_text(LISTED)
        running.app.project.recipients.refresh()
        desk = Desk(running)
        await desk.say(
            "update-scheduled", version="10.0", scheduled_at=A, alternate_at=B, offered_dates=[A, B, C]
        )
        yield desk
