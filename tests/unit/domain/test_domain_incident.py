"""What statements about an incident come to, in whatever order they arrive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

from domain_examples import steady
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.incident import (
    REOPENED,
    RESOLVED,
    Account,
    Obligation,
    Says,
    Statement,
    account,
)

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MAJOR, BACK, REPORT = "major", "restored", "report"


@dataclass(frozen=True)
class Duty:
    """A step of a cadence."""

    step: str
    owes: str
    every: timedelta | None = None
    cadence: str = "incident"

    def due(self, resolved_at: datetime, instances: Iterable[str]) -> datetime:
        """A day for each instance, so that it shows which count."""
        return resolved_at + timedelta(days=len(list(instances)))


DUTIES = (Duty("updates", MAJOR, HOUR), Duty("report", REPORT))


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def said(says: Says, minutes: float, *instances: str, event: str = "", **more: Any) -> Statement:
    type_ = {Says.OPEN: MAJOR, Says.RESOLVED: BACK, Says.TOLD: REPORT}[says]
    return Statement(
        "INC-1", event or f"evt_{minutes:04}", type_, says, at(minutes), instances=instances, **more
    )


def opened(minutes: float, *instances: str, **more: Any) -> Statement:
    return said(Says.OPEN, minutes, *(instances or ("a", "b")), **more)


def resolved(minutes: float, *instances: str, **more: Any) -> Statement:
    return said(Says.RESOLVED, minutes, *instances, **more)


def report(minutes: float) -> Statement:
    return said(Says.TOLD, minutes)


def add_up(*statements: Statement) -> Account:
    return account(statements, DUTIES)


def of(found: Account, step: str) -> list[Obligation]:
    return [one for one in found.obligations if one.step == step]


class TestWhileItLasts:
    def test_the_first_word_opens_it(self) -> None:
        """It is open from then on, affects what it names, and the next update is owed after an hour."""
        found = add_up(opened(0))

        assert found.incident.is_open
        assert (found.incident.opened_at, found.incident.affected) == (at(0), {"a": None, "b": None})
        [owed] = found.obligations
        assert (owed.owes, owed.due_at, owed.made_by, owed.owed) == (MAJOR, at(60), "evt_0000", True)

    def test_a_promised_update_is_owed_when_it_was_promised(self) -> None:
        """What the event says of the next update counts, unless that lies behind."""
        [owed] = add_up(opened(0, next_update_at=at(20))).obligations
        [behind] = add_up(opened(0, next_update_at=at(-20))).obligations

        assert (owed.due_at, behind.due_at) == (at(20), at(60))

    def test_an_update_meets_the_one_before(self) -> None:
        """Each meets what was owed and owes the next."""
        first, second = add_up(opened(0), opened(40, "c")).obligations

        assert (first.met_at, first.met_by) == (at(40), "evt_0040")
        assert (second.due_at, second.owed) == (at(100), True)

    def test_it_grows(self) -> None:
        """An update may name further instances; those before stay affected."""
        assert dict(add_up(opened(0), opened(40, "c")).incident.affected) == dict.fromkeys("abc")

    def test_overdue_is_what_is_owed_and_late(self) -> None:
        """From the moment on that follows its due time."""
        [owed] = add_up(opened(0)).obligations

        assert owed.overdue(at(60)) is None
        assert owed.overdue(at(90)) == timedelta(minutes=30)

    def test_an_end_of_nothing_is_nothing(self) -> None:
        """A word that it is over, or a report, opens no incident."""
        found = add_up(resolved(0), report(5))

        assert (found.incident.opened_at, found.obligations) == (None, ())


class TestItsEnd:
    def test_the_end_settles_updates_and_owes_the_report(self) -> None:
        """No update is owed any more; the report is, from the moment that the event names."""
        found = add_up(opened(0), resolved(90, resolved_at=at(80)))

        assert found.incident.resolved_at == at(80)
        assert set(found.incident.affected.values()) == {at(80)}
        assert [one.ended for one in of(found, "updates")] == [RESOLVED]
        [owed] = of(found, "report")
        assert (owed.due_at, owed.made_by) == (at(80) + timedelta(days=2), "evt_0090")

    def test_it_ends_once(self) -> None:
        """A second word that it is over changes neither the moment nor what is owed."""
        once = add_up(opened(0), resolved(90))
        twice = add_up(opened(0), resolved(90), resolved(95, resolved_at=at(50)))

        assert twice.obligations == once.obligations
        assert twice.incident.resolved_at == at(90)

    def test_the_report_meets_what_is_owed(self) -> None:
        """Nothing is owed after it."""
        [owed] = of(add_up(opened(0), resolved(90), report(200)), "report")

        assert (owed.met_at, owed.met_by) == (at(200), "evt_0200")

    def test_a_report_before_the_end_counts(self) -> None:
        """What is owed once it is over was there before."""
        early = add_up(opened(0), report(60))
        assert of(early, "report") == []
        assert early.incident.is_open

        [owed] = of(add_up(opened(0), report(60), resolved(90)), "report")
        assert (owed.made_at, owed.met_at) == (at(90), at(60))

    def test_it_may_end_in_parts(self) -> None:
        """While one instance is affected it lasts; the end of the last is its end."""
        part = add_up(opened(0), resolved(30, "a"))
        whole = add_up(opened(0), resolved(30, "a"), resolved(50, "b"))

        assert part.incident.is_open
        assert dict(part.incident.affected) == {"a": at(30), "b": None}
        assert [one.owed for one in part.obligations] == [True]
        assert whole.incident.resolved_at == at(50)


class TestOnceMore:
    def test_it_may_open_again(self) -> None:
        """The report is owed no more, an update is; the first opening stays its beginning."""
        found = add_up(opened(0), resolved(90), opened(100, "b"))

        assert found.incident.is_open
        assert (found.incident.opened_at, found.incident.resolved_at) == (at(0), None)
        assert dict(found.incident.affected) == {"a": at(90), "b": None}
        assert [one.ended for one in of(found, "report")] == [REOPENED]
        assert [one.owed for one in of(found, "updates")] == [False, True]

    def test_each_end_owes_a_report(self) -> None:
        """The report of the first time is none of the second."""
        found = add_up(opened(0), resolved(90), report(95), opened(100), resolved(110))

        assert [(one.met_at, one.owed) for one in of(found, "report")] == [(at(95), False), (None, True)]

    def test_without_a_name_all_are_affected_again(self) -> None:
        """What opens it again and names nothing means what it was about."""
        again = Statement("INC-1", "evt_9", MAJOR, Says.OPEN, at(100))

        assert set(add_up(opened(0), resolved(90), again).incident.affected.values()) == {None}


LIFE = [
    opened(0),
    opened(40, "c", next_update_at=at(60)),
    resolved(50, "a"),
    report(70),
    resolved(90),
    opened(100, "b"),
    resolved(130, resolved_at=at(120)),
    report(200),
]


@given(st.permutations(LIFE), st.lists(st.sampled_from(LIFE)))
@steady
def test_the_order_of_arrival_is_no_matter(order: list[Statement], again: list[Statement]) -> None:
    """Late, twice or out of order: the account is the same."""
    assert add_up(*order, *again) == add_up(*LIFE)


def test_at_one_moment_the_end_counts_last() -> None:
    """Of what was said at once, that it is over is the last word."""
    one, two = opened(0, event="evt_2"), resolved(0, event="evt_1")

    for order in permutations((one, two)):
        assert add_up(*order).incident.resolved_at == at(0)


def test_without_cadences_nothing_is_owed() -> None:
    """An incident is kept all the same."""
    found = account([opened(0)], ())

    assert found.incident.is_open
    assert found.obligations == ()
