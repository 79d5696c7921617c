"""When a message to upstream is tried again."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from dispatcher.domain.webhook import JITTER, LONGEST_WAIT, PAUSES, next_try

NOW = datetime(2027, 1, 5, tzinfo=UTC)


def test_the_schedule_is_the_standards() -> None:
    """Ten tries in little more than three days, each pause at most a tenth longer than the standard says."""
    for tries, pause in enumerate(PAUSES, 1):
        again = next_try(tries, NOW, random.Random(tries))

        assert again is not None
        assert pause <= again - NOW <= pause * (1 + JITTER)
    assert next_try(len(PAUSES) + 1, NOW, random.Random(1)) is None
    assert timedelta(days=3) < sum(PAUSES, timedelta()) < timedelta(days=3, hours=6)


def test_a_receiver_may_ask_for_patience() -> None:
    """It is waited for as long as it says, if that is longer, and never longer than a day."""
    rng = random.Random(1)

    assert next_try(1, NOW, rng, timedelta(minutes=2)) == NOW + timedelta(minutes=2)
    assert next_try(1, NOW, rng, timedelta(days=400)) == NOW + LONGEST_WAIT
    later = next_try(2, NOW, rng, timedelta(seconds=1))
    assert later is not None
    assert later >= NOW + PAUSES[1]
