"""The life of an update from the first mail to the last, over real parts, as the clock moves on."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from way import CONTOSO, Way

from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.event import Event, EventStatus, Selection
from dispatcher.domain.plan import Plan, PlanKey, PlanState, StepStatus
from dispatcher.errors import EventInvalid
from dispatcher.flow.foresight.outlook import Fate, Period
from dispatcher.flow.foresight.rules import Happening
from dispatcher.flow.foresight.simulate import Simulation
from dispatcher.flow.foresight.start import rules_of, start_of
from dispatcher.flow.plans_ahead import ahead_facts, ahead_json, ahead_problems, look_ahead
from dispatcher.flow.submit import Submission
from dispatcher.queue.lanes import EVERY

UPDATE = "update-2026-1"
DATE, SECOND, THIRD = "2026-07-01T21:00+02:00", "2026-07-15T21:00+02:00", "2026-07-29T21:00+02:00"
#: 122 days ahead, as upstream says it: with nothing but what nobody else knows.
SCHEDULED: dict[str, Any] = {
    "version": "10.0",
    "scheduled_at": DATE,
    "alternate_at": SECOND,
    "offered_dates": [DATE, SECOND, THIRD],
}
FIRST = f"{UPDATE} at contoso-prod: a sandbox is updated first, and its sandbox contoso-sandbox"
SANDBOX = "instance: contoso-sandbox\nsandbox_of: contoso-prod\nkind: sandbox\nadmins: [s@contoso.example]\n"


async def say(
    way: Way,
    turn: str,
    *,
    instances: Sequence[str] | Selection = ("contoso-prod",),
    id_: str = "",
    time: datetime | None = None,
    **fields: Any,
) -> Event:
    """An event of the update comes, a second after what came before; as the ledger has it then."""
    way.clock.advance(seconds=1)
    chosen = instances if isinstance(instances, Selection) else Selection("instances", tuple(instances))
    name = id_ or f"{turn}-{way.clock.now.timestamp()}"
    submission = Submission(
        "/updates", name, f"update-{turn}", chosen, None, {"update": UPDATE, **fields}, time
    )
    [accepted] = await way.submit([submission])
    return await way.ledger.events.get(accepted.event)


async def flow(way: Way) -> list[tuple[str, str]]:
    """Let everything that is due go out: the subject and reader of each mail, in the order of the readers."""
    before = len(way.server.kept)
    await way.schedule()
    await way.expand(EVERY)
    for lane in Lane:
        await way.deliver(lane)
    new = [(mail(kept.message)["Subject"], kept.recipient) for kept in way.server.kept[before:]]
    return sorted((str(subject), reader) for subject, reader in new)


async def until(way: Way, moment: str) -> list[tuple[str, str, int]]:
    """Let time pass: when anybody was mailed, with which subject, and how many were."""
    end, found = datetime.fromisoformat(moment).astimezone(UTC), []
    while (due := await way.ledger.plans.next_due()) is not None and due <= end:
        way.clock.now = max(due, way.clock.now)
        sent = await flow(way)
        if sent:
            found.append((f"{way.clock.now:%m-%d %H:%M}", sent[0][0], len(sent)))
    way.clock.now = end
    return found


def mail(message: bytes) -> EmailMessage:
    return email.message_from_bytes(message, _class=EmailMessage, policy=email.policy.default)


async def plan(way: Way, instance: str = "contoso-prod") -> Plan:
    key = PlanKey("major-update", UPDATE, instance)
    return (await way.ledger.plans.find([key]))[key]


async def steps(way: Way, instance: str = "contoso-prod", revision: int | None = None) -> dict[str, str]:
    """The steps of the plan's newest revision, and where each stands."""
    found = await plan(way, instance)
    wanted = revision or found.revision
    return {step.key: step.status.value for step in found.steps if step.revision == wanted}


class TestLife:
    async def test_from_the_announcement_to_the_end(self, way: Way) -> None:
        """Reminders come; the date moves, and they come anew; the end is told, and nothing after it."""
        await say(way, "scheduled", **SCHEDULED)
        announced = await flow(way)
        assert len(announced) == 3
        first = await until(way, "2026-06-10T00:00Z")
        assert [(at, number) for at, _, number in first] == [("04-02 07:00", 3), ("06-01 07:00", 3)]

        moved = await say(way, "rescheduled", scheduled_at=SECOND, rescheduled_by="vendor")
        assert moved.warnings == ()
        told = await flow(way)
        assert len(told) == 3
        assert all(subject.startswith("Update rescheduled to ") for subject, _ in told)
        rest = await until(way, "2026-07-15T12:00Z")
        assert [(at, number) for at, _, number in rest] == [
            ("06-15 07:00", 3),
            ("06-30 07:00", 3),
            ("07-08 07:00", 3),
            ("07-15 07:00", 3),
        ]
        await say(way, "confirmed")
        assert await flow(way) == []
        way.clock.now = datetime(2026, 7, 15, 19, tzinfo=UTC)
        for stage in ("queued", "backup", "database-upgrade"):
            event = await say(way, "in-progress", stage=stage)
            assert event.status is EventStatus.RECORDED
        assert await flow(way) == []
        await say(way, "succeeded")
        done = await flow(way)
        assert {subject for subject, _ in done} == {"Updated to version 10.0: Contoso Production"}
        assert (await plan(way)).state is PlanState.SUCCEEDED
        assert await until(way, "2027-07-15T12:00Z") == []

    async def test_the_mails_fill_in_what_the_event_leaves_out(self, way: Way) -> None:
        """A confirmation and an end with `update` alone know the version; what nobody knows is refused."""
        await say(way, "scheduled", **SCHEDULED)
        await flow(way)
        confirmed = await say(way, "confirmed")
        said = await way.ledger.plans.of_event(confirmed.id)

        assert said["contoso-prod"]["version"] == "10.0"
        assert datetime.fromisoformat(said["contoso-prod"]["scheduled_at"]) == datetime.fromisoformat(DATE)
        await say(way, "succeeded")
        assert (await flow(way))[0][0] == "Updated to version 10.0: Contoso Production"

    async def test_a_reminder_says_what_the_plan_knows(self, way: Way) -> None:
        """It has the date, the version and the calendar's entry, of the same UID as the announcement's."""
        await say(way, "scheduled", **SCHEDULED)
        await flow(way)
        await until(way, "2026-04-03T00:00Z")
        announcement, reminder = mail(way.server.kept[0].message), mail(way.server.kept[-1].message)
        uids = [str(one).split("UID:")[1].split()[0] for one in (announcement, reminder)]

        assert reminder["Subject"].startswith("Reminder of version 10.0 on ")
        assert uids[0] == uids[1]

    async def test_every_turn_is_kept(self, way: Way) -> None:
        """Who asks sees what was said when, from which date to which."""
        await say(way, "scheduled", **SCHEDULED)
        await say(way, "rescheduled", scheduled_at=SECOND, rescheduled_by="admin")
        moves = await way.ledger.plans.moves((await plan(way)).id)

        assert [move.turn for move in moves] == ["scheduled", "rescheduled"]
        assert moves[1].before == datetime.fromisoformat(DATE)
        assert moves[1].after == datetime.fromisoformat(SECOND)
        assert (await plan(way)).state is PlanState.APPROVED
        assert set((await steps(way, revision=1)).values()) == {"superseded"}

    async def test_a_fallback_is_filled_in_from_the_plan(self, way: Way) -> None:
        """Upstream says no more than that the first date was missed; old and new date are the plan's."""
        await say(way, "scheduled", **SCHEDULED)
        await flow(way)
        way.clock.now = datetime(2026, 7, 2, 6, tzinfo=UTC)
        await flow(way)
        fallen = await say(way, "fallback")
        told = await flow(way)

        assert fallen.warnings == ()
        assert len(told) == 3
        assert "moved to" in told[0][0]
        assert (await plan(way)).anchor == datetime.fromisoformat(SECOND)
        assert (await plan(way)).alternate_at is None


class TestRefusals:
    @pytest.mark.parametrize(
        ("before", "turn", "fields", "words"),
        [
            ((), "scheduled", SCHEDULED, "update-rescheduled"),
            (("confirmed",), "confirmed", {}, "approved"),
            (("in-progress",), "rescheduled", {"scheduled_at": SECOND}, "start"),
            ((), "rescheduled", {"scheduled_at": "2026-08-01T21:00+02:00"}, "offered"),
            ((), "rescheduled", {"scheduled_at": DATE, "alternate_at": SECOND}, "already"),
            (("succeeded",), "confirmed", {}, "is done"),
            (("cancelled",), "in-progress", {}, "cancelled"),
        ],
    )
    async def test_illegal_moves(
        self, way: Way, before: tuple[str, ...], turn: str, fields: dict[str, Any], words: str
    ) -> None:
        """Each is refused with the instance, the reason and what to do; nothing of it is kept."""
        await say(way, "scheduled", **SCHEDULED)
        for earlier in before:
            await say(way, earlier)
        was = await plan(way)
        with pytest.raises(EventInvalid) as refused:
            await say(way, turn, **fields)
        [problem] = refused.value.problems

        assert problem.where == "instances"
        assert problem.what.startswith(f"{UPDATE} at contoso-prod: ")
        assert words in str(problem)
        assert problem.fix
        assert await plan(way) == was

    async def test_a_batch_is_refused_whole_and_says_which(self, way: Way) -> None:
        """Of two events of one request the second is wrong: neither is kept."""
        one = Submission("t", "1", "update-scheduled", Selection("instances", ("contoso-prod",)), None, {})
        good = {"update": UPDATE, **SCHEDULED}
        events = [
            Submission("t", "1", one.type, one.selection, None, good),
            Submission("t", "2", "update-confirmed", one.selection, None, {"update": UPDATE}),
            Submission("t", "3", "update-confirmed", one.selection, None, {"update": UPDATE}),
        ]
        with pytest.raises(EventInvalid) as refused:
            await way.submit(events)

        assert refused.value.problems[0].where == "events[2].instances"
        assert await way.ledger.events.list() == []
        assert [one.event for one in await way.submit(events[:2])]
        assert (await plan(way)).state is PlanState.APPROVED

    async def test_a_repeat_moves_nothing(self, way: Way) -> None:
        """The same source and id again is the same event, though the plan would refuse another like it."""
        await say(way, "scheduled", **SCHEDULED, id_="1")
        await say(way, "confirmed", id_="2")
        was = await plan(way)
        await say(way, "scheduled", **SCHEDULED, id_="1")
        await say(way, "confirmed", id_="2")

        assert await plan(way) == was


class TestWithoutAPlan:
    async def test_what_says_all_is_told_as_it_is(self, way: Way) -> None:
        """An upstream that keeps its own plans goes on as before, and is told that nothing is filled in."""
        event = await say(way, "succeeded", version="10.0")

        assert event.warnings == (f"no plan of {UPDATE} at contoso-prod: nothing is planned or filled in",)
        assert len(await flow(way)) > 0

    async def test_what_leaves_something_out_is_refused(self, way: Way) -> None:
        """A field that a plan would have said is missing, and the refusal says why."""
        with pytest.raises(EventInvalid) as refused:
            await say(way, "confirmed")

        assert {problem.key for problem in refused.value.problems} == {"version", "scheduled_at"}
        assert "there is no plan that says it" in str(refused.value)

    async def test_of_a_region_those_with_a_plan_are_told(self, way: Way) -> None:
        """The end of a wave is said for all; who had no update hears of none."""
        await say(way, "scheduled", **SCHEDULED)
        await flow(way)
        await say(way, "succeeded", instances=Selection("all"))
        readers = {reader for _, reader in await flow(way)}

        assert "n@northwind.example" not in readers
        assert "a@contoso.example" in readers


class TestLate:
    async def test_a_worker_that_was_down_tells_what_is_still_of_today(self, way: Way) -> None:
        """Of the reminders that came due meanwhile, that of today goes out and the others say why not."""
        await say(way, "scheduled", **SCHEDULED)
        await flow(way)
        way.clock.now = datetime(2026, 6, 24, 18, tzinfo=UTC)  # seven days ahead, in the evening there
        told = await flow(way)
        found = {step.key: step for step in (await plan(way)).steps}
        statuses = sorted(step.status.value for step in found.values())

        assert len(told) == 3
        assert statuses == ["pending", "sent", "skipped", "skipped", "skipped"]
        assert {one.reason for one in found.values() if one.status is StepStatus.SKIPPED} == {
            "no worker ran on its day"
        }

    async def test_nothing_is_told_after_the_thing_itself(self, way: Way) -> None:
        """On the evening of the day, once it has begun, its reminder is not sent."""
        await say(way, "scheduled", **SCHEDULED)
        await flow(way)
        way.clock.now = datetime(2026, 7, 1, 19, 30, tzinfo=UTC)

        assert await flow(way) == []
        assert "pending" not in (await steps(way)).values()

    async def test_an_instance_that_left_is_reminded_of_nothing(self, way: Way) -> None:
        """Its steps are cancelled as they come due, and say so; an outage of the files cancels none."""
        await say(way, "scheduled", **SCHEDULED)
        await flow(way)
        file = way.root / "recipients" / "contoso-prod.yaml"
        file.write_text("instance: [", encoding="utf-8")
        way.clock.now = datetime(2026, 4, 2, 7, tzinfo=UTC)
        assert len(await flow(way)) == 3  # its last good version is in force
        file.unlink()
        way.clock.now = datetime(2026, 6, 1, 7, 0, 1, tzinfo=UTC)
        await way.schedule()
        assert list((await steps(way)).values()).count("pending") == 4
        way.clock.advance(minutes=3)
        await way.schedule()
        cancelled = [one for one in (await plan(way)).steps if one.status is StepStatus.CANCELLED]

        assert [one.reason for one in cancelled] == ["contoso-prod has left the recipient lists"]

    async def test_a_step_that_cannot_be_told_says_why_until_it_can(self, way: Way) -> None:
        """`plan show` and `status` have the reason and what to do; after the announcement it goes out."""
        way.clock.now = datetime(2026, 6, 24, 10, tzinfo=UTC)  # seven days ahead
        await say(way, "rescheduled", scheduled_at=DATE, rescheduled_by="vendor")
        await flow(way)
        found = {step.key: step for step in (await plan(way)).steps}
        ahead = await look_ahead(way.ledger)
        problems = list(ahead_problems(ahead, way.clock.now))

        assert found["reminder-7"].status is StepStatus.PENDING
        assert found["reminder-7"].reason == "cannot be told: fields.version: is missing"
        assert len(problems) == 1
        assert f"reminder-7 of {UPDATE} at contoso-prod is due since" in problems[0]
        assert "is missing. Its announcement has not come" in problems[0]
        assert ahead_json(ahead)["plans"]["untold"][0]["step"] == "reminder-7"

        event = await say(way, "scheduled", **SCHEDULED)
        told = await flow(way)
        assert event.status is EventStatus.RECORDED
        assert told[0][0].startswith("Reminder of version 10.0 on ")
        assert (await steps(way))["reminder-7"] == "sent"
        assert list(ahead_problems(await look_ahead(way.ledger), way.clock.now)) == []

    async def test_a_step_that_cannot_be_told_holds_up_no_other(self, way: Way) -> None:
        """It is tried until its day is over, and then says what was wrong with it."""
        await say(way, "scheduled", **SCHEDULED, instances=("contoso-prod", "northwind-prod"))
        await flow(way)
        broken = await plan(way)
        facts = {key: value for key, value in broken.facts.items() if key != "version"}
        [written] = await way.ledger.plans.replace([_with(broken, facts)])
        assert written
        way.clock.now = datetime(2026, 4, 2, 9, tzinfo=UTC)
        readers = {reader for _, reader in await flow(way)}
        assert "n@northwind.example" in readers
        assert "b@contoso.example" not in readers
        way.clock.advance(days=1)
        await way.schedule()
        skipped = [one for one in (await plan(way)).steps if one.status is StepStatus.SKIPPED]

        assert "its event is refused: fields.version: is missing" in skipped[0].reason


def _with(found: Plan, facts: dict[str, Any]) -> Plan:
    return replace(found, facts=facts)


class TestOutOfOrder:
    async def test_an_older_word_on_the_date_changes_nothing(self, way: Way) -> None:
        """What was said before the newest word and comes after it is kept, and nobody is mailed of it."""
        await say(way, "scheduled", **SCHEDULED)
        await flow(way)
        earlier = way.clock.now
        way.clock.advance(hours=2)
        await say(way, "rescheduled", scheduled_at=THIRD, rescheduled_by="vendor")
        was = await plan(way)
        await flow(way)
        event = await say(way, "rescheduled", scheduled_at=SECOND, rescheduled_by="vendor", time=earlier)

        assert event.status is EventStatus.RECORDED
        assert event.reason.startswith("overtaken by ")
        assert await plan(way) == was
        assert await flow(way) == []

    async def test_an_approval_that_is_overtaken_says_so(self, way: Way) -> None:
        """Nobody is mailed of an approval anyway; that it moved nothing is what its sender must know."""
        await say(way, "scheduled", **SCHEDULED)
        earlier = way.clock.now
        way.clock.advance(hours=2)
        await say(way, "rescheduled", scheduled_at=THIRD, rescheduled_by="vendor")
        event = await say(way, "confirmed", time=earlier)

        assert event.status is EventStatus.RECORDED
        assert event.reason.startswith("overtaken by ")

    async def test_for_some_instances_it_is_refused(self, way: Way) -> None:
        """One event cannot be told to some and be kept from others; it says from whom."""
        both = ("contoso-prod", "northwind-prod")
        await say(way, "scheduled", **SCHEDULED, instances=both)
        earlier = way.clock.now
        way.clock.advance(hours=2)
        await say(way, "rescheduled", scheduled_at=THIRD, rescheduled_by="vendor")
        late = {"scheduled_at": SECOND, "rescheduled_by": "vendor"}
        with pytest.raises(EventInvalid) as refused:
            await say(way, "rescheduled", **late, instances=both, time=earlier)

        assert "at contoso-prod it counts no more: overtaken by" in str(refused.value)
        assert "Send it for the others alone" in str(refused.value)


class TestBeforeItsAnnouncement:
    """What comes before the announcement, and was said after it, counts once that comes."""

    async def late(self, way: Way, *before: tuple[str, dict[str, Any]]) -> Event:
        """Words that come first, and then the announcement, which was made before them."""
        earlier = way.clock.now
        way.clock.advance(hours=2)
        for turn, fields in before:
            await say(way, turn, version="10.0", time=way.clock.now, **fields)
        way.clock.advance(hours=1)
        await flow(way)
        return await say(way, "scheduled", **SCHEDULED, time=earlier)

    @pytest.mark.parametrize(
        ("before", "state"),
        [
            ([("cancelled", {})], PlanState.CANCELLED),
            ([("cancelled", {"instances": Selection("all")})], PlanState.CANCELLED),
            ([("in-progress", {}), ("succeeded", {})], PlanState.SUCCEEDED),
            ([("in-progress", {"stage": "backup"})], PlanState.IN_PROGRESS),
        ],
    )
    async def test_nobody_is_mailed_of_what_is_over(
        self, way: Way, before: list[tuple[str, dict[str, Any]]], state: PlanState
    ) -> None:
        """The announcement is recorded, no reminder waits, and the plan shows each turn with its event."""
        event = await self.late(way, *before)
        found = await plan(way)
        moves = await way.ledger.plans.moves(found.id)

        assert event.status is EventStatus.RECORDED
        assert event.reason.startswith(f"overtaken by update-{before[-1][0]} of 2026-")
        assert f"came before it and counts: it is {state.value}" in event.warnings[-1]
        assert found.state is state
        assert "pending" not in (await steps(way)).values()
        assert [move.turn for move in moves] == ["scheduled", *(turn for turn, _ in before)]
        assert moves[0].event == event.id
        assert moves[1].event != event.id
        assert await flow(way) == []
        assert await until(way, "2026-08-01T12:00Z") == []

    async def test_an_approval_counts_and_the_announcement_is_told(self, way: Way) -> None:
        """The date was approved; one of another date is left out, and named."""
        event = await self.late(
            way, ("confirmed", {"scheduled_at": THIRD}), ("confirmed", {"scheduled_at": DATE})
        )

        assert event.status is EventStatus.ACCEPTED
        assert "came before it and changes nothing: is planned for" in event.warnings[0]
        assert (await plan(way)).state is PlanState.APPROVED
        assert len(await flow(way)) == 3

    async def test_in_one_request(self, way: Way) -> None:
        """The order of the events of a batch is the order in which they came."""
        now = way.clock.now
        fields = {"update": UPDATE, **SCHEDULED}
        one = Selection("instances", ("contoso-prod",))
        cancelled = {"update": UPDATE, "version": "10.0"}
        await way.submit(
            [
                Submission("t", "1", "update-cancelled", one, None, cancelled, now - timedelta(hours=1)),
                Submission("t", "2", "update-scheduled", one, None, fields, now - timedelta(hours=2)),
            ]
        )

        assert (await plan(way)).state is PlanState.CANCELLED

    async def test_what_does_not_count(self, way: Way) -> None:
        """An older word, one that was withdrawn, and any if nobody gives times."""
        older = way.clock.now - timedelta(days=1)
        await say(way, "cancelled", version="10.0", time=older)
        await say(way, "cancelled", version="10.0", instances=("northwind-prod",))
        withdrawn = await say(way, "cancelled", version="10.0")
        await way.ledger.events.cancel(withdrawn.id)
        first = await say(way, "scheduled", **SCHEDULED, time=older + timedelta(hours=1))
        await say(way, "scheduled", **SCHEDULED, instances=("northwind-prod",))

        assert first.status is EventStatus.ACCEPTED
        assert (await plan(way)).state is PlanState.SCHEDULED
        assert (await plan(way, "northwind-prod")).state is PlanState.SCHEDULED

    async def test_what_it_says_beside_is_not_filled_in_afterwards(self, way: Way) -> None:
        """An event of all instances that waits to be expanded is told to all, not to those with a plan."""
        earlier = way.clock.now
        way.clock.advance(hours=2)
        cancelled = await say(way, "cancelled", version="10.0", instances=Selection("all"))
        await say(way, "scheduled", **SCHEDULED, time=earlier)

        assert await way.ledger.plans.of_event(cancelled.id) == {}
        assert "n@northwind.example" in {reader for _, reader in await flow(way)}

    async def test_a_simulation_knows_it_too(self, way: Way) -> None:
        """What is in the ledger counts for an announcement that is only imagined."""
        earlier = way.clock.now
        way.clock.advance(hours=2)
        await say(way, "cancelled", version="10.0")
        fields = {"update": UPDATE, **SCHEDULED}
        chosen = Selection("instances", ("contoso-prod",))
        late = Submission("t", "1", "update-scheduled", chosen, None, fields, earlier)
        rules = rules_of(way.catalogue, way.recipients)
        start = await start_of(way.ledger, rules, [late], way.clock.now)
        period = Period(way.clock.now.date(), way.clock.now.date() + timedelta(days=300))
        rows = Simulation(rules, start).run([Happening(way.clock.now, late)], period)

        assert [(row.type, row.status) for row in rows if row.status is not Fate.SKIPPED] == [
            ("update-scheduled", Fate.RECORDED)
        ]


async def test_status_says_what_lies_ahead(way: Way) -> None:
    """When the next step is due, and which plans are warned of; that is no problem in itself."""
    (way.root / "recipients" / "contoso-sandbox.yaml").write_text(SANDBOX, encoding="utf-8")
    await say(way, "scheduled", **SCHEDULED)
    ahead = await look_ahead(way.ledger)
    said = ahead_json(ahead)["plans"]

    assert said["next_due_at"] == "2026-04-02T07:00:00Z"
    assert [(one["subject"], one["instance"]) for one in said["warned"]] == [(UPDATE, "contoso-prod")]
    assert "Warned of: 1 plan" in list(ahead_facts(ahead))
    due = datetime(2026, 4, 2, 7, tzinfo=UTC)
    assert list(ahead_problems(ahead, due + timedelta(minutes=9))) == []
    assert "is due since" in next(ahead_problems(ahead, due + timedelta(minutes=11)))


class TestOvertaken:
    async def reminded_but_not_sent(self, way: Way, *, expanded: bool) -> str:
        """A reminder's event whose mail has not left; its id."""
        await say(way, "scheduled", **SCHEDULED)
        await flow(way)
        way.clock.now = datetime(2026, 4, 2, 7, tzinfo=UTC)
        await way.schedule()
        if expanded:
            await way.expand(EVERY)
        [event] = [one for one in await way.ledger.events.list() if one.type == "update-reminder"]
        return event.id

    @pytest.mark.parametrize("expanded", [True, False])
    async def test_a_reminder_that_waits_does_not_leave_once_the_date_moves(
        self, way: Way, expanded: bool
    ) -> None:
        """Whether its deliveries are made or not, nobody hears of the old date after the new one."""
        reminder = await self.reminded_but_not_sent(way, expanded=expanded)
        await say(way, "rescheduled", scheduled_at=SECOND, rescheduled_by="vendor")
        told = await flow(way)

        assert {subject.split(" to ")[0] for subject, _ in told} == {"Update rescheduled"}
        assert (await way.ledger.events.get(reminder)).cancelled_at is not None
        assert {one.status for one in await way.rows(reminder)} == ({Status.CANCELLED} if expanded else set())

    async def test_what_was_sent_stays_sent(self, way: Way) -> None:
        """A reminder that all have got is not called cancelled afterwards."""
        reminder = await self.reminded_but_not_sent(way, expanded=True)
        assert len(await flow(way)) == 3
        await say(way, "cancelled")

        assert (await way.ledger.events.get(reminder)).cancelled_at is None


class TestOrder:
    @pytest.fixture
    def both(self, way: Way) -> Way:
        (way.root / "recipients" / "contoso-sandbox.yaml").write_text(SANDBOX, encoding="utf-8")
        return way

    async def test_a_sandbox_comes_first(self, both: Way) -> None:
        """Production's plan is warned of until its sandbox has an earlier date; all are mailed."""
        early = "2026-06-24T21:00+02:00"
        event = await say(both, "scheduled", **SCHEDULED)
        assert "its sandbox contoso-sandbox has no date" in event.warnings[0]
        assert (await plan(both)).warnings
        assert len(await flow(both)) == 3
        fields = SCHEDULED | {"scheduled_at": DATE, "offered_dates": [early, DATE]}
        del fields["alternate_at"]
        event = await say(both, "scheduled", instances=("contoso-sandbox",), **fields)
        assert "is not before that of its production instance contoso-prod" in event.warnings[0]
        [warning] = (await plan(both)).warnings
        assert warning == (
            "a sandbox is updated first, and the date of its sandbox contoso-sandbox (2026-07-01 19:00Z) is "
            "not before this one (2026-07-01 19:00Z)"
        )
        await say(both, "rescheduled", instances=("contoso-sandbox",), scheduled_at=early)

        assert (await plan(both)).warnings == ()
        assert (await plan(both, "contoso-sandbox")).warnings == ()

    async def test_a_start_before_the_sandbox_is_done(self, both: Way) -> None:
        """Dates in order are not enough: production must not start while its sandbox waits."""
        early = "2026-06-24T21:00+02:00"
        await say(both, "scheduled", instances=("contoso-sandbox",), version="10.0", scheduled_at=early)
        await say(both, "scheduled", **SCHEDULED)
        await say(both, "confirmed")
        event = await say(both, "in-progress")

        assert event.warnings == (f"{FIRST} is scheduled",)
        await say(both, "succeeded", instances=("contoso-sandbox",))
        assert (await plan(both)).warnings == ()

    async def test_who_cancels_a_sandbox_hears_what_it_makes_of_production(self, both: Way) -> None:
        """From then on the plan of production is warned of; that is told at once, and once."""
        early = "2026-06-24T21:00+02:00"
        await say(both, "scheduled", instances=("contoso-sandbox",), version="10.0", scheduled_at=early)
        await say(both, "scheduled", **SCHEDULED)
        event = await say(both, "cancelled", instances=("contoso-sandbox",))

        assert event.warnings == (f"{FIRST} has no date",)

    async def test_both_in_one_event(self, both: Way) -> None:
        """A wave that takes both at once is warned of twice, and told."""
        names = ("contoso-prod", "contoso-sandbox")
        event = await say(both, "scheduled", **SCHEDULED, instances=names)

        assert len(event.warnings) == 2
        assert (await plan(both)).warnings
        assert (await plan(both, "contoso-sandbox")).warnings


async def test_a_reader_who_joined_gets_the_reminders(way: Way) -> None:
    """Steps are addressed when they are told: by the lists of that day."""
    await say(way, "scheduled", **SCHEDULED)
    await flow(way)
    file = way.root / "recipients" / "contoso-prod.yaml"
    file.write_text(CONTOSO.replace("[c@contoso.example]", "[c@contoso.example, d@contoso.example]"))

    assert [number for _, _, number in await until(way, "2026-04-03T00:00Z")] == [4]


async def test_two_workers_tell_a_step_once(way: Way) -> None:
    """Both see it due; one tells it, and the other finds that it is told."""
    await say(way, "scheduled", **SCHEDULED)
    await flow(way)
    way.clock.now = datetime(2026, 4, 2, 7, tzinfo=UTC)
    await asyncio.gather(way.schedule(), way.schedule(), way.schedule())
    sent = [one for one in await way.ledger.events.list() if one.type == "update-reminder"]

    assert len(sent) == 1
    assert len(await flow(way)) == 3
    assert {one.status for one in await way.rows(sent[0].id)} == {Status.SENT}
    assert (await way.ledger.plans.next_due() or way.clock.now) > way.clock.now + timedelta(days=30)
