"""Many steps that are due at one hour: told once each, beside all other work, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from way import Way

from dispatcher.domain.event import Selection
from dispatcher.domain.plan import PlannedStep, StepStatus
from dispatcher.flow.schedule import BATCH, Schedule
from dispatcher.flow.submit import Submission
from dispatcher.ledger.plans import PlanFilter

MANY = 450
#: The instances that stand there anyway.
BESIDE = 2
DATE = "2026-07-01T21:00Z"
FIELDS = {"headline": "News", "body": "Something changes."}
HOUR = datetime(2026, 4, 2, 9, tzinfo=UTC)


async def planned(way: Way, number: int = MANY) -> None:
    """An update is scheduled at so many instances, all in UTC; then its first reminders are due."""
    folder: Path = way.root / "recipients"
    for count in range(number):
        name = f"org-{count:05}"
        text = f"instance: {name}\nadmins: [admin@{name}.example]\n"
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    fields = {"update": "u1", "version": "10.0", "scheduled_at": DATE}
    event = Submission("t", "1", "update-scheduled", Selection("all"), None, fields)
    await way.submit([event])
    way.clock.now = HOUR


async def reminded(way: Way) -> int:
    """How many events of reminders there are."""
    return sum(one.type == "update-reminder" for one in await way.ledger.events.list(10 * MANY))


async def begun(way: Way) -> None:
    """Wait until the first page is told."""
    async with asyncio.timeout(60):
        while not await reminded(way):  # noqa: ASYNC110 - the ledger tells nobody
            await asyncio.sleep(0.01)


async def test_all_are_told_page_by_page(way: Way) -> None:
    """Each instance is told once; another event is accepted before the last page."""
    await planned(way)
    running = asyncio.create_task(way.schedule())
    await begun(way)
    urgent = Submission("t", "2", "general-awareness", Selection("instances", ("org-00000",)), None, FIELDS)
    await way.submit([urgent])
    between = await reminded(way)
    await running

    assert BATCH <= between < MANY
    assert await reminded(way) == MANY + BESIDE
    assert (await way.ledger.plans.next_due() or HOUR) > HOUR + timedelta(days=1)


async def test_a_worker_that_dies_between_two_pages_loses_nothing(way: Way) -> None:
    """What it had told stays told; the next worker tells the rest, and nothing twice."""
    await planned(way)
    doomed = asyncio.create_task(way.schedule())
    await begun(way)
    doomed.cancel()
    await asyncio.gather(doomed, return_exceptions=True)
    left = await reminded(way)
    assert 0 < left < MANY
    others = [Schedule(way.catalogue, way.recipients, way.ledger, way.submit, way.clock) for _ in range(2)]
    await asyncio.gather(*(other() for other in others))
    told = [one for one in await way.ledger.events.list(10 * MANY) if one.type == "update-reminder"]

    assert len({one.external_id for one in told}) == len(told) == MANY + BESIDE


async def test_a_worker_that_is_to_stop_begins_no_further_page(way: Way) -> None:
    """It ends with the page that it has begun; the rest stays pending."""
    await planned(way)
    running = asyncio.create_task(way.schedule())
    await begun(way)
    way.schedule.stop()
    await running

    assert BATCH <= await reminded(way) < MANY


class TestChangedCadence:
    def changed(self, way: Way, **steps: str) -> Schedule:
        """A worker that was started with a catalogue whose cadence has these steps, by their distances."""
        old = way.catalogue.cadences["major-update"]
        reminder = old.steps["reminder-30"]
        turns = {key: step for key, step in old.steps.items() if step.on}
        made = {key: reminder.model_copy(update={"at": at}) for key, at in steps.items()}
        cadence = old.model_copy(update={"steps": turns | made})
        cadences = way.catalogue.cadences | {"major-update": cadence}
        catalogue = way.catalogue.model_copy(update={"cadences": cadences})
        return Schedule(catalogue, way.recipients, way.ledger, way.submit, way.clock)

    async def steps(self, way: Way) -> dict[str, PlannedStep]:
        [plan] = await way.ledger.plans.list(PlanFilter(instance="org-00000"))
        return {step.key: step for step in plan.steps}

    async def test_pending_steps_are_made_anew(self, way: Way, caplog: pytest.LogCaptureFixture) -> None:
        """What was told stays; what the cadence has no more is superseded, what it has new is planned."""
        await planned(way, 1)
        await way.schedule()
        way.clock.advance(days=1)
        worker = self.changed(way, **{"reminder-90": "-90d", "reminder-30": "-28d", "reminder-3": "-3d"})
        await worker()
        found = await self.steps(way)

        assert found["reminder-90"].status is StepStatus.SENT
        assert found["reminder-30"].due_at == datetime(2026, 6, 3, 9, tzinfo=UTC)
        assert found["reminder-3"].due_at == datetime(2026, 6, 28, 9, tzinfo=UTC)
        assert {found[key].status for key in ("reminder-15", "reminder-7", "reminder-0")} == {
            StepStatus.SUPERSEDED
        }
        assert "cadence" in found["reminder-15"].reason
        assert "cadence major-update changed: the pending steps of 3 plans are made anew" in caplog.text

    async def test_a_plan_that_cannot_be_made_anew_is_in_nobody_s_way(
        self, way: Way, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It keeps its steps, and the log names it; other plans are made anew, and what is due is told."""
        await planned(way, 1)
        [odd] = await way.ledger.plans.list(PlanFilter(instance="org-00000"))
        await way.ledger.plans.replace([replace(odd, facts={**odd.facts, "scheduled_at": "2026-13-99"})])
        await self.changed(way, **{"reminder-90": "-90d", "reminder-3": "-3d"})()
        others = [one for one in await way.ledger.plans.list() if one.id != odd.id]

        assert set(await self.steps(way)) == {step.key for step in odd.steps}
        assert f"plan {odd.id} cannot be made anew" in caplog.text
        assert all("reminder-3" in {step.key for step in one.steps} for one in others)
        assert await reminded(way) >= len(others) == BESIDE

    async def test_two_catalogues_do_not_fight(self, way: Way) -> None:
        """A worker with the old catalogue and one with the new each make a plan anew once, and no more."""
        await planned(way, 1)
        await way.schedule()
        worker = self.changed(way, **{"reminder-90": "-90d", "reminder-30": "-28d"})
        for _ in range(4):
            await worker()
            await way.schedule()
        before = (await way.ledger.plans.list(PlanFilter(instance="org-00000")))[0]
        await worker()
        await way.schedule()

        assert await way.ledger.plans.list(PlanFilter(instance="org-00000")) == [before]

    async def test_a_cadence_that_is_gone_tells_nothing(self, way: Way) -> None:
        """Its pending steps are superseded and say why; once it is back, they are planned."""
        await planned(way, 1)
        cadences = {key: one for key, one in way.catalogue.cadences.items() if key != "major-update"}
        catalogue = way.catalogue.model_copy(update={"cadences": cadences})
        way.clock.now = HOUR - timedelta(hours=1)
        await Schedule(catalogue, way.recipients, way.ledger, way.submit, way.clock)()
        gone = await self.steps(way)
        assert {step.reason for step in gone.values()} == {"the catalogue has no cadence major-update"}
        await Schedule(way.catalogue, way.recipients, way.ledger, way.submit, way.clock)()
        back = await self.steps(way)

        assert {step.status for step in back.values()} == {StepStatus.PENDING}
