"""Threads as mail programs show them: what a reader got first about an incident."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Subquery, Text, func, literal_column, select

from dispatcher.domain.delivery import Status
from dispatcher.ledger.columns import storable
from dispatcher.ledger.engine import Database
from dispatcher.ledger.schema import deliveries, events, variants

#: What its reader has, or may yet get. A mail that never comes begins nothing, and its subject may be why.
BEGUN = (Status.SENT, Status.QUEUED, Status.SENDING, Status.DEFERRED, Status.UNCERTAIN, Status.HELD)
#: About so many instances, their rows in the index are looked up one by one by address.
FEW = 3
_INSTANCES = literal_column(f"{deliveries.name}.instances", Text)


@dataclass(frozen=True, slots=True)
class Root:
    """What a thread began with for one reader.

    Attributes:
        message_id: To refer to.
        type: The type of the mail whose subject it is.
        language: The language of that subject.
        first: The id of that mail's delivery; of two roots, the one with the lower came first.
    """

    message_id: str
    type: str
    language: str
    subject: str
    first: str = field(default="", compare=False)


class Threads:
    """What readers got of threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def roots(
        self,
        thread: str,
        event: str,
        instances: Collection[str] | None = None,
        addresses: Collection[str] = (),
    ) -> Mapping[tuple[str, str], Root]:
        """What a thread began with, for each instance and folded address that got something of it.

        A mail about several instances counts for each of them.

        Args:
            thread: The thread.
            event: The event in it that asks; what it has itself made is left out.
            instances: Only what mails say that are first of all about one of these; None for any.
            addresses: The folded addresses that are asked for, where the instance is one of `FEW`: others
                may be missing.
        """
        only: list[ColumnElement[bool]] = []
        if instances is not None:
            only.append(deliveries.c.instance.in_(sorted(instances)))
            if len(instances) <= FEW:
                only.append(deliveries.c.folded.in_(sorted(addresses)))
        return await self._roots(thread, event, only)

    async def roots_of_several(self, thread: str, event: str) -> Mapping[tuple[str, str], Root]:
        """The same, of those mails alone that are about several instances each."""
        return await self._roots(thread, event, [_INSTANCES.contains(",")])

    async def _roots(
        self, thread: str, event: str, only: Collection[ColumnElement[bool]]
    ) -> Mapping[tuple[str, str], Root]:
        first = _first(thread, event, only)
        query = (
            select(
                deliveries.c.id,
                deliveries.c.instances,
                deliveries.c.folded,
                # Where the first mail never came, the second refers to it all the same: so does the third.
                func.coalesce(deliveries.c.thread_root, deliveries.c.message_id).label("message_id"),
                deliveries.c.type,
                deliveries.c.language,
                variants.c.subject,
            )
            .join(first, first.c.id == deliveries.c.id)
            .join(variants, variants.c.id == deliveries.c.variant)
            .order_by(deliveries.c.id)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        found: dict[tuple[str, str], Root] = {}
        for row in rows:
            for instance in row.instances:
                root = Root(row.message_id, row.type, row.language, row.subject, row.id)
                found.setdefault((instance, row.folded), root)
        return found


def _first(thread: str, event: str, only: Collection[ColumnElement[bool]]) -> Subquery:
    """The first mail of a thread to each address about each instance, without those of `event`."""
    return (
        select(func.min(deliveries.c.id).label("id"))
        .join(events, events.c.id == deliveries.c.event)
        .where(
            events.c.thread == storable(thread),
            deliveries.c.event != event,
            deliveries.c.status.in_(BEGUN),
            *only,
        )
        .group_by(deliveries.c.instance, deliveries.c.folded)
        .subquery()
    )
