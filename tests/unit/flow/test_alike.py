"""Plans that stand alike, moved by one event: the same as if each were moved alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from plan_examples import Life, cadence, place, utc

from dispatcher.domain.cadence import Turn
from dispatcher.domain.life import MoveRefused, Statement, Taken, advance
from dispatcher.domain.plan import Plan
from dispatcher.domain.planning import Place
from dispatcher.flow.alike import Alike

DATE = utc("2027-03-06 21:00")
NOW = utc("2027-01-01 08:00")
ZONES = ("Europe/Berlin", "Asia/Tokyo", "Europe/Berlin", "Europe/Berlin", "Asia/Tokyo")


def said(turn: Turn, instance: str, **fields: Any) -> Statement:
    """What one event says to one instance."""
    return Statement(
        type=f"update-{turn}",
        turn=turn,
        instance=instance,
        subject="u1",
        fields=fields,
        raw={key: value.isoformat() for key, value in fields.items()},
        event_id="evt_1",
        said_at=NOW + timedelta(days=1),
        accepted_at=NOW + timedelta(days=1),
    )


def both(turn: Turn, plans: list[Plan | None], **fields: Any) -> tuple[list[Taken], list[Taken]]:
    """What comes of plans at places of two kinds, alone and alike."""
    alike, places = Alike(), [place(zone) for zone in ZONES]
    alone, together = [], []
    for number, (plan, where) in enumerate(zip(plans, places, strict=True)):
        statement = said(turn, f"i{number}", **fields)
        alone.append(advance("major-update", cadence(), plan, statement, where))
        together.append(alike.advance("major-update", cadence(), plan, statement, where))
    return alone, together


def begun() -> list[Plan | None]:
    """Plans of five instances, as one event made them, each with an id and a version of its own."""
    made, _ = both("scheduled", [None] * len(ZONES), scheduled_at=DATE)
    return [replace(one.plan, id=f"pln_{number}", version=number) for number, one in enumerate(made)]


def test_plans_begin_alike() -> None:
    """Each has its own key; steps stand where its own zone puts them."""
    alone, together = both("scheduled", [None] * len(ZONES), scheduled_at=DATE)

    assert together == alone
    assert [one.plan.key.instance for one in together] == ["i0", "i1", "i2", "i3", "i4"]
    assert together[0].plan.steps != together[1].plan.steps


@pytest.mark.parametrize(
    ("turn", "fields"),
    [
        ("rescheduled", {"scheduled_at": DATE + timedelta(days=7)}),
        ("approved", {}),
        ("in-progress", {}),
        ("cancelled", {}),
    ],
)
def test_plans_move_alike(turn: Turn, fields: dict[str, Any]) -> None:
    """Ids and versions stay each plan's own."""
    alone, together = both(turn, begun(), **fields)

    assert together == alone
    assert [one.plan.id for one in together] == [f"pln_{number}" for number in range(len(ZONES))]


def test_a_plan_that_stands_otherwise_is_moved_by_itself() -> None:
    """Only what is the same but for its name is taken for the same."""
    plans = begun()
    odd = plans[2]
    assert odd is not None
    plans[2] = replace(odd, facts={**odd.facts, "version": "11.0"})
    plans[3] = None
    alone, together = both("rescheduled", plans, scheduled_at=DATE + timedelta(days=7))

    assert together == alone
    assert together[2].plan.facts["version"] == "11.0"


def test_each_is_refused_for_itself() -> None:
    """A turn that is not allowed is refused, however many came before."""
    alike, where = Alike(), place()
    life = Life(now=NOW)
    life.begin(DATE)
    life.hear("approved")
    for number in range(3):
        with pytest.raises(MoveRefused):
            alike.advance("major-update", cadence(), life.made, said("approved", f"i{number}"), where)
    assert isinstance(where, Place)
