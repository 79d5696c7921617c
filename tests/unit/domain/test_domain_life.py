from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from domain_examples import shipped
from plan_examples import TYPES, Life, cadence, place, utc

from dispatcher.domain.cadence import Cadence, Turn
from dispatcher.domain.life import MoveRefused, Statement, Taken, advance
from dispatcher.domain.plan import Decision, Move, PlanState, StepStatus

FIRST, SECOND, THIRD = utc("2027-03-06 21:00"), utc("2027-03-13 21:00"), utc("2027-04-03 21:00")
OFFERED = [FIRST, SECOND, THIRD]
ADMIN = Decision("ada@contoso.example", "dlv_1")
NOW = utc("2027-01-01 08:00")


def life(state: str = "scheduled", **raw: Any) -> Life:
    """A life that has come to a state; the date is `FIRST`, the alternate `SECOND`."""
    found = Life(now=NOW)
    found.begin(FIRST, **{"alternate_at": SECOND, "offered_dates": OFFERED} | raw)
    if state in {"approved", "in-progress", "succeeded"}:
        found.hear("approved")
    if state in {"in-progress", "succeeded"}:
        found.hear("in-progress", stage="backup")
    if state in {"succeeded", "cancelled"}:
        found.hear("succeeded" if state == "succeeded" else "cancelled")
    found.now += timedelta(hours=1)
    return found


def moved(taken: Taken) -> Move:
    """The turn that was taken."""
    assert taken.move
    return taken.move


def refused(one: Life, turn: Turn, **raw: Any) -> str:
    """What a refusal says; the plan stays as it is."""
    before = one.made
    with pytest.raises(MoveRefused) as caught:
        one.hear(turn, **raw)
    assert one.made == before
    return str(caught.value)


#: Each state and each turn: the state that follows, or a word of the refusal.
TURNS: dict[str, dict[Turn, str]] = {
    "scheduled": {
        "scheduled": "! it is scheduled already; send update-rescheduled",
        "approved": "approved",
        "rescheduled": "scheduled",
        "in-progress": "in-progress",
        "succeeded": "succeeded",
        "fallback": "scheduled",
        "cancelled": "cancelled",
        "compatibility": "scheduled",
    },
    "approved": {
        "scheduled": "! it is scheduled already; send update-rescheduled",
        "approved": "! is approved already, for 2027-03-06 21:00 +00:00",
        "rescheduled": "scheduled",
        "in-progress": "in-progress",
        "succeeded": "succeeded",
        "fallback": "approved",
        "cancelled": "cancelled",
        "compatibility": "approved",
    },
    "in-progress": {
        "scheduled": "! it is scheduled already",
        "approved": "! it can be approved until it starts, not after",
        "rescheduled": "! it can be moved until it starts, not after",
        "in-progress": "! is in progress already",
        "succeeded": "succeeded",
        "fallback": "approved",
        "cancelled": "cancelled",
        "compatibility": "in-progress",
    },
    "succeeded": {
        "scheduled": "! is done already; give another update",
        **{turn: "! is done: nothing moves it any more" for turn in TYPES if turn != "scheduled"},
    },
    "cancelled": {
        "scheduled": "scheduled",
        **{turn: "! is cancelled: nothing moves it any more" for turn in TYPES if turn != "scheduled"},
    },
}
#: What each turn needs to say, at the least.
SAYS: dict[Turn, dict[str, Any]] = {
    "scheduled": {"scheduled_at": FIRST},
    "rescheduled": {"scheduled_at": SECOND},
    "compatibility": {"findings": [{"area": "a", "problem": "b", "action": "c"}]},
}


@pytest.mark.parametrize(("state", "turn"), [(state, turn) for state in TURNS for turn in TYPES])
def test_every_turn_from_every_state(state: str, turn: Turn) -> None:
    """Each of the eight turns is taken or refused as the life of an update allows."""
    one, expected = life(state), TURNS[state][turn]

    if expected.startswith("!"):
        assert expected[2:] in refused(one, turn, **SAYS.get(turn, {}))
        return
    taken = one.hear(turn, **SAYS.get(turn, {}))
    assert taken.plan.state == expected
    assert taken.record_only == ""
    assert (moved(taken).turn, moved(taken).event, moved(taken).at) == (turn, f"evt_{one.said}", one.now)


# -- the first word -----------------------------------------------------------------------------------


def test_the_first_word_makes_the_plan() -> None:
    """Date, alternate, revision and facts are those of the event; the steps wait."""
    plan = life().plan

    assert (plan.key.cadence, plan.key.subject, plan.key.instance) == (
        "major-update",
        "update-2027-1",
        "contoso-prod",
    )
    assert (plan.anchor, plan.alternate_at, plan.revision, plan.mandatory) == (FIRST, SECOND, 1, False)
    assert (plan.said_at, plan.made_at, plan.updated_at) == (NOW, NOW, NOW)
    assert plan.facts["version"] == "10.0"
    assert [step.status.value for step in plan.steps] == ["skipped"] + ["pending"] * 4


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"offered_dates": [SECOND]}, "scheduled_at 2027-03-06 21:00 +00:00 is not among offered_dates"),
        (
            {"offered_dates": [FIRST, SECOND], "alternate_at": THIRD},
            "alternate_at 2027-04-03 21:00 +00:00 is not among the dates that are offered; choose one of",
        ),
        ({"offered_dates": [FIRST, SECOND], "alternate_at": FIRST}, "alternate_at is the date itself"),
    ],
)
def test_dates_that_do_not_fit_each_other_are_refused(raw: dict[str, Any], reason: str) -> None:
    """The date and its alternate are two of those that are offered, if any are."""
    assert reason in refused(Life(), "scheduled", scheduled_at=FIRST, version="10.0", **raw)


def test_dates_are_compared_as_moments() -> None:
    """The same moment with another offset is the same date."""
    plan = Life().begin(
        datetime.fromisoformat("2027-03-06T22:00:00+01:00"),
        offered_dates=[FIRST, SECOND],
        alternate_at=SECOND,
    )

    assert plan.anchor == FIRST


# -- approval -----------------------------------------------------------------------------------------


def test_an_approval_of_another_date_is_refused() -> None:
    """Who approves a date that holds no more is told which one does."""
    assert "is planned for 2027-03-06 21:00 +00:00, not for 2027-03-13 21:00 +00:00" in refused(
        life(), "approved", scheduled_at=SECOND
    )
    assert life().hear("approved", scheduled_at=FIRST).plan.state is PlanState.APPROVED


def test_an_approval_changes_neither_date_nor_steps() -> None:
    """Reminders stay as they are; the communication says the date, which the event need not."""
    one = life()
    before = one.plan

    taken = one.hear("approved", decision=ADMIN)

    assert (taken.plan.steps, taken.plan.revision) == (before.steps, before.revision)
    assert moved(taken).decision == ADMIN
    assert moved(taken).facts == {
        "version": "10.0",
        "scheduled_at": FIRST.isoformat(),
        "alternate_at": SECOND.isoformat(),
    }


def test_a_mandatory_update_needs_no_approval() -> None:
    """It may be approved, which is needless; it starts without, and nobody is warned."""
    one = life(mandatory=True)

    assert one.hear("approved").warnings == ("is mandatory: it is done without approval",)
    assert life(mandatory=True).hear("in-progress").warnings == ()


# -- another date -------------------------------------------------------------------------------------


def test_a_reschedule_voids_what_waits_and_plans_the_rest() -> None:
    """Old reminders are superseded and say by which event; new ones belong to the next revision."""
    one = life()

    taken = one.hear("rescheduled", scheduled_at=THIRD, rescheduled_by="vendor")

    old = [step for step in taken.plan.steps if step.revision == 1]
    new = [step for step in taken.plan.steps if step.revision == 2]
    assert [step.status.value for step in old] == ["skipped"] + ["superseded"] * 4
    assert (
        old[1].reason
        == "the date moved from 2027-03-06 21:00 +00:00 to 2027-04-03 21:00 +00:00 by event evt_2"
    )
    assert old[1].settled_at == one.now
    assert [(step.key, step.status.value, f"{step.due_at:%m-%d %H:%M}") for step in new] == [
        ("reminder-90", "pending", "01-03 09:00"),
        ("reminder-30", "pending", "03-04 09:00"),
        ("reminder-15", "pending", "03-19 09:00"),
        ("reminder-7", "pending", "03-27 09:00"),
        ("reminder-0", "pending", "04-03 09:00"),
    ]
    assert (moved(taken).before, moved(taken).after, moved(taken).revision) == (FIRST, THIRD, 2)
    assert moved(taken).facts["previous_at"] == FIRST.isoformat()
    assert moved(taken).facts["version"] == "10.0"


def test_what_was_sent_stays_sent() -> None:
    """A reschedule touches pending steps alone."""
    one = life()
    one.plan = replace(
        one.plan,
        steps=tuple(replace(step, status=StepStatus.SENT, settled_at=NOW) for step in one.plan.steps),
    )

    plan = one.hear("rescheduled", scheduled_at=SECOND).plan

    assert {step.status for step in plan.steps if step.revision == 1} == {StepStatus.SENT}


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"rescheduled_by": "admin", "alternate_at": THIRD}, "approved"),
        ({"rescheduled_by": "admin"}, "approved"),
        ({"decision": ADMIN}, "approved"),
        ({"rescheduled_by": "vendor"}, "scheduled"),
        ({}, "scheduled"),
    ],
)
@pytest.mark.parametrize("before", ["scheduled", "approved"])
def test_what_an_admin_chose_is_approved(before: str, said: dict[str, Any], state: str) -> None:
    """An admin's choice counts as approval; what the vendor moved is to be approved anew."""
    taken = life(before).hear("rescheduled", scheduled_at=SECOND, **said)

    assert taken.plan.state == state
    assert moved(taken).facts["approved"] is (state == "approved")


@pytest.mark.parametrize("said", [{"rescheduled_by": "admin"}, {"decision": ADMIN}, {}])
def test_a_date_that_is_not_offered_is_refused(said: dict[str, Any]) -> None:
    """Whoever is not the vendor chooses among the dates that the vendor offered."""
    reason = refused(life(), "rescheduled", scheduled_at=FIRST + timedelta(days=1), **said)

    assert (
        "2027-03-07 21:00 +00:00 is not among the dates that are offered; choose one of 2027-03-06T21:00"
        in reason
    )
    assert "or give rescheduled_by: vendor" in reason


def test_the_vendor_chooses_any_date() -> None:
    """What is not offered may be set by the vendor; mandatory stays what it was."""
    plan = (
        life(mandatory=True)
        .hear("rescheduled", scheduled_at=FIRST + timedelta(days=1), rescheduled_by="vendor")
        .plan
    )

    assert plan.anchor == FIRST + timedelta(days=1)
    assert plan.mandatory


def test_where_nothing_is_offered_an_admin_chooses_nothing() -> None:
    """Without offered dates upstream may say another, an admin may not."""
    assert "no dates are offered" in refused(
        life(offered_dates=None), "rescheduled", scheduled_at=SECOND, rescheduled_by="admin"
    )
    assert life(offered_dates=None).hear("rescheduled", scheduled_at=THIRD).plan.anchor == THIRD


@pytest.mark.parametrize(
    ("alternate", "reason"),
    [(SECOND, "is the date itself"), (FIRST + timedelta(days=1), "is not among the dates that are offered")],
)
def test_an_alternate_that_cannot_be_is_refused(alternate: datetime, reason: str) -> None:
    """The alternate date is another one of those that are offered."""
    said = {"scheduled_at": SECOND, "alternate_at": alternate, "rescheduled_by": "admin"}

    assert reason in refused(life(), "rescheduled", **said)


def test_the_alternate_is_never_the_date_itself() -> None:
    """Whoever says so, and whether or not dates are offered."""
    both: dict[str, Any] = {"scheduled_at": THIRD, "alternate_at": THIRD}

    for one in (life(), life(offered_dates=None)):
        assert "is the date itself" in refused(one, "rescheduled", **both, rescheduled_by="vendor")
    assert "is the date itself" in refused(Life(now=NOW), "rescheduled", **both)
    assert "is the date itself" in refused(Life(now=NOW), "scheduled", **both, version="10.0")


def test_an_alternate_before_the_date_is_a_warning() -> None:
    """It is taken, since the date may be given up early; who says it is told that it may be too late."""
    told = "has an alternate_at, 2027-03-13 21:00 +00:00, that lies before the date: once the date is missed"
    both: dict[str, Any] = {"scheduled_at": THIRD, "alternate_at": SECOND}

    assert life().hear("rescheduled", **both, rescheduled_by="admin").warnings[0].startswith(told)
    assert life().hear("rescheduled", **both, rescheduled_by="vendor").warnings[0].startswith(told)
    assert Life(now=NOW).hear("scheduled", **both, version="10.0").warnings[0].startswith(told)
    assert life().hear("rescheduled", scheduled_at=SECOND, alternate_at=THIRD).warnings == ()


def test_an_alternate_that_is_left_out_is_none() -> None:
    """A reschedule says both dates anew; the alternate of the old date might be the new date itself."""
    plan = life().hear("rescheduled", scheduled_at=SECOND).plan

    assert plan.alternate_at is None
    assert "alternate_at" not in plan.facts


def test_the_same_date_is_refused_and_another_alternate_is_not() -> None:
    """Nothing to say is refused; another alternate keeps what was told of the date."""
    one = life()

    assert "is planned for 2027-03-06 21:00 +00:00 already" in refused(
        one, "rescheduled", scheduled_at=FIRST, alternate_at=SECOND
    )
    steps = one.hear("rescheduled", scheduled_at=FIRST, alternate_at=THIRD).plan.steps
    assert one.plan.alternate_at == THIRD
    assert {step.reason for step in steps if step.status is StepStatus.SUPERSEDED} == {
        "the alternate date moved from 2027-03-13 21:00 +00:00 to 2027-04-03 21:00 +00:00 by event evt_3"
    }
    steps = one.hear("rescheduled", scheduled_at=FIRST).plan.steps
    assert "the alternate date was dropped by event evt_4" in {step.reason for step in steps}
    steps = one.hear("rescheduled", scheduled_at=FIRST, alternate_at=SECOND).plan.steps
    assert "there is an alternate date now, by event evt_5" in {step.reason for step in steps}


def test_what_was_told_of_a_date_is_not_told_again() -> None:
    """Where the alternate alone changes on the day of a reminder, nobody is reminded twice."""
    one = life()
    one.now = utc("2027-02-27 12:00")
    one.plan = replace(
        one.plan,
        steps=tuple(
            replace(step, status=StepStatus.SENT, settled_at=step.due_at) if step.due_at < one.now else step
            for step in one.plan.steps
        ),
    )

    taken = one.hear("rescheduled", scheduled_at=FIRST, alternate_at=THIRD)

    assert one.steps() == {"reminder-0": utc("2027-03-06 09:00")}
    assert moved(taken).facts["previous_at"] == FIRST.isoformat(), "its mail says that the date stays"


def test_a_link_is_an_admin_s_whatever_else_is_said() -> None:
    """Who decides by a link is no vendor."""
    said = {"scheduled_at": FIRST + timedelta(days=1), "rescheduled_by": "vendor"}

    assert "is not among the dates" in refused(life(), "rescheduled", decision=ADMIN, **said)


def test_a_date_in_the_past_is_refused() -> None:
    """Nobody moves an update to a time that has gone."""
    assert "lies in the past" in refused(
        life(), "rescheduled", scheduled_at=NOW - timedelta(days=1), rescheduled_by="vendor"
    )


def test_a_late_word_on_the_date_changes_nothing() -> None:
    """What is older than the newest word on the date is kept, and told to nobody."""
    one = life()
    one.hear("rescheduled", scheduled_at=THIRD, rescheduled_by="vendor", time=NOW + timedelta(minutes=30))
    before = one.plan

    late: list[tuple[Turn, dict[str, Any]]] = [
        ("rescheduled", {"scheduled_at": SECOND}),
        ("rescheduled", {"scheduled_at": FIRST + timedelta(days=1), "rescheduled_by": "admin"}),
        ("approved", {}),
        ("fallback", {}),
    ]
    for turn, raw in late:
        taken = one.hear(turn, time=NOW + timedelta(minutes=29), **raw)

        assert taken.plan == before
        assert taken.move is None
        assert taken.record_only == "overtaken by what was said of its date at 2027-01-01 08:30 +00:00"


# -- out of order -------------------------------------------------------------------------------------


def test_a_plan_may_begin_with_a_reschedule() -> None:
    """A reschedule without a plan makes one, and says that the announcement is missing."""
    one = Life(now=NOW)

    taken = one.hear("rescheduled", scheduled_at=SECOND, rescheduled_by="admin")

    assert (taken.plan.state, taken.plan.anchor) == (PlanState.APPROVED, SECOND)
    assert "waits for update-scheduled" in taken.warnings[0]
    assert "lies in the past" in refused(Life(now=NOW), "rescheduled", scheduled_at=NOW - timedelta(hours=1))


def test_the_announcement_that_comes_after_its_reschedule_fills_in_what_was_not_said() -> None:
    """It moves nothing, is told to nobody, and from then on the plan knows version and offers."""
    one = Life(now=NOW)
    one.hear("rescheduled", scheduled_at=SECOND, rescheduled_by="vendor")
    before = one.plan

    taken = one.hear(
        "scheduled",
        scheduled_at=FIRST,
        alternate_at=SECOND,
        offered_dates=OFFERED,
        version="10.0",
        mandatory=True,
        time=NOW - timedelta(days=1),
    )

    assert taken.record_only.startswith("overtaken by")
    assert (taken.plan.anchor, taken.plan.alternate_at, taken.plan.steps) == (SECOND, None, before.steps)
    assert taken.plan.mandatory
    assert {key: taken.plan.facts.get(key) for key in ("version", "scheduled_at", "alternate_at")} == {
        "version": "10.0",
        "scheduled_at": SECOND.isoformat(),
        "alternate_at": None,
    }
    assert "is not among the dates" in refused(one, "rescheduled", scheduled_at=SECOND + timedelta(hours=1))
    assert "it is scheduled already" in refused(
        one, "scheduled", scheduled_at=FIRST, time=NOW - timedelta(days=1)
    )


def test_before_the_announcement_nobody_knows_what_is_offered() -> None:
    """An admin's second choice is taken, since it cannot be judged."""
    one = Life(now=NOW)
    one.hear("rescheduled", scheduled_at=SECOND, rescheduled_by="admin")

    assert one.hear("rescheduled", scheduled_at=THIRD, rescheduled_by="admin").plan.anchor == THIRD


def test_no_other_turn_makes_a_plan() -> None:
    """Whoever asks for one is told what to send first."""
    assert "send update-scheduled first" in refused(Life(), "approved")


# -- under way, and the end ---------------------------------------------------------------------------


def test_a_start_cancels_what_waits() -> None:
    """Once it has started nobody is reminded of it; who was not asked is a warning."""
    one = life()

    taken = one.hear("in-progress", stage="queued")

    assert one.steps() == {}
    assert {step.reason for step in taken.plan.steps} >= {"it has started"}
    assert taken.warnings == ("starts without approval, and nothing is applied before it is approved",)
    assert life("approved").hear("in-progress").warnings == ()


def test_what_comes_after_the_thing_still_comes_once_it_has_started() -> None:
    """A start cancels reminders; a word a week later waits until it is over."""
    after = {"after": {"at": "+7d", "type": "update-reminder"}}
    steps = cadence().model_dump(exclude_unset=True)["steps"]
    series = Cadence.model_validate({**cadence().model_dump(exclude_unset=True), "steps": steps | after})
    one = Life(now=NOW, series=series)
    one.begin(FIRST)

    one.hear("in-progress")

    assert list(one.steps()) == ["after"]
    one.hear("succeeded")
    assert one.steps() == {}


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        (["queued", "backup", "restore", "database-upgrade"], ""),
        (["queued", "database-upgrade"], ""),
        ([None, "backup"], ""),
        (["backup", "backup"], "is at the stage backup already"),
        (["restore", "queued"], "is at the stage restore, which comes after queued"),
        (["backup", None], "is in progress already"),
    ],
)
def test_stages_go_forward(stages: list[str | None], reason: str) -> None:
    """Each stage is told once, in the order of the policy; some may be left out."""
    one = life("approved")
    for stage in stages[:-1]:
        one.hear("in-progress", stage=stage)

    if reason:
        assert reason in refused(one, "in-progress", stage=stages[-1])
    else:
        assert one.hear("in-progress", stage=stages[-1]).plan.facts["stage"] == stages[-1]


@pytest.mark.parametrize(
    ("state", "after"), [("scheduled", "scheduled"), ("approved", "approved"), ("in-progress", "approved")]
)
def test_a_fallback_takes_the_alternate_date(state: str, after: str) -> None:
    """Its mail says which date was missed; from then on there is no alternate."""
    one = life(state)
    one.now = FIRST + timedelta(hours=13)

    taken = one.hear("fallback")

    assert (taken.plan.anchor, taken.plan.alternate_at, taken.plan.state) == (SECOND, None, after)
    assert (moved(taken).before, moved(taken).after, taken.plan.revision) == (FIRST, SECOND, 2)
    assert moved(taken).facts["previous_at"] == FIRST.isoformat()
    assert moved(taken).facts["scheduled_at"] == SECOND.isoformat()
    assert "stage" not in taken.plan.facts
    assert list(one.steps()) == ["reminder-0"]
    assert "has no alternate date to fall back to" in refused(one, "fallback")


def test_an_approval_of_a_date_that_has_passed_is_a_warning() -> None:
    """It is late, or the date was missed; upstream decides what follows."""
    one = life()
    one.now = FIRST + timedelta(hours=2)
    taken = one.hear("approved")

    assert taken.plan.state is PlanState.APPROVED
    assert taken.warnings == ("is approved for a date that has passed, 2027-03-06 21:00 +00:00",)


@pytest.mark.parametrize("state", ["approved", "in-progress"])
def test_a_fallback_to_a_date_that_nobody_approved_needs_approval(state: str) -> None:
    """The alternate date was approved with the date; any other is the vendor's."""
    assert life(state).hear("fallback", scheduled_at=SECOND).plan.state is PlanState.APPROVED
    one = life(state)
    assert one.hear("fallback", scheduled_at=THIRD).plan.state is PlanState.SCHEDULED
    assert "nothing is applied before it is approved" in one.hear("in-progress").warnings[0]


def test_a_fallback_may_name_its_date() -> None:
    """The event's own date counts more; one that has passed is a warning, the same one is refused."""
    assert life().hear("fallback", scheduled_at=THIRD).plan.anchor == THIRD
    assert "is planned for 2027-03-06 21:00 +00:00 already" in refused(life(), "fallback", scheduled_at=FIRST)
    assert life().hear("fallback", scheduled_at=NOW - timedelta(days=1)).warnings == (
        "the date it falls back to, 2026-12-31 08:00 +00:00, has passed",
    )


@pytest.mark.parametrize(("turn", "reason"), [("succeeded", "it is done"), ("cancelled", "it was cancelled")])
def test_an_end_leaves_nothing_pending(turn: Turn, reason: str) -> None:
    """What waited is cancelled, and says why."""
    one = life()

    taken = one.hear(turn)

    assert one.steps() == {}
    assert {step.reason for step in taken.plan.steps if step.status is StepStatus.CANCELLED} == {reason}


@pytest.mark.parametrize("time", [None, NOW, NOW + timedelta(hours=1)])
def test_the_announcement_that_is_waited_for_fills_in_the_rest_whatever_its_time(
    time: datetime | None,
) -> None:
    """Upstream may give no times, or one time for both; a second announcement is refused as ever."""
    one = Life(now=NOW)
    one.hear("rescheduled", scheduled_at=SECOND, rescheduled_by="vendor", time=NOW)
    one.now += timedelta(hours=1)

    taken = one.hear("scheduled", scheduled_at=FIRST, version="10.0", offered_dates=OFFERED, time=time)

    assert taken.record_only.startswith("overtaken by")
    assert (taken.plan.anchor, taken.plan.facts["version"]) == (SECOND, "10.0")
    assert "is scheduled already" in refused(one, "scheduled", scheduled_at=FIRST, version="10.0")


def test_an_announcement_that_comes_after_the_end_is_only_recorded() -> None:
    """What began with a reschedule and is done needs no announcement any more."""
    one = Life(now=NOW)
    one.hear("rescheduled", scheduled_at=SECOND, rescheduled_by="vendor")
    one.hear("succeeded")

    taken = one.hear("scheduled", scheduled_at=FIRST, version="10.0")

    assert (taken.plan.state, taken.record_only[:9]) == (PlanState.SUCCEEDED, "overtaken")


def test_an_end_without_a_start_is_a_warning() -> None:
    """A start may be lost; the update is done all the same."""
    assert life("approved").hear("succeeded").warnings == ("is done, and nobody said that it had started",)
    assert life("in-progress").hear("succeeded").warnings == ()


def test_after_a_cancellation_there_may_be_another_life() -> None:
    """It has nothing of the first but its steps; an older announcement that is late begins none."""
    one = life("cancelled")

    late = one.hear("scheduled", scheduled_at=THIRD, time=NOW - timedelta(minutes=1))
    assert (late.plan.state, late.record_only[:9]) == (PlanState.CANCELLED, "overtaken")

    one.plan = replace(one.plan, state=PlanState.SCHEDULED)
    one.hear("cancelled")
    late = one.hear("scheduled", scheduled_at=THIRD, time=one.now - timedelta(minutes=1))
    assert late.record_only[:9] == "overtaken"

    taken = one.hear("scheduled", scheduled_at=THIRD, version="10.1")
    assert (taken.plan.state, taken.plan.anchor, taken.plan.revision) == (PlanState.SCHEDULED, THIRD, 2)
    assert (taken.plan.alternate_at, taken.plan.facts.get("offered_dates")) == (None, None)
    assert set(one.steps()) == {"reminder-90", "reminder-30", "reminder-15", "reminder-7", "reminder-0"}


def test_problems_of_compatibility_move_nothing() -> None:
    """The communication says version and date, which the event need not."""
    one = life()
    before = one.plan

    taken = one.hear("compatibility", **SAYS["compatibility"])

    assert taken.plan == before
    assert moved(taken).facts["version"] == "10.0"
    assert moved(taken).facts["scheduled_at"] == FIRST.isoformat()


# -- a series -----------------------------------------------------------------------------------------


def test_a_series_without_a_turn_that_moves_it_is_moved_by_another_announcement() -> None:
    """The same date again is told and changes nothing; another one plans the series anew."""
    one = Life(now=NOW, key="launch-readiness", place=place("Asia/Tokyo"))
    said: dict[str, Any] = {"type_": "launch-readiness", "release": "Wave 1", "body": "Soon."}
    plan = one.hear("scheduled", release_date="2027-03-06", **said).plan
    assert (plan.anchor, plan.revision) == (utc("2027-03-05 15:00"), 1)
    assert one.steps()["week-before"] == utc("2027-02-27 00:00")

    again = one.hear("scheduled", release_date="2027-03-06", **said)
    assert again.plan == plan
    assert again.warnings == ("is planned for that date already: the event is told, and nothing changes",)

    moved = one.hear("scheduled", release_date="2027-04-06", **said).plan
    assert (moved.anchor, moved.revision) == (utc("2027-04-05 15:00"), 2)
    assert one.steps()["week-before"] == utc("2027-03-30 00:00")

    late = one.hear("scheduled", release_date="2027-05-06", time=NOW - timedelta(days=1), **said)
    assert (late.plan, late.record_only[:9]) == (moved, "overtaken")


def test_dates_are_told_as_they_are_there() -> None:
    """A whole day is a day, a moment is by the clock of the instance, whatever zone the event wrote it in."""
    one = Life(now=NOW, key="launch-readiness", place=place("Europe/Berlin"))
    said: dict[str, Any] = {"type_": "launch-readiness", "release": "Wave 1", "body": "Soon."}
    one.hear("scheduled", release_date="2027-12-01", **said)
    one.hear("scheduled", release_date="2028-11-20", **said)
    days = {step.reason for step in one.plan.steps if step.status is StepStatus.SUPERSEDED}

    assert days == {"the date moved from 2027-12-01 to 2028-11-20 by event evt_2"}
    there = Life(now=NOW, place=place("Europe/Berlin"))
    there.begin(FIRST)
    assert "is planned for 2027-03-06 22:00 +01:00 already" in refused(
        there, "rescheduled", scheduled_at=FIRST
    )


def test_a_turn_that_says_no_date_is_refused() -> None:
    """Without a date there is nothing to count from."""
    said = Statement(
        type="update-scheduled",
        turn="scheduled",
        instance="contoso-prod",
        subject="update-2027-1",
        fields=dict.fromkeys(shipped().types["update-scheduled"].fields),
        raw={},
        event_id="evt_1",
        said_at=NOW,
        accepted_at=NOW,
    )

    with pytest.raises(MoveRefused, match="scheduled_at is missing; give scheduled_at"):
        advance("major-update", cadence(), None, said, place())
