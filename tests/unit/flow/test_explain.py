"""What `explain` says of a delivery that ends with what it announces."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dispatcher.domain.delivery import Delivery, Lane, Reason, Status
from dispatcher.domain.event import Event, EventStatus, Selection
from dispatcher.flow.explain import Story, tell

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WAITS = "    expires at 2026-03-01 12:00:00Z"
OVER = "    what it announces was over at 2026-03-01 12:00:00Z; nothing more is sent"
EVENT = Event(
    id="evt_1",
    source="/changes",
    external_id="CHG-1",
    type="planned-maintenance",
    effective_type="planned-maintenance",
    lane=Lane.NORMAL,
    selection=Selection("instances", ("contoso-prod",)),
    thread=None,
    fields={},
    time=None,
    accepted_at=NOON,
    status=EventStatus.EXPANDED,
    reason="",
)


def told(status: Status, expires_at: datetime | None) -> list[str]:
    """The story of one delivery."""
    delivery = Delivery(
        id="dlv_1",
        event="evt_1",
        type="planned-maintenance",
        instance="contoso-prod",
        instances=("contoso-prod",),
        address="ada@contoso.example",
        name=None,
        language="en",
        time_zone="UTC",
        reasons=(Reason("admins", "recipients/contoso-prod.yaml:6"),),
        sender="default",
        lane=Lane.NORMAL,
        status=status,
        reason="",
        message_id="<1@example.com>",
        subject="Planned maintenance",
        template="maintenance@1",
        tries=0,
        next_try_at=None,
        uncertain=False,
        created_at=NOON,
        updated_at=NOON,
        expires_at=expires_at,
    )
    return list(tell(Story(EVENT, [delivery])))


@pytest.mark.parametrize("status", Status)
def test_the_end_of_a_mail_is_told_while_it_matters(status: Status) -> None:
    """What may still leave says until when, what expired says since when, and the rest says neither."""
    waiting = {Status.QUEUED, Status.DEFERRED, Status.UNCERTAIN, Status.SENDING}
    expected = WAITS if status in waiting else OVER if status is Status.EXPIRED else None

    assert [line for line in told(status, NOON) if line in {WAITS, OVER}] == ([expected] if expected else [])
    assert not [line for line in told(status, None) if "expires" in line or "over" in line]


def test_large_numbers_are_easy_to_read() -> None:
    """As everywhere else, thousands are parted."""
    event = replace(EVENT, counts={Status.SENT: 2_001, Status.FAILED: 12})

    assert "  is expanded (12 failed, 2,001 sent)" in list(tell(Story(event, [])))
