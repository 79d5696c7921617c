"""The ledger against a plain model of a delivery, on each database, through whatever may happen to both."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from clock import Clock
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger_model import Model, Row
from ledger_records import DEFERRED, FAILED, LEASE, LOST, SENT, expansion, new_event, people
from sqlalchemy import select, text

from dispatcher.domain.delivery import DUE, FINAL, Claim, Lane, OnUncertain, Outcome, Status
from dispatcher.ledger import Due, Filter, Lease, Ledger, Recorded
from dispatcher.ledger.schema import TROUBLE, attempts, deliveries

_T = TypeVar("_T")
WORKERS = st.sampled_from(["w1", "w2", "w3"])
LANES = st.sampled_from([Lane.URGENT, Lane.NORMAL])
LIMITS = st.integers(1, 6)
MANY = 20
TYPE = "planned-maintenance"
OUTCOMES = st.sampled_from([SENT, FAILED, DEFERRED, LOST])
#: After how many seconds to try again; None where no try is left.
AGAIN = st.sampled_from([0, 30, 300, None])
#: What two ledgers may be compared by: all that a delivery has of its own.
COLUMNS = (
    *("event", "status", "reason", "next_try_at", "tries", "fence", "uncertain", "crashes", "worker"),
    *("lease_until", "expires_at", "retry_from"),
)
#: Enough to find each fault that was planted for a trial, in a few seconds on each database.
#: A failure is told as it was found, because making it shorter takes minutes; `Phase.shrink` does so.
SETTINGS = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


class Machine(RuleBasedStateMachine):
    """Everything that may be done to deliveries, done to a ledger and to the model."""

    def __init__(self, fresh: Callable[[], str]) -> None:
        super().__init__()
        self.clock, self.model, self.runner = Clock(), Model(), asyncio.Runner()
        self.numbers = count(1)
        self.given: dict[tuple[str, int], Claim] = {}
        self.final: dict[str, Status] = {}
        self.ledger = self.run(
            Ledger.open(fresh(), clock=self.clock, token=lambda n: f"{next(self.numbers) << 20:0{2 * n}x}")
        )

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.run(self.ledger.close())
        self.runner.close()

    async def everything(self) -> tuple[dict[str, Any], dict[str, list[tuple[Status, str]]]]:
        """The deliveries by id, and the status and reason of their attempts, oldest first."""
        tried: dict[str, list[tuple[Status, str]]] = {}
        async with self.ledger.database.read() as connection:
            rows = {row.id: row for row in await connection.execute(select(deliveries))}
            for row in await connection.execute(select(attempts).order_by(attempts.c.id)):
                tried.setdefault(row.delivery, []).append((Status(row.status), row.reason))
        return rows, tried

    def rows(self) -> dict[str, Any]:
        return self.run(self.everything())[0]

    def live(self) -> list[Claim]:
        """The claims that hold."""
        return [one for one in self.given.values() if self.model.rows[one.id].has(one.fence)]

    def take(self, worker: str, lane: Lane, limit: int) -> list[Claim]:
        """Claim, and see that each delivery comes to one worker only, with all that the model says of it."""
        before = {key: (row.fence, row.status) for key, row in self.model.rows.items()}
        taking = self.ledger.claims.claim(lane, limit, worker=worker, lease=LEASE, optional=[TYPE])
        claims = self.run(taking)
        touched = {key for key, row in self.rows().items() if (row.fence, row.status) != before[key]}
        until = self.clock.now + LEASE
        expected = self.model.claim(worker, until, (lane, limit), self.clock.now, touched)
        for one in claims:
            row = self.model.rows[one.id]
            assert (one.id, one.fence) not in self.given
            assert (one.tries, one.fence) == (row.tries - 1, row.fence)
            assert (one.retry_from, one.expires_at) == (row.retry_from or row.created_at, row.expires_at)
            self.given[one.id, one.fence] = one
        assert [one.id for one in claims] == sorted(row.id for row in expected)
        return list(claims)

    def lose(self, leases: list[Lease]) -> None:
        """Let those leases count as lapsed."""
        recovered = self.run(self.ledger.leases.recover(leases))
        expected = self.model.recover({(one.worker, one.until) for one in leases}, self.clock.now)
        assert (recovered.deliveries, set(recovered.poison)) == expected

    def held(self) -> list[Lease]:
        found = self.run(self.ledger.leases.held("w"))
        assert {(one.worker, one.until) for one in found} == self.model.held()
        assert len(found) == len(self.model.held())
        return list(found)

    def due(self) -> list[Lane]:
        """The lanes in which something can be claimed."""
        return [lane for lane in Lane if self.model.due(lane, self.clock.now)]

    @initialize(resend=st.integers(1, 5), hold=st.integers(1, 5))
    def begin(self, resend: int, hold: int) -> None:
        """Two events that last, so that there always is something to do."""
        self.expand(Lane.NORMAL, resend, OnUncertain.RESEND, None)
        self.expand(Lane.NORMAL, hold, OnUncertain.HOLD, None)

    @precondition(lambda self: len(self.model.rows) < MANY)
    @rule(
        lane=LANES,
        number=st.integers(1, 4),
        policy=st.sampled_from(OnUncertain),
        lasts=st.sampled_from([0, 60, 3600, None]),
    )
    def expand(self, lane: Lane, number: int, policy: OnUncertain, lasts: int | None) -> None:
        name = f"CHG-{next(self.numbers)}"
        over = None if lasts is None else self.clock.now + timedelta(seconds=lasts)
        (added,) = self.run(self.ledger.events.add([new_event(name, lane=lane)]))
        made = expansion(people(number), on_uncertain=policy, mark=name, expires_at=over)
        assert self.run(self.ledger.expansions.store(added.id, made)) == number
        rows = self.rows()
        for key in sorted(rows.keys() - self.model.rows.keys()):
            now = self.clock.now
            made_row = Row(key, added.id, lane, policy, now, over, now, address=rows[key].folded)
            self.model.rows[key] = made_row

    @precondition(lambda self: self.due())
    @rule(data=st.data(), worker=WORKERS, limit=LIMITS, times=st.integers(1, 2))
    def claim(self, data: st.DataObject, worker: str, limit: int, times: int) -> None:
        lane = data.draw(st.sampled_from(self.due()))
        for _ in range(times):
            self.take(worker, lane, limit)

    def record(self, claims: list[Claim], outcome: Outcome, again: int | None) -> None:
        later = None if again is None else self.clock.now + timedelta(seconds=again)
        refused = self.run(self.ledger.claims.record([Recorded(one, outcome, later) for one in claims]))
        now = self.clock.now
        believed = [self.model.record(one.id, one.fence, outcome, later, (now, one.tries)) for one in claims]
        assert refused == believed.count(False)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), outcome=OUTCOMES, again=AGAIN)
    def record_outcome(self, data: st.DataObject, outcome: Outcome, again: int | None) -> None:
        self.record(
            data.draw(st.lists(st.sampled_from(self.live()), min_size=1, unique=True)), outcome, again
        )

    def renew(self, claims: list[Claim]) -> None:
        ours = self.run(self.ledger.claims.renew(claims, LEASE))
        assert ours == {one for one in claims if self.model.rows[one.id].has(one.fence)}
        for one in ours:
            self.model.rows[one.id].lease_until = self.clock.now + LEASE

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def renew_some(self, data: st.DataObject) -> None:
        self.renew(data.draw(st.lists(st.sampled_from(self.live()), min_size=1, unique=True)))

    def give_back(self, claims: list[Claim], reason: str) -> None:
        given = self.run(self.ledger.claims.give_back(claims, reason))
        back = [self.model.give_back(one.id, one.fence, reason, self.clock.now) for one in claims]
        assert given == back.count(True)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), reason=st.sampled_from(["", "relay_unreachable"]))
    def give_some_back(self, data: st.DataObject, reason: str) -> None:
        self.give_back(data.draw(st.lists(st.sampled_from(self.live()), min_size=1, unique=True)), reason)

    @precondition(lambda self: len(self.given) > len(self.live()))
    @rule(data=st.data(), outcome=OUTCOMES, again=AGAIN)
    def come_back_late(self, data: st.DataObject, outcome: Outcome, again: int | None) -> None:
        """A worker does something under a claim that has lapsed, is done with, or was followed by others."""
        rows, given = self.model.rows, list(self.given.values())
        lapsed = [one for one in given if rows[one.id].late and rows[one.id].fence == one.fence]
        old = [one for one in given if not rows[one.id].has(one.fence)]
        claim = data.draw(st.sampled_from(lapsed or old))
        self.renew([claim])
        self.give_back([claim], "")
        self.record([claim], outcome, again)

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def lapse(self, data: st.DataObject) -> None:
        """Somebody watches the leases for a while, and takes those that nobody renewed meanwhile."""
        seen = self.held()
        self.clock.advance(seconds=31)
        self.renew(data.draw(st.lists(st.sampled_from(self.live()), unique=True)))
        self.lose(seen)

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        """A worker goes away; its claims are known to it still, should it come back."""
        held = self.held()
        worker = data.draw(st.sampled_from(sorted({one.worker for one in held})))
        self.lose([one for one in held if one.worker == worker])

    @precondition(lambda self: self.due())
    @rule(data=st.data(), worker=WORKERS, times=st.integers(2, 3))
    def die_again(self, data: st.DataObject, worker: str, times: int) -> None:
        """Workers that take the same go away one after the other."""
        lane = data.draw(st.sampled_from(self.due()))
        for _ in range(times):
            self.take(worker, lane, MANY)
            self.lose([one for one in self.held() if one.worker == worker])

    @precondition(lambda self: self.model.rows)
    @rule(data=st.data(), whole=st.booleans())
    def cancel(self, data: st.DataObject, whole: bool) -> None:
        """An event is withdrawn; or the process that does so dies half-way."""
        event = data.draw(st.sampled_from(sorted({row.event for row in self.model.rows.values()})))
        self.run(self.ledger.events.cancel(event))
        self.model.cancelled.add(event)
        if whole:
            assert self.run(self.ledger.deliveries.cancel(event)) == self.model.cancel(event)

    @rule(address=st.sampled_from(people(3)), wanted=st.booleans())
    def choose(self, address: str, wanted: bool) -> None:
        """A reader opts out of the type of all these deliveries, or takes that back."""
        if wanted:
            lifted = self.run(self.ledger.suppressions.lift(address, [TYPE]))
            assert bool(lifted) == (address in self.model.stopped)
            self.model.stopped.discard(address)
        else:
            added = self.run(self.ledger.suppressions.add(address.upper(), [TYPE], "page"))
            assert bool(added) == (address not in self.model.stopped)
            self.model.stopped.add(address)

    @precondition(lambda self: self.model.numbers([Status.HELD, Status.FAILED]))
    @rule(data=st.data(), reason=st.sampled_from(["released", "replayed"]), one=st.booleans())
    def requeue(self, data: st.DataObject, reason: Any, one: bool) -> None:
        status = data.draw(st.sampled_from(list(self.model.numbers([Status.HELD, Status.FAILED]))))
        aside = sorted({row.event for row in self.model.rows.values() if row.status is status})
        event = data.draw(st.sampled_from(aside)) if one else None
        requeued = self.run(self.ledger.deliveries.requeue(Filter(status=status, event=event), reason))
        assert requeued == self.model.requeue(status, event, reason, self.clock.now)
        self.final.clear()

    @rule(seconds=st.sampled_from([-31, 0.000001, 1, 31, 300, 3600]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)
        self.look()

    @precondition(lambda self: self.waiting_till())
    @rule(data=st.data())
    def pass_time_to_a_moment_that_matters(self, data: st.DataObject) -> None:
        self.clock.now = data.draw(st.sampled_from(self.waiting_till()))
        self.look()

    def waiting_till(self) -> list[datetime]:
        """When something that waits is due, or over."""
        waiting = [row for row in self.model.rows.values() if row.next_try_at is not None]
        moments = {row.next_try_at for row in waiting} | {row.expires_at for row in waiting}
        return sorted(moment for moment in moments if moment is not None)

    @precondition(lambda self: Status.QUEUED in self.model.numbers([Status.QUEUED]))
    @rule(hours=st.integers(1, 2))
    def set_the_clock_back(self, hours: int) -> None:
        self.clock.advance(hours=-hours)
        self.due_at_once()

    def due_at_once(self) -> None:
        assert self.run(self.ledger.backlog.due_at_once(LEASE)) == self.model.due_at_once(self.clock.now)

    def look(self) -> None:
        """What the backlog says is what the model counts."""
        backlog, now = self.run(self.ledger.backlog.look()), self.clock.now
        due = {lane: self.model.due(lane, now) for lane in Lane if self.model.due(lane, now)}
        assert backlog.due == {lane: Due(len(rows), rows[0].next_try_at) for lane, rows in due.items()}
        later = [row.key[0] for row in self.model.rows.values() if row.status in DUE and row.key[0] > now]
        assert (backlog.later, backlog.next_try_at) == (len(later), min(later, default=None))
        assert backlog.sending == self.model.numbers([Status.SENDING]).get(Status.SENDING, 0)
        assert backlog.trouble == self.model.numbers(TROUBLE)
        assert self.run(self.ledger.backlog.due_lanes(now)) == list(due)
        oldest = min((rows[0].key[0] for rows in due.values()), default=None)
        assert self.run(self.ledger.backlog.oldest_due()) == oldest

    @invariant()
    def agrees(self) -> None:
        """Ledger and model agree on every delivery, and on its attempts."""
        rows, tried = self.run(self.everything())
        assert {key: {name: getattr(row, name) for name in COLUMNS} for key, row in rows.items()} == {
            key: {name: getattr(row, name) for name in COLUMNS} for key, row in self.model.rows.items()
        }
        assert tried == {key: row.attempts for key, row in self.model.rows.items() if row.attempts}
        self.holds(rows)

    def holds(self, rows: dict[str, Any]) -> None:
        """What must hold of the ledger whatever the model says."""
        for key, row in rows.items():
            assert (row.next_try_at is not None) == (row.status in DUE)
            assert (row.worker is not None) == (row.lease_until is not None) == (row.status == Status.SENDING)
            if key in self.final:
                late = self.final[key] is Status.HELD and row.reason in {one.reason for one in SAID}
                assert row.status == self.final[key] or late
        self.final = {key: Status(row.status) for key, row in rows.items() if row.status in FINAL}


#: What a worker may say of a delivery, be it late.
SAID = (SENT, FAILED, DEFERRED, LOST)


def sqlite_files(folder: Path, clock: Clock) -> Callable[[], str]:
    """Makes copies of one empty ledger."""
    numbers, empty = count(1), folder / "empty.db"

    async def prepare() -> None:
        await (await Ledger.open(f"sqlite:///{empty}", clock=clock)).close()

    asyncio.run(prepare())

    def fresh() -> str:
        copy = folder / f"{next(numbers)}.db"
        shutil.copyfile(empty, copy)
        return f"sqlite:///{copy}"

    return fresh


def postgres_database(url: str, clock: Clock) -> Callable[[], str]:
    """Empties one database again and again, which is quicker than making them."""

    async def empty() -> None:
        ledger = await Ledger.open(url, clock=clock)
        async with ledger.database.write() as transaction:
            tables = "events, variants, deliveries, attempts, windows, suppressions"
            await transaction.execute(text(f"TRUNCATE {tables} CASCADE"))
        await ledger.close()

    def fresh() -> str:
        asyncio.run(empty())
        return url

    return fresh


def run(fresh: Callable[[], str]) -> None:
    """Go through it all, each time with a fresh database."""
    factory: Any = lambda: Machine(fresh)  # noqa: E731 - hypothesis says it wants a class; a factory will do
    run_state_machine_as_test(factory, settings=SETTINGS)


def test_the_ledger_does_what_the_model_says_on_sqlite(tmp_path: Path, clock: Clock) -> None:
    """Whatever is done in whatever order, every delivery stands where the rules say."""
    fresh = sqlite_files(tmp_path, clock)
    run(fresh)


def test_the_ledger_does_what_the_model_says_on_postgresql(postgres_url: str, clock: Clock) -> None:
    """Whatever is done in whatever order, every delivery stands where the rules say."""
    fresh = postgres_database(postgres_url, clock)
    run(fresh)
