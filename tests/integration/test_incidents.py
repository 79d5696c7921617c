"""Incidents from the first word to the report: what is kept, owed, held, told; on each database."""

from __future__ import annotations

import asyncio
import email
import email.policy
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clock import Clock
from way import Way, open_way

from dispatcher.domain.delivery import Status
from dispatcher.domain.duty import AGAIN, MOST_REMINDERS
from dispatcher.domain.event import Selection
from dispatcher.domain.house import Owner
from dispatcher.domain.incident import OVERTAKEN, REOPENED, RESOLVED, Obligation
from dispatcher.errors import NotFound
from dispatcher.flow.explain import explain, tell
from dispatcher.flow.incidents import Books
from dispatcher.flow.remind import Remind
from dispatcher.flow.repair import carry_out, plan_release
from dispatcher.flow.submit import Submission
from dispatcher.ledger import Filter, Ledger

MAJOR, BACK, REPORT, NEWS = (
    "major-service-incident",
    "service-restored",
    "post-incident-report",
    "general-awareness",
)
INC = "INC-7"


@pytest.fixture
async def way(ledger: Ledger, clock: Clock, tmp_path: Path) -> AsyncIterator[Way]:
    """A Monday in March, and nobody to remind."""
    clock.now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    async with open_way(ledger, clock, tmp_path) as opened:
        opened.catalogue.owners.clear()
        yield opened


class Say:
    """Short words for what upstream says."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._number = 0

    async def __call__(
        self,
        key: str,
        *instances: str,
        thread: str | None = INC,
        time: datetime | None = None,
        kind: str = "instances",
        **fields: Any,
    ) -> str:
        """Submit an event with what it must say, and give its id."""
        self._number += 1
        now = self._way.clock()
        least: dict[str, dict[str, Any]] = {
            MAJOR: {"incident": INC, "summary": "No sign-in", "status": "investigating", "started_at": now},
            BACK: {"summary": "No sign-in", "restored_at": now},
            REPORT: {
                "summary": "No sign-in",
                "started_at": now - timedelta(hours=9),
                "resolved_at": now - timedelta(hours=8),
                "description": "It failed.",
                "impact": "Nobody could work.",
                "root_cause": "A mistake.",
                "next_steps": ["We test more."],
            },
        }
        said = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in (least[key] | fields).items()
            if value is not None
        }
        selection = Selection("instances", instances) if instances else None
        if kind != "instances":
            selection = Selection("all")
        submission = Submission("test", str(self._number), key, selection, thread, said, time)
        [accepted] = await self._way.submit([submission])
        return accepted.event


@pytest.fixture
def say(way: Way) -> Say:
    return Say(way)


async def owed(way: Way, key: str = INC) -> dict[str, list[Obligation]]:
    """All that ever was owed for an incident, by type."""
    found: dict[str, list[Obligation]] = {}
    for one in sorted(await way.ledger.obligations.of(key), key=lambda one: one.made_at):
        found.setdefault(one.owes, []).append(one)
    return found


class TestBooks:
    async def test_the_first_word_opens_it(self, way: Way, say: Say) -> None:
        """Once the event is accepted the incident is there, and the next update is owed in an hour."""
        event = await say(MAJOR, "contoso-prod")
        incident = await way.ledger.incidents.get(INC)
        [one] = (await owed(way))[MAJOR]

        assert incident.is_open
        assert (incident.event, incident.type, incident.opened_at) == (event, MAJOR, way.clock())
        assert incident.affected == {"contoso-prod": None}
        assert (one.made_by, one.due_at, one.owed) == (event, way.clock() + timedelta(hours=1), True)
        assert [found.key for found in await way.ledger.incidents.open()] == [INC]

    async def test_from_update_to_report(self, way: Way, say: Say) -> None:
        """Updates meet each other, the end settles the last, the report is due after five business days."""
        await say(MAJOR, "contoso-prod")
        way.clock.advance(minutes=30)
        await say(MAJOR, "contoso-prod", next_update_at=way.clock() + timedelta(minutes=90))
        way.clock.advance(minutes=100)
        await say(BACK)
        over = way.clock()
        found = await owed(way)

        first, second = found[MAJOR]
        assert (first.met_at, second.ended) == (over - timedelta(minutes=100), RESOLVED)
        [report] = found[REPORT]
        # Contoso has no region: Monday to Friday until 17:00 in Berlin.
        assert report.due_at == datetime(2026, 3, 9, 16, tzinfo=UTC)
        assert await way.ledger.incidents.open() == []
        assert len(await way.ledger.obligations.owed()) == 1

        way.clock.advance(days=2)
        met = await say(REPORT)
        [report] = (await owed(way))[REPORT]
        assert (report.met_by, report.met_at) == (met, way.clock())
        assert await way.ledger.obligations.owed() == []

    async def test_the_earliest_place_counts(self, way: Way, say: Say) -> None:
        """The report is due where the fifth business day ends first."""
        await say(MAJOR, "contoso-prod", "northwind-prod")  # Berlin, and UTC
        await say(MAJOR, "contoso-prod", "northwind-prod", status="resolved")

        [report] = (await owed(way))[REPORT]
        assert report.due_at == datetime(2026, 3, 9, 16, tzinfo=UTC)

    async def test_it_may_be_about_all(self, way: Way, say: Say) -> None:
        """All instances of the lists are affected, as they are when the event comes."""
        await say(MAJOR, kind="all")

        assert set((await way.ledger.incidents.get(INC)).affected) == {"contoso-prod", "northwind-prod"}
        await say(BACK, kind="all")
        assert await way.ledger.incidents.open() == []

    async def test_twice_over_is_over_once(self, way: Way, say: Say) -> None:
        """The final update and the word that service is restored make one report owed."""
        await say(MAJOR, "contoso-prod")
        way.clock.advance(minutes=10)
        over = way.clock()
        await say(MAJOR, "contoso-prod", status="resolved", started_at=over - timedelta(minutes=10))
        way.clock.advance(minutes=10)
        await say(BACK)

        assert len((await owed(way))[REPORT]) == 1
        assert (await way.ledger.incidents.get(INC)).resolved_at == over

    async def test_an_end_that_lies_ahead_is_a_warning(self, way: Way, say: Say) -> None:
        """It counts as it is said; who said it is told what hangs on it."""
        await say(MAJOR, "contoso-prod")
        event = await say(BACK, restored_at=datetime(2030, 1, 1, tzinfo=UTC))

        [warning] = (await way.ledger.events.get(event)).warnings
        assert warning.startswith("service-restored has a restored_at that lies ahead, 2030-01-01T00:00Z")

    async def test_opened_again(self, way: Way, say: Say) -> None:
        """The report is owed no more, an update is; after the second end, one report is."""
        await say(MAJOR, "contoso-prod")
        way.clock.advance(minutes=10)
        await say(BACK)
        way.clock.advance(minutes=10)
        await say(MAJOR, "contoso-prod")
        again = await owed(way)

        assert [one.ended for one in again[REPORT]] == [REOPENED]
        assert [one.owed for one in again[MAJOR]] == [False, True]
        assert (await way.ledger.incidents.get(INC)).is_open
        way.clock.advance(minutes=10)
        await say(BACK)
        assert [one.owed for one in (await owed(way))[REPORT]] == [False, True]

    async def test_a_report_before_the_end(self, way: Way, say: Say) -> None:
        """It ends nothing, and is not owed once more when the end comes."""
        await say(MAJOR, "contoso-prod")
        early = await say(REPORT)
        assert (await way.ledger.incidents.get(INC)).is_open
        way.clock.advance(minutes=10)
        await say(BACK)

        [report] = (await owed(way))[REPORT]
        assert report.met_by == early
        assert await way.ledger.obligations.owed() == []

    async def test_what_comes_late_falls_into_its_place(self, way: Way, say: Say) -> None:
        """An update that was said before the end and comes after it does not open the incident again."""
        start = way.clock()
        await say(MAJOR, "contoso-prod")
        way.clock.advance(minutes=40)
        await say(BACK)
        way.clock.advance(minutes=5)
        await say(MAJOR, "contoso-prod", "northwind-prod", time=start + timedelta(minutes=20))
        found = await owed(way)

        incident = await way.ledger.incidents.get(INC)
        assert (incident.is_open, set(incident.affected)) == (False, {"contoso-prod", "northwind-prod"})
        assert [one.met_at for one in found[MAJOR]] == [start + timedelta(minutes=20), None]
        assert [one.ended for one in found[MAJOR]] == ["", RESOLVED]

    async def test_the_end_may_come_before_the_beginning(self, way: Way, say: Say) -> None:
        """If the word that it is over overtakes the one that opened it, it is over."""
        start = way.clock()
        way.clock.advance(minutes=30)
        await say(BACK, "contoso-prod", time=start + timedelta(minutes=30))
        with pytest.raises(NotFound, match="INC-7"):
            await way.ledger.incidents.get(INC)
        way.clock.advance(minutes=1)
        await say(MAJOR, "contoso-prod", time=start)

        incident = await way.ledger.incidents.get(INC)
        assert (incident.opened_at, incident.is_open) == (start, False)

    async def test_a_clock_that_is_ahead_says_now(self, way: Way, say: Say) -> None:
        """What claims to be of tomorrow was said when it came; else all that follows would be late."""
        await say(MAJOR, "contoso-prod", time=way.clock() + timedelta(days=1))
        way.clock.advance(minutes=1)
        await say(BACK)

        assert not (await way.ledger.incidents.get(INC)).is_open

    async def test_a_repeat_says_nothing_new(self, way: Way, say: Say) -> None:
        """The same event once more changes nothing."""
        await say(MAJOR, "contoso-prod")
        before = await owed(way)
        way.clock.advance(minutes=5)
        say._number = 0
        await say(MAJOR, "contoso-prod", started_at=way.clock() - timedelta(minutes=5))

        assert await owed(way) == before

    async def test_without_a_thread_its_name_counts(self, way: Way, say: Say) -> None:
        """Events that name no thread belong together by the field `incident`."""
        await say(MAJOR, "contoso-prod", thread=None, incident="INC-8")
        await say(BACK, "contoso-prod", thread=None, incident={"en": "INC-8", "de": "INC-8"})

        assert not (await way.ledger.incidents.get("INC-8")).is_open

    async def test_what_was_withdrawn_counts_no_more(self, way: Way, say: Say) -> None:
        """An incident that was opened by mistake is over once its event is cancelled."""
        books = Books(way.catalogue, way.expand._recipients, way.ledger.incidents)
        event = await say(MAJOR, "contoso-prod")
        assert await books.withdrawn() == []
        await way.ledger.events.cancel(event)

        assert await books.withdrawn() == [INC]
        assert await books.withdrawn() == []
        assert await way.ledger.incidents.open() == []
        assert [one.ended for one in (await owed(way))[MAJOR]] == [OVERTAKEN]
        await say(MAJOR, "contoso-prod")
        assert len(await way.ledger.incidents.open()) == 1

    async def test_many_words_at_once(self, way: Way) -> None:
        """Twenty writers at one time: every word counts, none twice."""
        says = [Say(way) for _ in range(20)]
        for number, one in enumerate(says):
            one._number = 100 * number
        await asyncio.gather(*(one(MAJOR, "contoso-prod") for one in says))

        assert len(await way.ledger.incidents.statements(INC)) == 20
        found = (await owed(way))[MAJOR]
        assert (len(found), sum(one.owed for one in found)) == (20, 1)


class TestHeld:
    async def test_optional_mail_waits_for_the_end(self, way: Way, say: Say) -> None:
        """It is held for the affected instance, and goes out once that is restored."""
        await say(MAJOR, "contoso-prod")
        event = await way.accept(NEWS, id_="news", instances=("contoso-prod", "northwind-prod"))
        await way.expand(event)
        await way.deliver(way.catalogue.types[NEWS].lane)
        rows = await way.rows(event)

        stands = {(one.instance, one.status, one.reason) for one in rows}
        assert stands == {
            ("contoso-prod", Status.HELD, "incident"),
            ("northwind-prod", Status.SENT, "accepted"),
        }
        held = next(one for one in rows if one.instance == "contoso-prod")
        assert held.tries == 0
        story = "\n".join(tell((await explain(way.ledger, event))[0]))
        assert "held: a major incident affects contoso-prod; it goes out once that is over" in story

        await way.sweeps(60)
        assert {one.status for one in await way.rows(event) if one.instance == "contoso-prod"} == {
            Status.HELD
        }
        await say(BACK)
        await way.sweep()
        released = [one for one in await way.rows(event) if one.instance == "contoso-prod"]
        assert {(one.status, one.reason) for one in released} <= {
            (Status.QUEUED, "incident_over"),
            (Status.SENDING, ""),
            (Status.SENT, "accepted"),
        }
        await way.sweep.settled()
        assert {one.status for one in await way.rows(event)} == {Status.SENT}

    async def test_a_release_by_hand_does_not_get_past_it(self, way: Way, say: Say) -> None:
        """What waits stays held, and is counted; what is held for another reason goes out."""
        await say(MAJOR, "contoso-prod")
        waits = await way.accept(NEWS, id_="news", instances=("contoso-prod",))
        await way.expand(waits)
        await way.deliver(way.catalogue.types[NEWS].lane)

        plan = await plan_release(way.ledger, None)

        held = len(await way.rows(waits))
        assert (plan.deliveries, plan.waiting, plan.shares) == (0, held, [])
        assert await carry_out(way.ledger, plan) == (0, 0)
        assert {one.status for one in await way.rows(waits)} == {Status.HELD}
        await say(BACK)
        freed = await plan_release(way.ledger, None)
        assert (freed.deliveries, freed.waiting) == (held, 0)

    async def test_two_incidents_on_one_instance(self, way: Way, say: Say) -> None:
        """The end of one is not enough."""
        await say(MAJOR, "contoso-prod")
        await say(MAJOR, "contoso-prod", thread="INC-8", incident="INC-8")
        [row, *_] = await way.go(NEWS, id_="news")
        await say(BACK)
        await way.sweeps(60)
        assert (await way.rows(row.event))[0].status is Status.HELD
        await say(BACK, thread="INC-8")
        await way.sweeps(4)

        assert {one.status for one in await way.rows(row.event)} == {Status.SENT}

    async def test_a_part_that_is_restored_is_released(self, way: Way, say: Say) -> None:
        """Where service is back mail goes on, though the incident lasts elsewhere."""
        await say(MAJOR, "contoso-prod", "northwind-prod")
        [row, *_] = await way.go(NEWS, id_="news", instances=("contoso-prod", "northwind-prod"))
        await say(BACK, "contoso-prod")
        await way.sweeps(4)

        stands = {(one.instance, one.status) for one in await way.rows(row.event)}
        assert stands == {("contoso-prod", Status.SENT), ("northwind-prod", Status.HELD)}

    async def test_what_is_not_optional_goes_on(self, way: Way, say: Say) -> None:
        """Maintenance is announced, and the incident itself is told, whatever happens."""
        await say(MAJOR, "contoso-prod")
        for key in ("planned-maintenance", MAJOR):
            assert {one.status for one in await way.go(key, id_=key, thread=INC)} == {Status.SENT}

    async def test_a_mail_about_several_waits_for_each(self, way: Way, say: Say) -> None:
        """Where one mail lists several instances, one that is affected holds it."""
        spec = way.catalogue.types[NEWS].model_copy(update={"group_by": "person"})
        way.catalogue.types[NEWS] = spec
        await say(MAJOR, "northwind-prod")
        [row, *_] = await way.go(NEWS, id_="news", instances=("contoso-prod", "northwind-prod"))
        stands = {one.address: one.status for one in await way.rows(row.event)}

        assert stands["a@contoso.example"] is Status.HELD  # an admin of both; Contoso comes first
        assert stands["b@contoso.example"] is Status.SENT
        await say(BACK)
        await way.sweeps(4)
        assert {one.status for one in await way.rows(row.event)} == {Status.SENT}

    async def test_what_is_over_meanwhile_is_not_sent(self, way: Way, say: Say) -> None:
        """What was cancelled while it was held stays unsent when it is let go."""
        await say(MAJOR, "contoso-prod")
        [row, *_] = await way.go(NEWS, id_="news")
        await way.ledger.events.cancel(row.event)
        await say(BACK)
        await way.sweeps(4)

        assert {one.status for one in await way.rows(row.event)} == {Status.CANCELLED}

    async def test_a_claim_at_the_last_moment_is_found(self, way: Way, say: Say) -> None:
        """What was held back just as the incident ended goes out within half a minute."""
        await say(MAJOR, "contoso-prod")
        await say(BACK)
        await way.sweeps(2)
        event = await way.accept(NEWS, id_="news")
        await way.expand(event)
        await way.ledger.holds.release()
        [row, *_] = await way.ledger.deliveries.list(Filter(event=event))
        # As a claim leaves it whose look at the incident was a moment older.
        async with way.ledger.database.write() as transaction:
            await transaction.exec_driver_sql(
                "UPDATE deliveries SET status = 'held', reason = 'incident', next_try_at = NULL"
            )
        await way.sweeps(40)

        assert row.status is Status.QUEUED
        assert {one.status for one in await way.rows(event)} == {Status.SENT}


class TestReminders:
    @pytest.fixture
    def remind(self, way: Way) -> Remind:
        way.catalogue.owners.append(
            Owner(address="duty@fabrikam.example", name="Duty", language="de", time_zone="Europe/Berlin")
        )
        return Remind(way.catalogue, way.expand._recipients, way.ledger, way.submit, way.clock)

    async def test_an_overdue_update_is_told_to_the_owners(self, way: Way, say: Say, remind: Remind) -> None:
        """Once it is late, once; in their language, about all that is affected."""
        await say(MAJOR, "contoso-prod", "northwind-prod")
        assert await remind() == 0
        way.clock.advance(minutes=61)
        assert [await remind(), await remind()] == [1, 0]
        await way.expand("*")
        await way.deliver(way.catalogue.types[MAJOR].lane)

        [event] = [one for one in await way.ledger.events.list() if one.source == "dispatcher:obligations"]
        [row] = await way.rows(event.id)
        assert (row.address, row.status, row.language) == ("duty@fabrikam.example", Status.SENT, "de")
        assert row.instances == ("contoso-prod", "northwind-prod")
        assert row.subject == "Overdue for incident INC-7: Next update"
        assert [reason.role for reason in row.reasons] == ["owners"]

    async def test_again_every_four_hours_ten_times(self, way: Way, say: Say, remind: Remind) -> None:
        """However long it goes on, and however often it is asked."""
        await say(MAJOR, "contoso-prod")
        sent = []
        for _ in range(60):
            way.clock.advance(hours=1)
            sent += [way.clock()] * await remind()

        assert len(sent) == MOST_REMINDERS
        assert {later - earlier for earlier, later in pairwise(sent)} == {AGAIN}

    async def test_of_a_report_each_business_day(self, way: Way, say: Say, remind: Remind) -> None:
        """It falls due on Monday evening; after that the owners hear of it when work begins."""
        await say(MAJOR, "contoso-prod")
        await say(BACK)
        sent = []
        for _ in range(24 * 13):
            way.clock.advance(hours=1)
            sent += [way.clock()] * await remind()

        assert [f"{one:%a %H}" for one in sent] == ["Mon 17", "Tue 08", "Wed 08", "Thu 08", "Fri 08"]

    async def test_what_is_met_is_not_reminded_of(self, way: Way, say: Say, remind: Remind) -> None:
        """An update that came, however late, ends it."""
        await say(MAJOR, "contoso-prod")
        way.clock.advance(minutes=70)
        await say(MAJOR, "contoso-prod", started_at=way.clock())

        assert await remind() == 0

    async def test_a_worker_that_went_away_reminds_once(self, way: Way, say: Say, remind: Remind) -> None:
        """If it was sent and not noted, the next worker notes it; nobody gets it twice."""
        await say(MAJOR, "contoso-prod")
        way.clock.advance(minutes=61)
        [one] = await way.ledger.obligations.overdue()
        incident = await way.ledger.incidents.get(INC)
        await way.submit([remind._reminder(one, incident, [])])

        assert await remind() == 1
        events = await way.ledger.events.list()
        assert sum(event.source == "dispatcher:obligations" for event in events) == 1

    async def test_without_owners_nobody_is(self, way: Way, say: Say, remind: Remind) -> None:
        """There is nobody to write to; the status report says so."""
        way.catalogue.owners.clear()
        await say(MAJOR, "contoso-prod")
        way.clock.advance(minutes=90)

        assert await remind() == 0

    async def test_a_type_that_cannot_be_sent_is_said_once(
        self, way: Way, say: Say, remind: Remind, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A catalogue whose reminder wants more than we know keeps nobody from anything else."""
        spec = way.catalogue.types["obligation-overdue"]
        field = spec.fields["owes"].model_copy(update={"required": True})
        wants = spec.model_copy(update={"fields": {**spec.fields, "signature": field}})
        way.catalogue.types["obligation-overdue"] = wants
        await say(MAJOR, "contoso-prod")
        way.clock.advance(minutes=90)

        with caplog.at_level(logging.ERROR):
            assert [await remind(), await remind()] == [0, 0]
        errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
        assert [message.count("signature") for message in errors] == [1]


class TestTold:
    async def test_the_end_goes_to_those_who_were_told(self, way: Way, say: Say) -> None:
        """And the report too; who is not on the list any more is among them, who came later is not."""
        opened = await say(MAJOR, "contoso-prod")
        await way.expand(opened)
        await way.deliver(way.catalogue.types[MAJOR].lane)
        file = way.root / "recipients" / "contoso-prod.yaml"
        kept = file.read_text(encoding="utf-8").replace("c@contoso.example", "new@contoso.example")
        file.write_text(kept, encoding="utf-8")
        for key in (BACK, REPORT):
            event = await say(key)
            await way.expand(event)
            await way.deliver(way.catalogue.types[key].lane)

            assert [one.address for one in await way.rows(event)] == [
                "a@contoso.example",
                "b@contoso.example",
                "c@contoso.example",
            ]

    async def test_an_update_makes_sense_alone(self, way: Way, say: Say) -> None:
        """Who is added later learns from one update what happened, since when, and all that was said."""
        first = {"at": way.clock().isoformat(), "text": "We look into it."}
        opened = await say(MAJOR, "contoso-prod", updates=[first], impact="Nobody signs in.")
        await way.expand(opened)
        file = way.root / "recipients" / "contoso-prod.yaml"
        file.write_text(
            file.read_text(encoding="utf-8").replace(
                "c@contoso.example", "c@contoso.example, new@contoso.example"
            ),
            encoding="utf-8",
        )
        began = way.clock()
        way.clock.advance(minutes=30)
        second = {"at": way.clock().isoformat(), "text": "We know the cause."}
        fields: dict[str, Any] = {
            "updates": [first, second],
            "impact": "Nobody signs in.",
            "started_at": began,
        }
        update = await say(MAJOR, "contoso-prod", status="identified", **fields)
        await way.expand(update)
        await way.deliver(way.catalogue.types[MAJOR].lane)

        [kept] = [one for one in way.server.kept if one.recipient == "new@contoso.example"]
        mail = email.message_from_bytes(kept.message, policy=email.policy.default)
        body = mail.get_body(("plain",))
        assert body is not None
        text = body.get_content()
        for words in (
            "No sign-in",
            "We know the cause",
            "We look into it",
            "Nobody signs in",
            "2 March 2026",
        ):
            assert words in text
        assert mail["In-Reply-To"] is None

    async def test_one_organisation_is_told_at_the_end(self, way: Way, say: Say) -> None:
        """Its incident is recorded while it lasts; the mail says that it is over. It opens nothing here."""
        fields = {"incident": "INC-9", "summary": "Blank page", "started_at": way.clock().isoformat()}
        chosen = Selection("instances", ("contoso-prod",))
        [while_it_lasts] = await way.submit(
            [Submission("test", "a", "service-incident", chosen, "INC-9", fields)]
        )
        over = fields | {"resolved_at": (way.clock() + timedelta(hours=1)).isoformat()}
        [at_the_end] = await way.submit([Submission("test", "b", "service-incident", chosen, "INC-9", over)])
        await way.expand(at_the_end.event)
        await way.deliver(way.catalogue.types["service-incident"].lane)

        assert await way.rows(while_it_lasts.event) == []
        assert {one.status for one in await way.rows(at_the_end.event)} == {Status.SENT}
        assert await way.ledger.incidents.open() == []
