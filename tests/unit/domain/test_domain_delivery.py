from __future__ import annotations

from dispatcher.domain.delivery import DUE, FINAL, OUTCOME_REASONS, Lane, Status


def test_every_status_is_final_due_or_being_sent() -> None:
    """No delivery can be lost: what is not over is either due at some time or in a worker's hands."""
    assert FINAL.isdisjoint(DUE)
    assert set(Status) - FINAL - set(DUE) == {Status.SENDING}


def test_the_words_are_lower_case_and_say_themselves() -> None:
    """States, lanes and reasons label the API and the docs, so each is one word as it is written there."""
    words = [*Status, *Lane, *OUTCOME_REASONS]

    assert all(word == str(word).lower() and str(word).replace("_", "").isalpha() for word in words)
    assert len(words) == len(set(words))


def test_the_lanes_are_in_the_order_of_haste() -> None:
    """Who serves the lanes in their order serves the urgent first."""
    assert [str(lane) for lane in Lane] == ["urgent", "normal", "bulk"]
