from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from dispatcher.domain.event import EventStatus, Selection


def test_an_event_stands_in_one_of_four_places() -> None:
    """The words are those of the API and the docs."""
    assert [str(status) for status in EventStatus] == ["accepted", "expanded", "recorded", "failed"]


def test_a_selection_can_be_compared_and_not_changed() -> None:
    """Two selections of the same instances are equal; a change is a new one."""
    selection = Selection("instances", ("a", "b"))

    assert selection == Selection("instances", ("a", "b"))
    assert selection != Selection("region", ("a", "b"))
    with pytest.raises(FrozenInstanceError):
        selection.kind = "all"  # type: ignore[misc]
