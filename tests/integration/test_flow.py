"""The way of an event through submit, expand and deliver, on each database and over real SMTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from way import CONTOSO, Way

from dispatcher.domain.delivery import Delivery, Lane, Status
from dispatcher.domain.event import EventStatus, Selection
from dispatcher.domain.fields import sample
from dispatcher.domain.house import Sender
from dispatcher.errors import EventConflict, EventInvalid
from dispatcher.flow.explain import explain, tell
from dispatcher.flow.submit import Submission
from dispatcher.queue.lanes import EVERY


async def test_everybody_gets_one_mail_and_the_ledger_says_so(way: Way) -> None:
    """Each delivery is sent once, with the server's 250 in the ledger."""
    rows = await way.go("planned-maintenance")

    assert [row.address for row in rows] == ["a@contoso.example", "b@contoso.example", "c@contoso.example"]
    assert {row.status for row in rows} == {Status.SENT}
    assert {row.attempts[0].code for row in rows} == {250}
    assert sorted(kept.recipient for kept in way.server.kept) == [row.address for row in rows]


async def test_one_who_is_refused_does_not_stop_the_rest(way: Way) -> None:
    """A 5xx is final for one delivery and no matter for the others."""
    way.server.script("RCPT", "b@contoso.example", reply="550 5.1.1 no such user")
    rows = await way.go("planned-maintenance")

    assert [row.status for row in rows] == [Status.SENT, Status.FAILED, Status.SENT]
    assert rows[1].attempts[0].enhanced_code == "5.1.1"
    assert rows[1].next_try_at is None


async def test_a_temporary_refusal_is_tried_again_with_the_same_message_id(way: Way) -> None:
    """A 4xx puts a delivery off by about five minutes; the second try bears the first one's Message-ID."""
    way.server.script("RCPT", "b@contoso.example", reply="451 4.7.1 later", times=1)
    before = (await way.go("planned-maintenance"))[1]
    early = await way.deliver(Lane.NORMAL)
    way.clock.advance(minutes=7)
    await way.deliver(Lane.NORMAL)
    after = (await way.rows(before.event))[1]

    assert (before.status, early) == (Status.DEFERRED, 0)
    assert before.next_try_at is not None
    assert (
        timedelta(minutes=4)
        <= before.next_try_at - way.clock() + timedelta(minutes=7)
        <= timedelta(minutes=6)
    )
    assert (after.status, after.message_id) == (Status.SENT, before.message_id)
    assert [attempt.code for attempt in after.attempts] == [451, 250]


async def test_a_delivery_that_is_put_off_for_days_is_given_up(way: Way) -> None:
    """After four days of temporary refusals the delivery has failed, and the last reply says why."""
    way.server.script("RCPT", "b@contoso.example", reply="451 4.7.1 later")
    event = (await way.go("planned-maintenance"))[1].event
    for _ in range(60):
        way.clock.advance(hours=5)
        await way.deliver(Lane.NORMAL)
    row = (await way.rows(event))[1]

    assert row.status is Status.FAILED
    assert 20 < len(row.attempts) < 60
    assert row.attempts[-1].code == 451


async def test_a_lost_connection_after_the_message_is_uncertain_and_sent_again(way: Way) -> None:
    """Nobody can know whether it arrived, so it is sent again with the same Message-ID, and marked."""
    way.server.script("DOT", "b@contoso.example", action="cut", keep=True, times=1)
    before = (await way.go("planned-maintenance"))[1]
    way.clock.advance(minutes=7)
    await way.deliver(Lane.NORMAL)
    after = (await way.rows(before.event))[1]

    assert (before.status, before.uncertain) == (Status.UNCERTAIN, True)
    assert (after.status, after.uncertain) == (Status.SENT, True)
    copies = [kept for kept in way.server.kept if kept.recipient == "b@contoso.example"]
    assert len(copies) == 2
    assert copies[0].message == copies[1].message


async def test_expanding_twice_changes_nothing(way: Way) -> None:
    """Whoever expands an event again finds it done."""
    event = await way.accept("planned-maintenance")
    await way.expand(event)
    await way.expand(event)

    assert len(await way.rows(event)) == 3


async def test_two_instances_are_two_mails_to_one_who_minds_both(way: Way) -> None:
    """One person gets one mail per event and instance."""
    rows = await way.go("planned-maintenance", instances=["contoso-prod", "northwind-prod"])

    about = {row.instance for row in rows if row.address == "a@contoso.example"}
    assert about == {"contoso-prod", "northwind-prod"}
    assert len({row.message_id for row in rows}) == len(rows) == 5


async def test_grouped_by_person_one_mail_lists_all_instances(way: Way) -> None:
    """A type grouped by person sends one mail that names every instance of theirs."""
    spec = way.catalogue.types["general-awareness"].model_copy(update={"group_by": "person"})
    way.catalogue.types["general-awareness"] = spec
    rows = await way.go("general-awareness", instances=["contoso-prod", "northwind-prod"])

    assert [(row.address, row.instances) for row in rows] == [
        ("a@contoso.example", ("contoso-prod", "northwind-prod")),
        ("b@contoso.example", ("contoso-prod",)),
        ("c@contoso.example", ("contoso-prod",)),
        ("n@northwind.example", ("northwind-prod",)),
    ]
    [shared] = [kept for kept in way.server.kept if kept.recipient == "a@contoso.example"]
    assert b"Contoso Production" in shared.message
    assert b"northwind-prod" in shared.message


async def test_one_variant_serves_all_who_read_the_same(way: Way) -> None:
    """Two admins in one language and zone share a body but for their own address."""
    await way.go("planned-maintenance")
    first, second = (
        next(kept for kept in way.server.kept if kept.recipient == f"{name}@contoso.example") for name in "ab"
    )

    def body(message: bytes) -> bytes:
        return message.partition(b"\r\n\r\n")[2]

    assert body(first.message) != body(second.message)
    assert body(first.message).replace(b"a@contoso", b"b@contoso") == body(second.message)


async def test_who_was_refused_the_incident_does_not_hear_of_its_end(way: Way) -> None:
    """Service restored goes to those who were told of the incident, and to nobody else."""
    way.server.script("RCPT", "b@contoso.example", reply="550 5.1.1 no such user", times=1)
    await way.go("major-service-incident", thread="INC-1")
    (way.root / "recipients" / "contoso-prod.yaml").write_text(
        CONTOSO.replace("[c@contoso.example]", "[late@contoso.example]"), encoding="utf-8"
    )
    rows = await way.go("service-restored", thread="INC-1", instances=[], id_="2")

    assert [row.address for row in rows] == ["a@contoso.example", "c@contoso.example"]


async def test_an_end_that_overtakes_its_incident_waits_for_it(way: Way) -> None:
    """The incident's event is expanded first if its end is expanded before it."""
    await way.accept("major-service-incident", thread="INC-1")
    rows = await way.go("service-restored", thread="INC-1", instances=[], id_="2")

    assert [row.address for row in rows] == ["a@contoso.example", "b@contoso.example", "c@contoso.example"]


async def test_a_thread_of_which_nobody_was_told_mails_nobody(way: Way) -> None:
    """Without an incident in the thread there is nobody to tell of its end, and the ledger says so."""
    event = await way.accept("service-restored", thread="INC-9", instances=[])
    await way.expand(event)
    found = await way.ledger.events.get(event)

    assert found.status is EventStatus.RECORDED
    assert "thread" in found.reason


async def test_a_template_that_breaks_holds_its_event_up_until_it_is_mended(way: Way) -> None:
    """The event says what is in its way and waits; once the template is mended its mails go out."""
    event = await way.accept("planned-maintenance")
    template = way.root / "templates" / "maintenance.txt.j2"
    good = template.read_text(encoding="utf-8")
    template.write_text("{{ nonsense }}", encoding="utf-8")
    await way.expand(event)
    waiting = await way.ledger.events.get(event)
    template.write_text(good, encoding="utf-8")
    way.clock.advance(seconds=31)
    await way.expand(EVERY)
    await way.deliver(Lane.NORMAL)
    sent = await way.ledger.events.get(event)

    assert waiting.status is EventStatus.ACCEPTED
    assert "nonsense" in waiting.reason
    assert (sent.status, sent.reason, sent.counts) == (EventStatus.EXPANDED, "", {Status.SENT: 3})


async def test_an_event_that_cannot_be_expanded_is_no_matter_for_those_behind_it(way: Way) -> None:
    """Whatever goes wrong with one event, the others that wait are expanded."""
    stuck = await way.accept("planned-maintenance")
    behind = await way.accept("planned-maintenance", id_="2")
    del way.catalogue.senders["default"]
    way.catalogue.types["planned-maintenance"].audience.roles.append("partners")
    await way.expand(EVERY)
    way.catalogue.senders["default"] = Sender(address="notices@fabrikam.example", name="Fabrikam")
    way.clock.advance(seconds=31)
    await way.expand(EVERY)

    for event in (stuck, behind):
        assert (await way.ledger.events.get(event)).status is EventStatus.EXPANDED


async def test_a_contact_with_blanks_around_it_is_the_contact(way: Way) -> None:
    """What was accepted is expanded as it was understood."""
    rows = await way.go("support-case-resolved", contact=" jane@contoso.example ")

    assert [row.address for row in rows if row.reasons[0].role == "contact"] == ["jane@contoso.example"]


async def test_who_was_told_hears_of_the_end_even_if_the_instance_has_left(way: Way) -> None:
    """The file of an instance goes between an incident and its end; its people are told of the end."""
    await way.go("major-service-incident", thread="INC-1", instances=["northwind-prod"])
    (way.root / "recipients" / "northwind-prod.yaml").unlink()
    rows = await way.go("service-restored", thread="INC-1", instances=[], id_="2")

    assert [(row.address, row.instance, row.status) for row in rows] == [
        ("a@contoso.example", "northwind-prod", Status.SENT),
        ("n@northwind.example", "northwind-prod", Status.SENT),
    ]


async def test_an_instance_that_left_meanwhile_is_a_warning(way: Way) -> None:
    """It is waited for a little; then the mail goes to the one that is left, and the other is named."""
    event = await way.accept("planned-maintenance", instances=["contoso-prod", "northwind-prod"])
    (way.root / "recipients" / "northwind-prod.yaml").unlink()
    await way.expand(event)
    waiting = await way.ledger.events.get(event)
    way.clock.advance(minutes=3)
    await way.expand(event)
    found = await way.ledger.events.get(event)

    assert waiting.status is EventStatus.ACCEPTED
    assert "northwind-prod" in waiting.reason
    assert found.warnings == ("instance northwind-prod has left the recipient lists",)
    assert {row.instance for row in await way.rows(event)} == {"contoso-prod"}


async def test_a_type_that_a_worker_does_not_know_yet_is_waited_for(way: Way) -> None:
    """A worker with an older catalogue leaves the event to one that knows its type."""
    event = await way.accept("planned-maintenance")
    spec = way.catalogue.types.pop("planned-maintenance")
    await way.expand(event)
    waiting = await way.ledger.events.get(event)
    way.catalogue.types["planned-maintenance"] = spec
    way.clock.advance(seconds=31)
    await way.expand(EVERY)

    assert waiting.status is EventStatus.ACCEPTED
    assert "restart" in waiting.reason
    assert len(await way.rows(event)) == 3


async def test_all_problems_of_a_batch_come_at_once_and_nothing_is_kept(way: Way) -> None:
    """Each problem says which event it is in; the right ones of the batch are not accepted either."""
    values = sample(way.catalogue.types["planned-maintenance"], way.clock())
    chosen = Selection("instances", ("contoso-prod",))
    right = Submission("test", "1", "planned-maintenance", chosen, None, values)
    late = Submission("test", "2", "planned-maintenance", chosen, None, values | {"end": values["start"]})
    strange = Submission("test", "3", "planned-maintenance", Selection("instances", ("x",)), None, values)
    with pytest.raises(EventInvalid) as caught:
        await way.submit([right, late, strange])

    assert [problem.where for problem in caught.value.problems] == [
        "events[1].fields.end",
        "events[2].instances",
    ]
    assert await way.ledger.events.list() == []


async def test_a_repeat_is_known_even_when_its_instance_has_left(way: Way) -> None:
    """A repeat gets the first answer; only something new is checked against today's lists."""
    first = await way.accept("planned-maintenance", instances=["northwind-prod"])
    (way.root / "recipients" / "northwind-prod.yaml").unlink()
    again = await way.accept("planned-maintenance", instances=["northwind-prod"])

    assert again == first
    with pytest.raises(EventConflict):
        await way.accept("planned-maintenance", instances=["northwind-prod"], summary="Another")
    with pytest.raises(EventInvalid):
        await way.accept("planned-maintenance", instances=["northwind-prod"], id_="2")


@pytest.mark.parametrize(
    "choose", [lambda row: row.event, lambda row: row.address, lambda row: row.message_id]
)
async def test_explain_tells_the_whole_story(way: Way, choose: Callable[[Delivery], str]) -> None:
    """By event, address or Message-ID: what came in, who, why, which template, every attempt."""
    way.server.script("RCPT", "c@contoso.example", reply="451 4.7.1 later", times=1)
    row = (await way.go("planned-maintenance"))[2]
    [found] = await explain(way.ledger, choose(row))
    story = "\n".join(tell(found))

    for word in (
        row.event,
        "from test as 1",
        "recipients/contoso-prod.yaml:5",
        "maintenance@",
        "451",
        "next try",
    ):
        assert word in story


async def test_ends_that_wait_for_their_incident_do_not_block_others(way: Way) -> None:
    """However many wait for what cannot be expanded, an event behind them is."""
    await way.accept("major-service-incident", thread="INC-1")
    template = way.root / "templates" / "major-service-incident.txt.j2"
    template.write_text("{{ nonsense }}", encoding="utf-8")
    for number in range(120):
        await way.accept("service-restored", thread="INC-1", instances=[], id_=f"end-{number}")
    behind = await way.accept("planned-maintenance", id_="behind")
    await way.expand(EVERY)
    await way.expand(EVERY)

    assert (await way.ledger.events.get(behind)).status is EventStatus.EXPANDED


async def test_an_event_with_a_field_that_this_worker_does_not_know_waits(way: Way) -> None:
    """A worker with last week's catalogue must not announce work whose event says that it is off."""
    event = await way.accept("planned-maintenance", cancelled=True)
    spec = way.catalogue.types["planned-maintenance"]
    older = spec.model_copy(update={"fields": {k: v for k, v in spec.fields.items() if k != "cancelled"}})
    types = way.catalogue.types | {"planned-maintenance": older}
    way.expand._catalogue = way.catalogue.model_copy(update={"types": types})
    await way.expand(event)

    found = await way.ledger.events.get(event)
    assert found.status == "accepted"
    assert "field cancelled of type planned-maintenance is not in the catalogue" in found.reason
    assert await way.rows(event) == []


async def test_a_template_that_never_ends_does_not_take_the_worker_along(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event waits with the template and its line as the reason, and the worker goes on."""
    monkeypatch.setattr("dispatcher.flow.draft.RENDER_SECONDS", 2.0)
    file = way.root / "templates" / "maintenance.html.j2"
    loop = "{% block content %}\n{% for i in range(10 ** 12) %}{% endfor %}"
    file.write_text(file.read_text("utf-8").replace("{% block content %}", loop), "utf-8")
    event = await way.accept("planned-maintenance")
    await way.expand(event)

    found = await way.ledger.events.get(event)
    assert found.status == "accepted"
    assert "templates/maintenance.html.j2:" in found.reason
    assert "does a loop never end?" in found.reason
    assert (await way.go("general-awareness", id_="2"))[0].status == "sent"
