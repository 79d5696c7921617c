"""Events as networks bring them: late, twice, out of order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from domain_examples import steady
from hypothesis import given
from hypothesis import strategies as st
from plan_examples import TYPES, Life, place, utc

from dispatcher.domain.cadence import Turn
from dispatcher.domain.life import MoveRefused
from dispatcher.domain.plan import ENDED, Decision, Plan, PlanState, StepStatus

BEGIN = utc("2027-01-01 08:00")
DATES = [utc("2027-01-10 21:00") + timedelta(days=9 * number, hours=number) for number in range(12)]
ZONES = ("Pacific/Pago_Pago", "America/New_York", "UTC", "Europe/Berlin", "Asia/Tokyo", "Pacific/Kiritimati")
STAGES = (None, "queued", "backup", "restore", "database-upgrade")


@dataclass(frozen=True)
class Word:
    """Something that is said: when, and how long it is on its way."""

    turn: Turn
    time: datetime
    raw: dict[str, Any] = field(default_factory=dict)


def raw_of(turn: Turn, draw: Any) -> dict[str, Any]:
    """What an event of a turn may say."""
    dates = st.sampled_from(DATES)
    said: dict[str, Any] = {}
    if turn == "scheduled":
        said = {"scheduled_at": draw(dates), "version": "10.0", "mandatory": draw(st.booleans())}
        if draw(st.booleans()):
            said["offered_dates"] = sorted({*draw(st.lists(dates, max_size=4)), said["scheduled_at"]})
    elif turn == "rescheduled":
        said = {
            "scheduled_at": draw(dates),
            "rescheduled_by": draw(st.sampled_from(["admin", "vendor", None])),
        }
        said["decision"] = draw(st.sampled_from([None, None, Decision("ada@contoso.example")]))
    elif turn == "fallback":
        said = {"scheduled_at": draw(st.none() | dates)}
    elif turn == "in-progress":
        said = {"stage": draw(st.sampled_from(STAGES))}
    if turn in {"scheduled", "rescheduled"}:
        said["alternate_at"] = draw(st.none() | dates)
    return said


@st.composite
def words(draw: Any) -> Word:
    """Anything that may be said of an update in its first half year."""
    turn = draw(st.sampled_from(list(TYPES)))
    said_at = BEGIN + timedelta(hours=draw(st.integers(0, 100 * 24)))
    return Word(turn, said_at, raw_of(turn, draw))


def tick(life: Life) -> None:
    """Tell what is due by now, as the worker does."""
    if life.made:
        life.plan = replace(
            life.plan,
            steps=tuple(
                replace(step, status=StepStatus.SENT, settled_at=life.now)
                if step.status is StepStatus.PENDING and step.due_at <= life.now
                else step
                for step in life.plan.steps
            ),
        )


def whole(plan: Plan, before: Plan | None) -> None:
    """What holds for every plan, whatever was said."""
    pending = [step for step in plan.steps if step.status is StepStatus.PENDING]
    assert {step.revision for step in pending} <= {plan.revision}
    assert all((step.status is StepStatus.PENDING) == (step.settled_at is None) for step in plan.steps)
    assert all(step.reason for step in plan.steps if step.status not in {StepStatus.PENDING, StepStatus.SENT})
    assert max(Counter((step.revision, step.key) for step in plan.steps).values()) == 1
    assert list(plan.steps) == sorted(plan.steps, key=lambda step: (step.revision, step.due_at))
    assert not pending or plan.state not in {*ENDED, PlanState.IN_PROGRESS}
    assert all(plan.anchor - step.due_at >= timedelta(hours=3) for step in pending)
    assert datetime.fromisoformat(plan.facts["scheduled_at"]) == plan.anchor
    alternate = plan.facts.get("alternate_at")
    assert (None if alternate is None else datetime.fromisoformat(alternate)) == plan.alternate_at
    if before is not None:
        assert plan.revision - before.revision in {0, 1}
        assert plan.anchor == before.anchor or plan.revision == before.revision + 1
        sent = [step for step in before.steps if step.status is not StepStatus.PENDING]
        assert set(sent) <= set(plan.steps)


@given(
    said=st.lists(st.tuples(words(), st.integers(0, 72)), min_size=1, max_size=14),
    zone=st.sampled_from(ZONES),
)
@steady
def test_whatever_is_said_the_plan_stays_whole(said: Sequence[tuple[Word, int]], zone: str) -> None:
    """Steps of one date alone wait, the revision only rises, and what is settled stays settled."""
    life = Life(place=place(zone))
    arrivals = sorted(
        ((word.time + timedelta(hours=late), number) for number, (word, late) in enumerate(said))
    )
    for arrives, number in arrivals:
        word = said[number][0]
        life.now = arrives
        tick(life)
        before = life.made
        if before is None and word.turn not in {"scheduled", "rescheduled"}:
            continue
        try:
            taken = life.hear(word.turn, time=word.time, **word.raw)
        except MoveRefused:
            assert life.made == before
            continue
        whole(life.plan, before)
        if taken.move is None:
            assert taken.plan == before
            assert taken.record_only
        else:
            assert (taken.move.after, taken.move.revision) == (life.plan.anchor, life.plan.revision)
            assert before is None or taken.move.before == before.anchor


@given(word=words(), said=st.lists(words(), min_size=1, max_size=6))
@steady
def test_what_is_refused_is_refused_again(word: Word, said: Sequence[Word]) -> None:
    """To ask once more for what may not be changes nothing either: the same words, the same answer."""
    life = Life()
    life.begin(DATES[3])
    for one in (*said, word, word):
        before = life.made
        try:
            life.hear(one.turn, time=one.time, **one.raw)
        except MoveRefused:
            assert life.made == before


@st.composite
def histories(draw: Any) -> tuple[list[Word], list[int]]:
    """An announcement, then words on the date in the order of their times; and another order."""
    dates = draw(st.lists(st.sampled_from(DATES[3:]), min_size=2, max_size=6, unique=True))
    said = [Word("scheduled", BEGIN, {"scheduled_at": dates[0], "version": "10.0", "offered_dates": DATES})]
    for number, date in enumerate(dates[1:], 1):
        turn: Turn = draw(st.sampled_from(["rescheduled", "rescheduled", "fallback"]))
        by = draw(st.sampled_from([{"rescheduled_by": "vendor"}, {"rescheduled_by": "admin"}, {}]))
        raw = {"scheduled_at": date} | (by if turn == "rescheduled" else {})
        said.append(Word(turn, BEGIN + timedelta(hours=number), raw))
    return said, draw(st.permutations(range(len(said))))


@given(history=histories())
@steady
def test_the_same_words_in_any_order_end_on_the_same_date(history: tuple[list[Word], list[int]]) -> None:
    """The newest word on the date holds, whichever comes last, and the steps of that date wait."""
    said, order = history
    straight, other = Life(), Life()
    straight.now = other.now = BEGIN + timedelta(days=1)
    for life, sequence in ((straight, range(len(said))), (other, order)):
        waiting = [said[number] for number in sequence]
        while waiting:
            # Upstream sends again what could not be judged before there was a plan.
            first = next(w for w in waiting if life.made or w.turn in {"scheduled", "rescheduled"})
            waiting.remove(first)
            life.hear(first.turn, time=first.time, **first.raw)

    newest = said[-1].raw["scheduled_at"]
    assert straight.plan.anchor == other.plan.anchor == newest
    assert straight.steps() == other.steps()
    assert straight.plan.facts["version"] == other.plan.facts["version"] == "10.0"
