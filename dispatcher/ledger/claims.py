"""Claims: which worker may send what, until when, and what came of it."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.delivery import Claim, Lane, Status
from dispatcher.errors import ServiceUnreachable
from dispatcher.ledger import claim_sql
from dispatcher.ledger.claim_rows import Moments, Picked, claim_of, micros
from dispatcher.ledger.claim_sql import BARRED, Statement
from dispatcher.ledger.engine import Database
from dispatcher.ledger.holds import affected
from dispatcher.ledger.leases import Lease, undone
from dispatcher.ledger.outcomes import BAR, Recorded, settled
from dispatcher.ledger.schema import deliveries, variants
from dispatcher.ledger.suppressions import opted_out


@dataclass(frozen=True, slots=True)
class VariantContent:
    """What was rendered for everybody who reads the same thing; the bytes as they were handed in."""

    subject: str
    content: bytes


class Claims:
    """The hand-over of deliveries to workers and of outcomes to the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._one_hop = not database.many_writers
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
            unheard, self._unheard = self._unheard, []
            asked, wanted = (str(lane), micros(now), limit, worker), (optional, waiting)
            picked = taken = None
            try:
                if self._one_hop and not unheard:
                    picked = taken = await self._at_once(asked, ours, wanted)
                if picked is None or taken is None:
                    async with self._database.write() as transaction:
                        for lost, its_lane in unheard:
                            await transaction.execute(undone(lost, its_lane, now))
                        due = await claim_sql.PICK.rows(transaction, *asked)
                        picked = [Picked._make(row) for row in due]
                        barred = await _barred(transaction, picked, now, wanted)
                        taken = [row for row in picked if row.id not in barred] if barred else picked
                        await _take(transaction, taken, ours, now)
            except ServiceUnreachable:
                self._unheard += [*unheard, (ours, lane)]  # it may have been committed all the same
                raise
            if taken or not picked:
                moments = Moments()
                return [claim_of(row, moments) for row in sorted(taken, key=lambda row: row.id)]

    async def _at_once(
        self, asked: tuple[str, int, int, str], ours: Lease, wanted: tuple[Collection[str], Collection[str]]
    ) -> list[Picked] | None:
        """What is due, taken over; None, and nothing was written, if any of it may have to be settled."""
        now = asked[1]

        def work(database: sqlite3.Connection) -> list[Picked] | None:
            picked = [Picked._make(row) for row in claim_sql.PICK.rows_in(database, *asked)]
            if any(row.cancelled for row in picked) or _over(picked, now) or _doubted(picked, wanted):
                return None
            if picked:
                ids = claim_sql.text([row.id for row in picked])
                claim_sql.TAKE.run_in(database, ids, micros(ours.until), ours.worker, now)
            return picked

        return await self._database.at_once(work)

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
        at = micros(self._database.now())
        if self._one_hop:
            return await self._database.at_once(_recording(recorded, at))
        async with self._database.write() as transaction:
            fences = await _fences(transaction, claim_sql.HELD_OR_LATE, [one.claim.id for one in recorded])
            kept = [one for one in recorded if fences.get(one.claim.id) == one.claim.fence]
            if kept:
                rows = claim_sql.table(transaction, [settled(one, at) for one in kept])
                await claim_sql.SETTLE_ALL.run(transaction, *rows, at)
                await claim_sql.ATTEMPTS.run(transaction, *rows, at)
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
                ids = claim_sql.ids(transaction, [claim.id for claim in ours])
                await claim_sql.RENEW.run(transaction, ids, micros(until))
        return set(ours)

    async def give_back(
        self, claims: Sequence[Claim], reason: str = "", later: timedelta = timedelta()
    ) -> int:
        """Return claims under which nothing was begun: due as if they had not been made.

        Args:
            claims: The claims.
            reason: Why nothing was begun, from `MOVE_REASONS`; empty if the worker stops.
            later: How long from now they are due.

        Returns:
            How many went back; the others had lapsed, and somebody else has them.
        """
        now = self._database.now()
        async with self._database.write() as transaction:
            ours = await _still_ours(transaction, claims)
            if ours:
                ids = claim_sql.ids(transaction, [claim.id for claim in ours])
                await claim_sql.GIVE_BACK.run(transaction, ids, reason, micros(now + later), micros(now))
        return len(ours)


def _recording(recorded: Sequence[Recorded], at: int) -> Callable[[sqlite3.Connection], int]:
    """What `Claims.record` does in SQLite; what can be made ready is, before anybody waits for it."""
    ids = claim_sql.text([one.claim.id for one in recorded])
    whole = claim_sql.text([settled(one, at) for one in recorded])

    def work(database: sqlite3.Connection) -> int:
        fences = dict(claim_sql.HELD_OR_LATE.rows_in(database, ids))
        kept = [one for one in recorded if fences.get(one.claim.id) == one.claim.fence]
        refused = len(recorded) - len(kept)
        rows = claim_sql.text([settled(one, at) for one in kept]) if refused else whole
        if kept:
            claim_sql.SETTLE_ALL.run_in(database, rows, at)
            claim_sql.ATTEMPTS.run_in(database, rows, at)
        return refused

    return work


def _over(picked: Sequence[Picked], at: int) -> bool:
    """Whether any has expired."""
    return any(row.expires_at is not None and row.expires_at <= at for row in picked)


def _doubted(picked: Sequence[Picked], asked: tuple[Collection[str], Collection[str]]) -> bool:
    """Whether anybody may have opted out of any, or any may have to wait; see `_barred`."""
    if not picked or not (picked[0].stopped or picked[0].troubled):
        return False
    types = {row.type for row in picked}
    optional, waiting = types.intersection(asked[0]), types.intersection(asked[1])
    return bool((optional and picked[0].stopped) or (waiting and picked[0].troubled))


async def _barred(
    transaction: AsyncConnection,
    picked: Sequence[Picked],
    now: datetime,
    asked: tuple[Collection[str], Collection[str]],
) -> AbstractSet[str]:
    """Settle what must not be sent, of what was picked; the ids.

    `asked` has the types whose readers may opt out, and those whose mail waits for the end of an incident.
    """
    unwanted = await _unwanted(transaction, picked, asked)
    at = micros(now)
    barred: dict[str, Status] = {}
    for row in picked:
        if row.cancelled:
            barred[row.id] = Status.CANCELLED
        elif row.expires_at is not None and row.expires_at <= at:
            barred[row.id] = Status.EXPIRED
        elif row.id in unwanted:
            barred[row.id] = unwanted[row.id]
    if barred:
        rows = [{"key": id_, "bar": why.value, "why": BARRED[why], "now": now} for id_, why in barred.items()]
        await transaction.execute(BAR, rows)
    return barred.keys()


async def _unwanted(
    transaction: AsyncConnection,
    picked: Sequence[Picked],
    asked: tuple[Collection[str], Collection[str]],
) -> Mapping[str, Status]:
    """What its reader opted out of, and what waits while an incident affects its instance."""
    if not _doubted(picked, asked):
        return {}
    types = {row.type for row in picked}
    stops = opted_out(types.intersection(asked[0]) if picked[0].stopped else ())
    waits = affected(types.intersection(asked[1]) if picked[0].troubled else ())
    query = select(deliveries.c.id, stops.label("stops")).where(
        deliveries.c.id.in_([row.id for row in picked]), or_(stops, waits)
    )
    found = (await transaction.execute(query)).all()
    return {row.id: Status.SUPPRESSED if row.stops else Status.HELD for row in found}


async def _take(transaction: AsyncConnection, picked: Sequence[Picked], lease: Lease, now: datetime) -> None:
    if picked:
        ids = claim_sql.ids(transaction, [row.id for row in picked])
        await claim_sql.TAKE.run(transaction, ids, micros(lease.until), lease.worker, micros(now))


async def _fences(transaction: AsyncConnection, statement: Statement, keys: list[str]) -> Mapping[str, int]:
    """The fences of those deliveries that somebody may write to; locked until the transaction ends."""
    rows = await statement.rows(transaction, claim_sql.ids(transaction, keys))
    return dict(rows)


async def _still_ours(transaction: AsyncConnection, claims: Sequence[Claim]) -> list[Claim]:
    """The claims whose fence still holds."""
    fences = await _fences(transaction, claim_sql.HELD, [claim.id for claim in claims])
    return [claim for claim in claims if fences.get(claim.id) == claim.fence]


def _unpacked(content: bytes) -> bytes:
    """The content as it was handed in; nothing where it was damaged, so that others can still be read."""
    try:
        return zlib.decompress(content)
    except zlib.error:
        return b""
