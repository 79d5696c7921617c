"""A short storm of all faults on each database, and proof that the count would notice a broken promise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chaos import deeds, ground
from chaos.options import Database, Options, from_environment
from chaos.plan import KINDS, make_plan
from chaos.report import Report
from chaos.storm import storm
from chaos.verdict import Kept, Row, judge
from slow import PATIENT

SEED = 3
EVENT = ("/chaos", "event-000")
ADDRESS, OTHER = "p0000@i000.example", "p0001@i000.example"
ACCEPTED = {EVENT: frozenset({ADDRESS, OTHER})}


def short(database: Database, seed: int = SEED) -> Options:
    return Options(
        database,
        seed,
        seconds=12,
        rate=120,
        deliveries=1_000,
        workers=2,
        lease_seconds=10,  # a living worker renews it in time, however busy the machine is
        calm_seconds=60 * PATIENT,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: Valkey and PostgreSQL run beside it, and its logs must not be many directories deep."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        yield Path(name)


# Longer than all limits of its parts together, which say better what is amiss.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_storm_of_all_faults_breaks_no_promise(database: Database, folder: Path) -> None:
    """Every accepted event reaches everybody or the ledger says why not; every second copy is marked."""
    options = short(database)
    report = await storm(options, folder)

    assert not report.broken, report.text()
    assert (report.verdict.events, report.verdict.deliveries) == (options.events, 1_000)
    assert (report.verdict.missing, report.verdict.hollow, report.verdict.unflagged) == (0, 0, 0)
    assert report.injected.total() >= 10
    assert report.deeds
    assert report.recoveries


def test_the_same_seed_plans_the_same_storm() -> None:
    """Faults, postings and mishaps follow from the seed; another seed gives others."""
    once, again, other = (make_plan(short("sqlite", seed)) for seed in (SEED, SEED, SEED + 1))
    mishaps = [
        [deeds.deed_for(seed, f"p{number}@i0.example", 1) for number in range(500)]
        for seed in (SEED, SEED, SEED + 1)
    ]

    assert once == again
    assert once != other
    assert mishaps[0] == mishaps[1]
    assert mishaps[0] != mishaps[2]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_full_storm_has_every_kind_of_fault_and_of_mishap(database: Database) -> None:
    """Nothing is left out by chance, and of one target only one fault stands at a time."""
    options = Options(database, SEED)
    plan = make_plan(options)
    ends: dict[str, float] = {}
    for fault in plan.faults:
        assert fault.at >= ends.get(fault.target, 0.0)
        ends[fault.target] = fault.at + fault.seconds
    elsewhere = {"ledger-cut", "ledger-stall"} if database == "sqlite" else {"ledger-lock"}
    done = {
        deeds.deed_for(options.seed, address, 1)
        for number in range(options.events)
        for address in ground.recipients_of(number, options)
    }

    assert {fault.kind for fault in plan.faults} == set(KINDS) - elsewhere
    assert done == {None, *deeds.DEEDS}
    assert len({posting.type for posting in plan.postings}) == 4
    assert max(posting.clients for posting in plan.postings) == 50


def row(**changed: object) -> Row:
    """A delivery that was sent at the first try."""
    usual = Row("dlv_1", EVENT, ADDRESS, "sent", "accepted", "<1@x>", False, attempts=("accepted",))
    return replace(usual, **changed)  # type: ignore[arg-type]


FINE = row(id="dlv_2", address=OTHER, message_id="<2@x>")
COPY, COPY_2 = Kept(ADDRESS, "<1@x>"), Kept(OTHER, "<2@x>")
DOUBT = ("lease_expired", "accepted")


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([row(), FINE], [COPY, COPY_2]),
        ([row(status="failed", reason="refused_permanently"), FINE], [COPY_2]),
        ([row(status="held", reason="lost_after_data", uncertain=True), FINE], [COPY, COPY_2]),
        ([row(uncertain=True, attempts=DOUBT), FINE], [COPY, COPY, COPY_2]),
    ],
)
def test_what_may_be_is_not_blamed(rows: list[Row], kept: list[Kept]) -> None:
    """Sent once, refused for good, held in doubt, or sent twice and marked: all of that is promised."""
    verdict = judge(ACCEPTED, rows, kept)

    assert verdict.well
    assert (verdict.missing, verdict.unflagged) == (0, 0)


@pytest.mark.parametrize(
    ("rows", "kept", "promise"),
    [
        pytest.param([FINE], [COPY_2], "has a delivery", id="no row"),
        pytest.param([row(status="queued"), FINE], [COPY_2], "or the ledger says why not", id="lost"),
        pytest.param([row(status="failed", reason=""), FINE], [COPY_2], "says why not", id="no reason"),
        pytest.param([row(), FINE], [COPY_2], "or the ledger says why not", id="sent but never kept"),
        pytest.param([row(attempts=DOUBT), FINE], [COPY, COPY, COPY_2], "marked uncertain", id="unmarked"),
        pytest.param(
            [row(uncertain=True, attempts=DOUBT), FINE],
            [COPY, Kept(ADDRESS, "<9@x>"), COPY_2],
            "keeps its Message-ID",
            id="another Message-ID",
        ),
        pytest.param(
            [row(uncertain=True, attempts=DOUBT), FINE],
            [COPY, COPY, COPY, COPY_2],
            "follows an attempt",
            id="more copies than doubts",
        ),
        pytest.param(
            [row(uncertain=True, attempts=DOUBT, on_uncertain="hold"), FINE],
            [COPY, COPY, COPY_2],
            "`hold`",
            id="held type twice",
        ),
        pytest.param(
            [row(status="failed", reason="refused_permanently"), FINE],
            [COPY, COPY_2],
            "or marked uncertain",
            id="failed but kept",
        ),
        pytest.param([row(), row(id="dlv_3"), FINE], [COPY, COPY_2], "one delivery", id="two rows"),
        pytest.param(
            [row(), FINE], [COPY, COPY_2, Kept("a@b.example", "<3@x>")], "a mail to a", id="a stranger"
        ),
        pytest.param(
            [row(), FINE, row(id="dlv_4", address="a@b.example")], [COPY, COPY_2], "it is for", id="too many"
        ),
    ],
)
def test_a_broken_promise_is_noticed(rows: list[Row], kept: list[Kept], promise: str) -> None:
    """Each way to lose a mail, to double one or to be silent about it fails the storm, and shows the row."""
    verdict = judge(ACCEPTED, rows, kept)
    report = Report(short("sqlite"), verdict)

    assert [one.promise for one in verdict.broken if promise in one.promise]
    assert "BROKEN PROMISES" in report.text()


def _with(**changed: object) -> Callable[[Report], Report]:
    return lambda report: replace(report, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "break_it",
    [
        _with(waiting=1),
        _with(robbed_alive=1),
        _with(unrecovered=["redis-flush"]),
        _with(complaints=["an answer of 500"]),
    ],
)
def test_what_is_left_undone_is_noticed(break_it: Callable[[Report], Report]) -> None:
    """Rows that wait for ever, a living worker robbed, a fault without recovery: each fails the storm."""
    well = Report(short("sqlite"), judge(ACCEPTED, [row(), FINE], [COPY, COPY_2]))

    assert not well.broken
    assert break_it(well).broken


def test_more_copies_than_the_bound_are_noticed() -> None:
    """A second copy that no fault of the storm explains fails it, however well it is marked."""
    rows = [row(uncertain=True, attempts=DOUBT), FINE]
    report = Report(short("sqlite"), judge(ACCEPTED, rows, [COPY, COPY, COPY_2]))

    assert any("second copies" in one for one in report.broken)


def test_variables_choose_the_storms() -> None:
    """Both databases unless one is named; a seed is made up where none is given; nonsense is refused."""
    both = from_environment({"CHAOS_SEED": "7", "CHAOS_SECONDS": "30"})
    one = from_environment({"CHAOS_DATABASE": "sqlite", "CHAOS_DELIVERIES": "100"})

    assert [(it.database, it.seed, it.seconds) for it in both] == [("sqlite", 7, 30), ("postgresql", 7, 30)]
    assert [(it.database, it.deliveries) for it in one] == [("sqlite", 100)]
    with pytest.raises(ValueError, match="CHAOS_DATABASE"):
        from_environment({"CHAOS_DATABASE": "mysql"})
    with pytest.raises(ValueError, match="CHAOS_SECONDS"):
        from_environment({"CHAOS_SECONDS": "1"})
