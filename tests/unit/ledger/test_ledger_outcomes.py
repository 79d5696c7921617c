from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from ledger_records import DEFERRED, FAILED, LOST, SENT

from dispatcher.domain.delivery import (
    MOVE_REASONS,
    OUTCOME_REASONS,
    Claim,
    Lane,
    OnUncertain,
    Outcome,
    Status,
)
from dispatcher.ledger import Recorded
from dispatcher.ledger.claim_rows import micros
from dispatcher.ledger.claim_sql import LAPSED
from dispatcher.ledger.outcomes import MAX_REPLY, POISON, abandoned, attempt_row, gone, settled

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
CLAIM = Claim(
    id="dlv_1",
    event="evt_1",
    type="news",
    instance="contoso-prod",
    address="ada@example.com",
    name=None,
    language="en",
    sender="operations",
    lane=Lane.BULK,
    message_id="<1@example.com>",
    variant=1,
    fence=1,
    tries=0,
    created_at=NOW,
    retry_from=NOW,
    on_uncertain=OnUncertain.RESEND,
)


@pytest.mark.parametrize(
    ("outcome", "policy", "next_try_at", "status", "due"),
    [
        (SENT, OnUncertain.RESEND, None, Status.SENT, None),
        (SENT, OnUncertain.RESEND, LATER, Status.SENT, None),
        (FAILED, OnUncertain.RESEND, LATER, Status.FAILED, None),
        (DEFERRED, OnUncertain.HOLD, LATER, Status.DEFERRED, LATER),
        (DEFERRED, OnUncertain.RESEND, None, Status.FAILED, None),
        (LOST, OnUncertain.RESEND, LATER, Status.UNCERTAIN, LATER),
        (LOST, OnUncertain.RESEND, None, Status.HELD, None),
        (LOST, OnUncertain.HOLD, LATER, Status.HELD, None),
    ],
)
def test_where_a_delivery_stands_after_an_outcome(
    outcome: Outcome, policy: OnUncertain, next_try_at: datetime | None, status: Status, due: datetime | None
) -> None:
    """A delivery waits for another try or is done with; it never waits without a time."""
    row = settled(Recorded(replace(CLAIM, on_uncertain=policy), outcome, next_try_at), micros(NOW))

    assert (row.status, row.due) == (status, due and micros(due))
    assert row.doubt == (outcome is LOST)
    assert (row.came, row.since) == (outcome.status, micros(NOW))


@pytest.mark.parametrize(
    ("crashes", "policy", "status", "reason", "due"),
    [
        (0, OnUncertain.RESEND, Status.UNCERTAIN, "lease_expired", NOW),
        (0, OnUncertain.HOLD, Status.HELD, "lease_expired", None),
        (POISON - 2, OnUncertain.RESEND, Status.UNCERTAIN, "lease_expired", NOW),
        (POISON - 1, OnUncertain.RESEND, Status.HELD, "poison", None),
        (POISON - 1, OnUncertain.HOLD, Status.HELD, "poison", None),
    ],
)
def test_where_a_delivery_stands_after_its_worker_went_away(
    crashes: int, policy: OnUncertain, status: Status, reason: str, due: datetime | None
) -> None:
    """It is due at once or held, as its type wants it; the third time in a row it is set aside."""
    row = abandoned(
        SimpleNamespace(id="dlv_1", crashes=crashes, on_uncertain=policy.value, retry_from=None), NOW
    )

    assert (row["new_status"], row["new_reason"], row["due"]) == (status, reason, due)
    assert (row["crashed"], row["doubt"]) == (crashes + 1, True)


def test_reasons_are_from_the_closed_sets() -> None:
    """What the ledger writes by itself when a worker went away is among the words that readers know."""
    assert set(LAPSED) <= OUTCOME_REASONS | MOVE_REASONS
    assert gone("w1").reason in OUTCOME_REASONS
    assert "w1" in gone("w1").reply


def test_a_long_reply_is_cut() -> None:
    """Of a server's reply at most 500 characters are kept, without what no database takes."""
    reply = attempt_row("dlv_1", replace(SENT, reply="\x00" + "x" * 1000), NOW)["reply"]

    assert len(reply) == MAX_REPLY
    assert "\x00" not in reply
