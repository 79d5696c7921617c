"""Messages to upstream over HTTP, kept until they are taken: at least once, in any order.

A claim sets ``next_try_at`` to the end of its lease, so that a message whose worker went away is due again by
itself. ``tries`` rises with every claim, which tells the latest from those before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.webhook import Webhook, WebhookStatus
from dispatcher.ledger.columns import storable
from dispatcher.ledger.engine import Database
from dispatcher.ledger.ids import new_ids
from dispatcher.ledger.plan_tables import webhooks

# Not parameters: only then does SQLite see that the partial indexes will do.
_PENDING = webhooks.c.status == literal_column("'pending'")
_FAILED = webhooks.c.status == literal_column("'failed'")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How it stands with the messages.

    Attributes:
        pending: How many wait, or are being sent.
        oldest: When the oldest of those was made; None without any.
        failed: How many were given up.
    """

    pending: int
    oldest: datetime | None
    failed: int


class Webhooks:
    """The messages to upstream in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, transaction: AsyncConnection, new: Sequence[tuple[str, Mapping[str, Any]]], at: datetime
    ) -> None:
        """Keep messages, each a type and a body, in the transaction of what they tell of; due at once.

        Args:
            transaction: What commits them.
            new: The messages.
            at: Since when they are due.
        """
        ids = new_ids("msg_", at, self._database.token)
        rows = [
            {
                "id": next(ids),
                "type": type_,
                "body": dict(body),
                "made_at": at,
                "status": WebhookStatus.PENDING,
                "tries": 0,
                "next_try_at": at,
                "reply": "",
                "updated_at": at,
            }
            for type_, body in new
        ]
        if rows:
            await transaction.execute(insert(webhooks), rows)

    async def claim(self, lease: timedelta) -> Webhook | None:
        """Take the message that is due longest; nobody else gets it during the lease.

        Returns:
            The message, with the number of tries that were made before; None if none is due.
        """
        now = self._database.now()
        due = (
            select(webhooks)
            .where(_PENDING, webhooks.c.next_try_at <= now)
            .order_by(webhooks.c.next_try_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if (first := await self.next_due()) is None or first > now:
            return None  # as nearly always, and without a turn of the writer
        async with self._database.write() as transaction:
            row = (await transaction.execute(due)).one_or_none()
            if row is None:
                return None
            taken = {"tries": row.tries + 1, "next_try_at": now + lease, "lease_until": now + lease}
            await transaction.execute(update(webhooks).where(webhooks.c.id == row.id).values(**taken))
        return _webhook(row)

    async def settle(
        self, taken: Webhook, status: WebhookStatus, reply: str, again_at: datetime | None = None
    ) -> bool:
        """Record what came of a try.

        Args:
            taken: As it was claimed.
            status: Where it stands now.
            reply: What upstream answered, or what was in the way.
            again_at: When it is tried again, exactly if it is still pending.

        Returns:
            False if the message is somebody else's by now, or settled; nothing was written then.
        """
        statement = (
            update(webhooks)
            .where(webhooks.c.id == taken.id, webhooks.c.tries == taken.tries + 1, _PENDING)
            .values(
                status=status,
                next_try_at=again_at,
                lease_until=None,
                reply=storable(reply),
                updated_at=self._database.now(),
            )
        )
        async with self._database.write() as transaction:
            return bool((await transaction.execute(statement)).rowcount)

    async def next_due(self) -> datetime | None:
        """When the next message is due, or was; None if none waits."""
        query = select(webhooks.c.next_try_at).where(_PENDING).order_by(webhooks.c.next_try_at).limit(1)
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def waiting(self) -> Waiting:
        """How many messages wait, since when, and how many were given up."""
        pending = select(func.count(), func.min(webhooks.c.made_at)).select_from(webhooks).where(_PENDING)
        failed = select(func.count()).select_from(webhooks).where(_FAILED)
        async with self._database.read() as connection:
            number, oldest = (await connection.execute(pending)).one()
            return Waiting(number, oldest, (await connection.execute(failed)).scalar_one())

    async def list(
        self, *, status: WebhookStatus | None = None, limit: int = 50, before: str | None = None
    ) -> Sequence[Webhook]:
        """The newest `limit` messages, newest first; with `before`, of those older than that id."""
        query = select(webhooks).order_by(webhooks.c.id.desc()).limit(limit)
        if status is not None:
            query = query.where(webhooks.c.status == literal_column(f"'{status}'"))
        if before is not None:
            query = query.where(webhooks.c.id < storable(before))
        async with self._database.read() as connection:
            return [_webhook(row) for row in await connection.execute(query)]

    async def retry(self, id: str | None = None) -> int:  # noqa: A002 - the column's name
        """Let a message that was not taken yet, or every one, be tried at once, from the start; how many.

        One that is being sent at this moment may arrive twice, under the same id.
        """
        now = self._database.now()
        fresh = {"status": WebhookStatus.PENDING, "tries": 0, "next_try_at": now, "updated_at": now}
        statement = update(webhooks).where(_PENDING | _FAILED).values(**fresh)
        if id is not None:
            statement = statement.where(webhooks.c.id == storable(id))
        async with self._database.write() as transaction:
            return (await transaction.execute(statement)).rowcount


def _webhook(row: Any) -> Webhook:
    return Webhook(
        id=row.id,
        type=row.type,
        body=row.body,
        made_at=row.made_at,
        status=WebhookStatus(row.status),
        tries=row.tries,
        next_try_at=row.next_try_at,
        reply=row.reply,
        updated_at=row.updated_at,
    )
