"""Claims: which worker may send what, until when, and what came of it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Select,
    bindparam,
    exists,
    insert,
    literal,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.delivery import Claim, Lane, OnUncertain, Status
from dispatcher.ledger.engine import Database
from dispatcher.ledger.outcomes import SETTLE, Recorded, abandoned, attempt_row, gone, settled
from dispatcher.ledger.schema import attempts, deliveries, variants

_RECOVER = 500  # rows in one transaction
_IDS = 5000  # ids in one IN list
# Not a parameter: only then does SQLite see that the partial index on leases will do.
_SENDING = deliveries.c.status == literal_column(f"'{Status.SENDING}'")
_CLAIM = (
    deliveries.c.id,
    deliveries.c.event,
    deliveries.c.type,
    deliveries.c.instance,
    deliveries.c.address,
    deliveries.c.name,
    deliveries.c.language,
    deliveries.c.sender,
    deliveries.c.lane,
    deliveries.c.message_id,
    deliveries.c.variant,
    deliveries.c.fence,
    deliveries.c.tries,
    deliveries.c.created_at,
    deliveries.c.on_uncertain,
)


@dataclass(frozen=True, slots=True)
class VariantContent:
    """What was rendered for everybody who reads the same thing; the bytes as they were handed in."""

    subject: str
    content: bytes


class Claims:
    """The hand-over of deliveries to workers and of outcomes to the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, lane: Lane, limit: int, *, worker: str, lease: timedelta) -> Sequence[Claim]:
        """Take over up to `limit` due deliveries of a lane: they are `Status.SENDING` when this returns.

        Those that waited longest come first. No delivery goes to two workers while its lease holds.
        """
        now = self._database.now()
        picked = (
            select(deliveries.c.id)
            .where(deliveries.c.lane == lane, deliveries.c.next_try_at <= now)
            .order_by(deliveries.c.next_try_at, deliveries.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("picked")  # evaluated once: as a mere IN, PostgreSQL may lock more than the limit
        )
        statement = (
            update(deliveries)
            .where(deliveries.c.id.in_(select(picked.c.id)))
            .values(
                status=Status.SENDING,
                reason="",
                fence=deliveries.c.fence + 1,
                tries=deliveries.c.tries + 1,
                next_try_at=None,
                lease_until=now + lease,
                worker=worker,
                updated_at=now,
            )
            .returning(*_CLAIM)
        )
        async with self._database.write() as transaction:
            rows = (await transaction.execute(statement)).all()
        return [_claim(row) for row in sorted(rows, key=lambda row: str(row.id))]

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
        better than what was guessed when it ran out.

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

    async def give_back(self, claims: Sequence[Claim]) -> int:
        """Return claims under which nothing was begun: due at once, as if they had not been made.

        Returns:
            How many went back; the others had lapsed, and somebody else has them.
        """
        now = self._database.now()
        async with self._database.write() as transaction:
            ours = await _still_ours(transaction, claims)
            if ours:
                await transaction.execute(_GIVE_BACK, [_unclaimed(claim, now) for claim in ours])
        return len(ours)

    async def recover(self, now: datetime) -> int:
        """Settle what workers were sending when they went away; how many deliveries that were.

        Nobody can know whether those arrived: each gets an attempt that says so, and is due now or
        `Status.HELD`, as its type wants it.
        """
        query = (
            select(deliveries.c.id, deliveries.c.on_uncertain, deliveries.c.worker)
            .where(_SENDING, deliveries.c.lease_until <= now)
            .order_by(deliveries.c.lease_until)
            .limit(_RECOVER)
        )
        total = 0
        while True:
            async with self._database.read() as connection:  # mostly there are none: take no lock
                if not (await connection.execute(query.limit(1))).first():
                    return total
            async with self._database.write() as transaction:
                locked = query.with_for_update(skip_locked=True)
                rows = (await transaction.execute(locked)).all()
                if not rows:
                    return total  # another process is at it
                await transaction.execute(SETTLE, [abandoned(row, now) for row in rows])
                await transaction.execute(
                    insert(attempts), [attempt_row(row.id, gone(row.worker), now) for row in rows]
                )
            total += len(rows)

    async def due_lanes(self, now: datetime) -> Sequence[Lane]:
        """The lanes in which a delivery is due, most urgent first."""
        waiting = deliveries.c.next_try_at <= now
        query = union_all(
            *(
                select(literal(lane.value)).where(exists().where(deliveries.c.lane == lane, waiting))
                for lane in Lane
            )
        )
        async with self._database.read() as connection:
            found = set((await connection.execute(query)).scalars())
        return [lane for lane in Lane if lane in found]

    async def next_due(self) -> datetime | None:
        """When the next delivery is due, in whatever lane; None if none waits."""
        query = select(*(_first_due(lane).scalar_subquery().label(lane) for lane in Lane))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one()
        return min((moment for moment in row if moment is not None), default=None)


_GIVE_BACK = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("key"))
    .values(
        status=bindparam("before"),
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
        mine |= deliveries.c.reason == "lease_expired"
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


def _unclaimed(claim: Claim, now: datetime) -> dict[str, Any]:
    before = Status.DEFERRED if claim.tries else Status.QUEUED
    return {"key": claim.id, "before": before.value, "count": claim.tries, "due": now, "now": now}


def _first_due(lane: Lane) -> Select[Any]:
    return (
        select(deliveries.c.next_try_at)
        .where(deliveries.c.lane == lane, deliveries.c.next_try_at.is_not(None))
        .order_by(deliveries.c.next_try_at)
        .limit(1)
    )


def _claim(row: Any) -> Claim:
    return Claim(
        id=row.id,
        event=row.event,
        type=row.type,
        instance=row.instance,
        address=row.address,
        name=row.name,
        language=row.language,
        sender=row.sender,
        lane=Lane(row.lane),
        message_id=row.message_id,
        variant=row.variant,
        fence=row.fence,
        tries=row.tries - 1,
        created_at=row.created_at,
        on_uncertain=OnUncertain(row.on_uncertain),
    )
