from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from domain_examples import shipped, type_with

from dispatcher.domain.catalogue import Calendar
from dispatcher.domain.delivery import Lane
from dispatcher.domain.event import Event, EventStatus, Selection
from dispatcher.domain.window import Window, takes_away, uid_of, window_of

START = datetime(2027, 3, 6, 21, 0, tzinfo=UTC)
EVENT = Event(
    id="evt_1",
    source="changes",
    external_id="CHG-1",
    type="planned-maintenance",
    effective_type="planned-maintenance",
    lane=Lane.NORMAL,
    selection=Selection("all"),
    thread=None,
    fields={},
    time=None,
    accepted_at=START,
    status=EventStatus.ACCEPTED,
    reason="",
)
SPEC = type_with(
    {"start": {"kind": "datetime"}, "end": {"kind": "datetime"}, "off": {"kind": "boolean"}}
).model_copy(update={"calendar": Calendar(start="start", end="end", cancelled="off")})


def uid(instance: str = "contoso-prod", values: dict[str, Any] | None = None, **change: Any) -> str:
    return uid_of(shipped(), replace(EVENT, **change), values or {}, instance)


@pytest.mark.parametrize(
    ("end", "cancelled", "expected"),
    [
        (START + timedelta(hours=4), None, Window(START, START + timedelta(hours=4))),
        (timedelta(hours=12), False, Window(START, START + timedelta(hours=12))),
        (timedelta(hours=12), True, Window(START, START + timedelta(hours=12), cancelled=True)),
        (START.astimezone() + timedelta(seconds=61.5), None, Window(START, START + timedelta(seconds=61))),
        (START, None, None),
        (START - timedelta(hours=1), None, None),
        (None, None, None),
        ("soon", None, None),
    ],
)
def test_a_window_needs_two_ends_in_their_order(end: Any, cancelled: Any, expected: Window | None) -> None:
    """The end is a moment or a duration; without one, or before the start, there is no window."""
    assert window_of(SPEC, {"start": START, "end": end, "off": cancelled}) == expected


@pytest.mark.parametrize(
    ("values", "thread", "expected"),
    [
        ({"start": START}, "T", True),
        ({"start": START, "off": False}, "T", True),
        ({"off": True}, "T", True),
        ({"off": False}, "T", False),
        ({"end": START}, "T", False),
        ({"start": START, "off": True}, None, False),
    ],
)
def test_a_window_is_taken_away_by_what_names_it(
    values: dict[str, Any], thread: str | None, expected: bool
) -> None:
    """A cancel, or a start without an end, does; what tells no time, or names no window, does not."""
    assert takes_away(SPEC, replace(EVENT, thread=thread), values) is expected


def test_a_type_without_a_calendar_has_no_window() -> None:
    """Only what the catalogue calls a window is one, and only with a start."""
    values = {"start": START, "end": START + timedelta(hours=1)}

    assert window_of(SPEC.model_copy(update={"calendar": None}), values) is None
    assert window_of(SPEC, values | {"start": None}) is None


def test_the_same_window_has_the_same_uid() -> None:
    """What the type calls its identity names it in every type; else the thread does; else the event alone."""
    update: dict[str, Any] = {"effective_type": "update-scheduled"}
    moved: dict[str, Any] = {"effective_type": "update-rescheduled"}
    unplanned: dict[str, Any] = {"effective_type": "unplanned-maintenance"}

    assert uid() == uid()
    assert uid(thread="T") == uid(thread="T", id="evt_2") == uid(thread="T", id="evt_3", **unplanned)
    assert uid(values={"update": "u1"}, **update) == uid(values={"update": "u1"}, id="evt_2", **moved)
    # One of the two events may name a thread: the update is still the same.
    assert uid(values={"update": "u1"}, **update) == uid(values={"update": "u1"}, thread="T", **moved)


def test_other_windows_have_other_uids() -> None:
    """Another event, thread, update or instance is another window, even where they are spelt alike."""
    update: dict[str, Any] = {"effective_type": "update-scheduled"}
    uids = [
        uid(),
        uid(id="evt_2"),
        uid(thread="T"),
        uid(thread="evt_1"),
        uid(thread="u1"),
        uid(values={"update": "u1"}, **update),
        uid(values={"update": "T"}, **update),
        uid("northwind-prod"),
        uid("northwind-prod", thread="T"),
    ]

    assert len(set(uids)) == len(uids)
    assert all(one.endswith("@fabrikam.example") for one in uids)
