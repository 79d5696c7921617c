"""Rules of the catalogue that act before anything is sent: notice, expiry, business time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from way import Way

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.event import Selection
from dispatcher.errors import EventInvalid
from dispatcher.flow.expand import Expand
from dispatcher.flow.submit import Submission, Submit

WORK = Selection("instances", ("contoso-prod",))


def maintenance(way: Way, **ahead: float) -> dict[str, Any]:
    """The fields of planned maintenance so far ahead, for two hours."""
    start = way.clock.now + timedelta(**ahead)
    end = start + timedelta(hours=2)
    return {"summary": "A disk is replaced", "start": start.isoformat(), "end": end.isoformat()}


def ruled(way: Way, **rules: Any) -> Way:
    """The same parts over a catalogue whose planned maintenance has other rules."""
    raw = way.catalogue.model_dump(mode="json", by_alias=True)
    raw["types"]["planned-maintenance"] |= rules
    catalogue = Catalogue.model_validate(raw)
    submit = Submit(catalogue, way.recipients, way.ledger, way.submit._bell)
    expand = Expand(
        catalogue, way.recipients, way.ledger, way.expand._tools.renderer, way.submit._bell, way.clock
    )
    return replace(way, catalogue=catalogue, submit=submit, expand=expand)


async def test_short_notice_is_told_to_who_announces_it(way: Way) -> None:
    """The mail goes out, and the event says that it came late."""
    event = await way.accept("planned-maintenance", **maintenance(way, days=2))
    await way.expand(event)

    told = (await way.ledger.events.get(event)).warnings
    warning = "gives 2 days of notice, less than the 5 days that the policy asks for"
    assert told == (f"planned-maintenance {warning}",)
    assert len(await way.rows(event)) == 3


async def test_enough_notice_is_no_matter(way: Way) -> None:
    """Five days ahead nobody is warned."""
    event = await way.accept("planned-maintenance", **maintenance(way, days=5))

    assert (await way.ledger.events.get(event)).warnings == ()


async def test_short_notice_may_be_refused(way: Way) -> None:
    """Where the policy's owner wants that; a cancellation is still told."""
    strict = {"field": "start", "least": "P5D", "otherwise": "refuse"}
    there = ruled(way, minimum_notice=strict)
    fields = maintenance(way, days=2)

    with pytest.raises(EventInvalid, match=r"fields\.start: gives 2 days of notice"):
        await there.submit([Submission("t", "1", "planned-maintenance", WORK, None, fields)])
    [accepted] = await there.submit(
        [Submission("t", "2", "planned-maintenance", WORK, None, fields | {"cancelled": True})]
    )

    assert accepted.event


async def test_mail_may_be_over_some_time_after_its_event(way: Way) -> None:
    """What has not left by then is not sent."""
    there = ruled(way, expires_after="P1D")
    event = await there.accept("planned-maintenance", **maintenance(way, days=20))
    await there.expand(event)
    way.clock.advance(hours=25)
    await way.deliver(Lane.NORMAL)

    assert {row.status for row in await way.rows(event)} == {Status.EXPIRED}


async def test_a_support_case_says_when_a_person_starts_to_work(way: Way) -> None:
    """By severity, plan and clock, where the instance is: three hours of work on a Friday, one on Monday."""
    friday = "2026-03-06T14:00:00+01:00"
    event = await way.accept(
        "support-case-received",
        severity="B",
        plan="standard",
        received_at=friday,
        contact="new@contoso.example",
        respond_by=None,
    )
    await way.expand(event)
    await way.deliver(Lane.NORMAL)
    [mail, *_] = [kept.message.decode("utf-8", "replace") for kept in way.server.kept]

    assert "9 March 2026, 10:00" in mail.replace("=\r\n", "").replace("=20", " ")
