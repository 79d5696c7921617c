"""Claims: which worker may send what, until when, and what came of it."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, insert, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.delivery import Claim, Lane, Status
from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger.claim_rows import CLAIM, claim_of
from dispatcher.ledger.engine import Database
from dispatcher.ledger.holds import affected
from dispatcher.ledger.leases import Lease, undone
from dispatcher.ledger.outcomes import (
    BAR,
    BARRED,
    LAPSED,
    SETTLE,
    Recorded,
    attempt_row,
    bar,
    barred_row,
    settled,
)
from dispatcher.ledger.schema import SUSPECT, attempts, deliveries, variants
from dispatcher.ledger.suppressions import opted_out

_IDS = 5000  # ids in one IN list
# Not a parameter: only then does SQLite see that the partial index on suspects will do.
_SUSPICIOUS = deliveries.c.crashes >= literal_column(str(SUSPECT))
# What a worker is sending already; the literal is for the index on leases.
_BUSY = deliveries.alias("busy")
_AT_A_SUSPECT = (_BUSY.c.status == literal_column(f"'{Status.SENDING}'")) & (_BUSY.c.crashes >= SUSPECT)


@dataclass(frozen=True, slots=True)
class VariantContent:
    """What was rendered for everybody who reads the same thing; the bytes as they were handed in."""

    subject: str
    content: bytes


class Claims:
    """The hand-over of deliveries to workers and of outcomes to the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unheard: list[tuple[Lease, Lane]] = []

    async def claim(
        self,
        lane: Lane,
        limit: int,
        *,
        worker: str,
        lease: timedelta,
        optional: Collection[str] = (),
        waiting: Collection[str] = (),
    ) -> Sequence[Claim]:
        """Take over up to `limit` due deliveries of a lane: they are `Status.SENDING` when this returns.

        Those that waited longest come first. No delivery goes to two workers while its lease holds. What
        was cancelled, has expired, is of an `optional` type that its reader opted out of, or is of a
        `waiting` type while an incident affects its instance, is settled on the way and not handed out. Of
        those that may be what ended their last workers, a worker has one a lane at a time, so that the next
        end says which it was.
        """
        while True:
            now = self._database.now()
            ours = Lease(worker, now + lease)
            asked = (*CLAIM, opted_out(optional).label("opted_out"), affected(waiting).label("affected"))
            unheard, self._unheard = self._unheard, []
            try:
                async with self._database.write() as transaction:
                    for lost, its_lane in unheard:
                        await transaction.execute(undone(lost, its_lane, now))
                    rows = await _take(transaction, _suspect(lane, now, worker), ours, (now, asked))
                    rows += await _take(transaction, _usual(lane, now, limit - len(rows)), ours, (now, asked))
                    if barred := [barred_row(row, why) for row in rows if (why := bar(row, now))]:
                        await transaction.execute(BAR, barred)
            except ServiceUnreachable:
                self._unheard += [*unheard, (ours, lane)]  # it may have been committed all the same
                raise
            if len(barred) < len(rows) or not rows:
                taken = [claim_of(row) for row in rows if not bar(row, now)]
                return sorted(taken, key=lambda claim: claim.id)

    async def content(self, variant_ids: Sequence[int]) -> Mapping[int, VariantContent]:
        """The content of those variants, by their ids."""
        query = select(variants.c.id, variants.c.subject, variants.c.content).where(
            variants.c.id.in_(set(variant_ids))
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return {row.id: VariantContent(row.subject, _unpacked(row.content)) for row in rows}

    async def record(self, recorded: Sequence[Recorded]) -> int:
        """Commit what came of claims, each with its attempt, in one transaction.

        A lease that ran out is no matter as long as nobody claimed the delivery since: what is known is
        better than what was guessed when it ran out, even if it was cancelled or has expired meanwhile.

        Returns:
            How many were refused, because somebody else claimed the delivery meanwhile.
        """
        if not recorded:
            return 0
        now = self._database.now()
        async with self._database.write() as transaction:
            ours = set(await _still_ours(transaction, [one.claim for one in recorded], lapsed=True))
            kept = [one for one in recorded if one.claim in ours]
            if kept:
                await transaction.execute(SETTLE, [settled(one, now) for one in kept])
                await transaction.execute(
                    insert(attempts), [attempt_row(one.claim.id, one.outcome, now) for one in kept]
                )
        return len(recorded) - len(kept)

    async def renew(self, claims: Sequence[Claim], lease: timedelta) -> AbstractSet[Claim]:
        """Let claims hold for another `lease` from now.

        Returns:
            Those that are still ours; begin none of the others.
        """
        until = self._database.now() + lease
        async with self._database.write() as transaction:
            ours = await _still_ours(transaction, claims)
            if ours:
                rows = [{"key": claim.id, "until": until} for claim in ours]
                await transaction.execute(_RENEW, rows)
        return set(ours)

    async def give_back(self, claims: Sequence[Claim], reason: str = "") -> int:
        """Return claims under which nothing was begun: due at once, as if they had not been made.

        Args:
            claims: The claims.
            reason: Why nothing was begun, from `MOVE_REASONS`; empty if the worker stops.

        Returns:
            How many went back; the others had lapsed, and somebody else has them.
        """
        now = self._database.now()
        async with self._database.write() as transaction:
            ours = await _still_ours(transaction, claims)
            if ours:
                await transaction.execute(_GIVE_BACK, [_unclaimed(claim, reason, now) for claim in ours])
        return len(ours)


def _usual(lane: Lane, now: datetime, limit: int) -> Select[Any]:
    return (
        select(deliveries.c.id)
        .where(deliveries.c.lane == lane, deliveries.c.next_try_at <= now, deliveries.c.crashes < SUSPECT)
        .order_by(deliveries.c.next_try_at, deliveries.c.id)
        .limit(limit)
    )


def _suspect(lane: Lane, now: datetime, worker: str) -> Select[Any]:
    return (
        select(deliveries.c.id)
        .where(deliveries.c.lane == lane, deliveries.c.next_try_at <= now, _SUSPICIOUS)
        .where(~exists().where(_AT_A_SUSPECT, _BUSY.c.worker == worker, _BUSY.c.lane == lane))
        .order_by(deliveries.c.next_try_at)
        .limit(1)
    )


async def _take(
    transaction: AsyncConnection,
    wanted: Select[Any],
    lease: Lease,
    asked: tuple[datetime, Sequence[ColumnElement[Any]]],
) -> list[Any]:
    """Claim what is `wanted`; `asked` is the time, and what to know of each."""
    now, columns = asked
    # Evaluated once: as a mere IN, PostgreSQL may lock more than the limit.
    picked = wanted.with_for_update(skip_locked=True).cte("picked")
    statement = (
        update(deliveries)
        .where(deliveries.c.id.in_(select(picked.c.id)))
        .values(
            status=Status.SENDING,
            reason="",
            fence=deliveries.c.fence + 1,
            tries=deliveries.c.tries + 1,
            next_try_at=None,
            lease_until=lease.until,
            worker=lease.worker,
            updated_at=now,
        )
        .returning(*columns)
    )
    return list((await transaction.execute(statement)).all())


_GIVE_BACK = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("key"))
    .values(
        status=bindparam("before"),
        reason=bindparam("why"),
        tries=bindparam("count"),
        next_try_at=bindparam("due"),
        lease_until=None,
        worker=None,
        updated_at=bindparam("now"),
    )
)
_RENEW = update(deliveries).where(deliveries.c.id == bindparam("key")).values(lease_until=bindparam("until"))


async def _still_ours(
    transaction: AsyncConnection, claims: Sequence[Claim], *, lapsed: bool = False
) -> list[Claim]:
    """The claims whose fence still holds; their rows are locked until the transaction ends.

    Args:
        transaction: The transaction.
        claims: The claims.
        lapsed: Whether those count too whose lease ran out and whom nobody followed.
    """
    ids, fences = [claim.id for claim in claims], dict[str, int]()
    mine = deliveries.c.status == Status.SENDING
    if lapsed:
        barred = deliveries.c.status.in_(tuple(BARRED)) & (deliveries.c.crashes > 0)
        mine |= deliveries.c.reason.in_(LAPSED) | barred
    for start in range(0, len(ids), _IDS):
        query = (
            select(deliveries.c.id, deliveries.c.fence)
            .where(deliveries.c.id.in_(ids[start : start + _IDS]), mine)
            .order_by(deliveries.c.id)  # one order everywhere, so that no two wait for each other
            .with_for_update()
        )
        fences.update((row.id, row.fence) for row in await transaction.execute(query))
    return [claim for claim in claims if fences.get(claim.id) == claim.fence]


def _unpacked(content: bytes) -> bytes:
    """The content as it was handed in; nothing where it was damaged, so that others can still be read."""
    try:
        return zlib.decompress(content)
    except zlib.error:
        return b""


def _unclaimed(claim: Claim, reason: str, now: datetime) -> dict[str, Any]:
    before = Status.DEFERRED if claim.tries else Status.QUEUED
    return {
        "key": claim.id,
        "before": before.value,
        "why": reason,
        "count": claim.tries,
        "due": now,
        "now": now,
    }
