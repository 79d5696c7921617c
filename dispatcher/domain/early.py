"""What came before there was a plan: once one begins, the words said after its first word count.

Networks deliver late. Whoever heard that an update is done, and then that it was scheduled, must not be
reminded of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dispatcher.domain.cadence import Cadence
from dispatcher.domain.life import advance
from dispatcher.domain.moment import by_clock
from dispatcher.domain.plan import ENDED, Move, PlanState
from dispatcher.domain.planning import Place
from dispatcher.domain.turning import MoveRefused, Statement, Taken


def caught_up(
    cadence: Cadence, begun: Taken, said: Statement, early: Iterable[Statement], place: Place
) -> Taken:
    """A plan that has just begun, after the turns of what was said later and came earlier.

    What the plan does not allow any more is left out, and named in a warning. Nobody is mailed of a plan that
    has started, is over, or has another date by then.

    Args:
        cadence: Whose plan it is.
        begun: What the first word made.
        said: That word.
        early: What was accepted before it without a plan, about the same subject and instance; of each the
            moment of acceptance is that of `said`, for only now it counts.
        place: Where the instance is.
    """
    plan, reason = begun.plan, begun.record_only
    warnings, moves = list(begun.warnings), list[Move]()
    for word in sorted(early, key=lambda one: one.said_at):
        if word.turn == "compatibility" or not _later(word, said):
            continue
        named = _named(word, place.time_zone)
        try:
            taken = advance(plan.key.cadence, cadence, plan, word, place)
        except MoveRefused as refused:
            warnings.append(f"{named} came before it and changes nothing: {refused.what}")
            continue
        plan = taken.plan
        if taken.move:
            moves.append(replace(taken.move, facts={}))  # what the event told, it told without a plan
            warnings.append(f"{named} came before it and counts: it is {plan.state.value}")
        if plan.state in {*ENDED, PlanState.IN_PROGRESS} or plan.anchor != begun.plan.anchor:
            reason = f"overtaken by {named}"
    return replace(begun, plan=plan, record_only=reason, warnings=tuple(warnings), made_up=tuple(moves))


def _later(word: Statement, said: Statement) -> bool:
    """Whether a word was said after another that came after it.

    Where both give the same time, an announcement is the first of them; without times the order in which
    they came is all that is known.
    """
    return word.said_at > said.said_at or word.said_at == said.said_at < said.accepted_at


def _named(word: Statement, zone: str) -> str:
    return f"{word.type} of {by_clock(zone, word.said_at)}"
