"""What ``status`` says of messages to upstream."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dispatcher.flow.told import PATIENCE, told_json, told_problems
from dispatcher.ledger.webhooks import Waiting

NOW = datetime(2027, 3, 6, 21, tzinfo=UTC)


def test_what_waits_a_moment_is_no_problem() -> None:
    """Nothing is amiss while a receiver restarts; later it is said since when, and where to look."""
    assert list(told_problems(Waiting(2, NOW - PATIENCE, 0), NOW)) == []
    [late] = told_problems(Waiting(2, NOW - PATIENCE - timedelta(minutes=1), 0), NOW)
    assert late == "2 messages to upstream wait since 20:49Z. `dispatcher webhooks` says why"


def test_what_was_given_up_needs_a_person() -> None:
    """It is counted, with what to do."""
    [problem] = told_problems(Waiting(0, None, 1), NOW)

    assert problem.startswith("1 message to upstream was given up.")
    assert "`dispatcher webhooks retry`" in problem


def test_the_same_as_json() -> None:
    """Counts, and a moment in UTC."""
    assert told_json(Waiting(1, NOW, 3)) == {
        "webhooks": {"waiting": 1, "oldest_at": "2027-03-06T21:00:00Z", "failed": 3}
    }
