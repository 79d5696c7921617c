"""Events and deliveries as JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest

from dispatcher.domain.delivery import Attempt, Delivery, Lane, Reason, Status
from dispatcher.domain.event import Event, EventStatus, Selection
from dispatcher.flow.present import delivery_json, event_json
from dispatcher.flow.tokens import new_token, token_hash

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_event(selection: Selection) -> Event:
    return Event(
        id="evt_1",
        source="/changes",
        external_id="CHG-1",
        type="security-update",
        effective_type="planned-maintenance",
        lane=Lane.NORMAL,
        selection=selection,
        thread=None,
        fields={"start": "2027-03-06T22:00:00+01:00"},
        time=NOON.astimezone(timezone(timedelta(hours=1))),
        accepted_at=NOON + timedelta(milliseconds=250),
        status=EventStatus.EXPANDED,
        reason="",
        warnings=("w",),
        counts={Status.SENT: 2},
    )


@pytest.mark.parametrize(
    ("selection", "shown"),
    [
        (Selection("instances", ("a", "b")), ["a", "b"]),
        (Selection("region", ("emea",)), {"region": "emea"}),
        (Selection("all"), "all"),
        (Selection("thread"), None),
    ],
)
def test_shows_an_event(selection: Selection, shown: object) -> None:
    """An event is plain JSON with UTC moments, its instances as they were sent."""
    value = event_json(make_event(selection))

    assert value["instances"] == shown
    assert value["time"] == "2026-03-01T12:00:00Z"
    assert value["accepted_at"] == "2026-03-01T12:00:00.250000Z"
    assert value["counts"] == {"sent": 2}
    assert orjson.loads(orjson.dumps(value)) == value


def test_shows_a_delivery() -> None:
    """A delivery tells its reasons and attempts in plain JSON."""
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
        status=Status.DEFERRED,
        reason="refused_temporarily",
        message_id="<1@example.com>",
        subject="■",
        template="maintenance@1",
        tries=1,
        next_try_at=NOON,
        expires_at=NOON + timedelta(days=1),
        uncertain=False,
        created_at=NOON,
        updated_at=NOON,
        attempts=(Attempt(NOON, Status.DEFERRED, "refused_temporarily", 451, "4.7.1", "Later"),),
    )
    value = delivery_json(delivery)

    assert value["reasons"] == [{"role": "admins", "at": "recipients/contoso-prod.yaml:6"}]
    assert value["attempts"] == [
        {
            "at": "2026-03-01T12:00:00Z",
            "status": "deferred",
            "reason": "refused_temporarily",
            "code": 451,
            "enhanced_code": "4.7.1",
            "reply": "Later",
        }
    ]
    assert value["next_try_at"] == "2026-03-01T12:00:00Z"
    assert value["expires_at"] == "2026-03-02T12:00:00Z"
    assert orjson.loads(orjson.dumps(value)) == value


def test_makes_tokens_that_tell_what_they_are() -> None:
    """A token is dsp_ and what the random source gave; only its hash is to be kept."""
    text, sha256 = new_token(lambda size: "x" * size)

    assert text == "dsp_" + "x" * 32
    assert sha256 == token_hash(text)
    assert len(sha256) == 64
