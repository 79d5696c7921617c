"""Plans that stand alike take a turn alike: it is worked out for the first of them."""

from __future__ import annotations

from dataclasses import replace

from dispatcher.domain.cadence import Cadence
from dispatcher.domain.life import Statement, advance
from dispatcher.domain.plan import Plan, PlanKey
from dispatcher.domain.planning import Place
from dispatcher.domain.turning import Taken

#: In a plan that stands for all that are like it.
_ANY = PlanKey("", "", "")


class Alike:
    """What one event makes of plans; of thousands at a few kinds of places it works out a few."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Place], tuple[Plan | None, Taken]] = {}

    def advance(self, key: str, cadence: Cadence, plan: Plan | None, said: Statement, place: Place) -> Taken:
        """As `dispatcher.domain.life.advance`, for statements that differ in their instance alone.

        Raises:
            MoveRefused: The plan may not take that turn.
        """
        before = None if plan is None else replace(plan, key=_ANY, id="", version=0)
        last = self._known.get((key, place))
        if last is None or last[0] != before:
            took = advance(key, cadence, plan, said, place)
            self._known[key, place] = before, took
            return took
        return _meant_for(last[1], PlanKey(key, said.subject, said.instance), plan)


def _meant_for(took: Taken, key: PlanKey, plan: Plan | None) -> Taken:
    """The same turn at another instance."""
    own = replace(took.plan, key=key)
    if plan is not None:
        own = replace(own, id=plan.id, version=plan.version)
    move = None if took.move is None else replace(took.move, plan=key)
    return replace(took, plan=own, move=move)
