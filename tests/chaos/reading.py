"""What the ledger says in the end, read past the program; and the operator's hand."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from program import dispatcher

from chaos.ledgers import LedgerSide
from chaos.verdict import Row

#: How the ledger names the worker from whom a delivery was taken over.
_GONE = re.compile(r"The worker (\S+) did not report back")
_PID = re.compile(r"-(\d+)-[0-9a-f]{8}$")


async def deliveries(side: LedgerSide, released: Collection[str]) -> Sequence[Row]:
    """Every delivery; `released` are the ids of those that a person let go."""
    attempts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for delivery, reason, reply in await side.rows(
        "SELECT delivery, reason, reply FROM attempts ORDER BY delivery, id"
    ):
        attempts[delivery].append((reason, reply))
    found = await side.rows(
        "SELECT deliveries.id, source, external_id, address, deliveries.status, deliveries.reason,"
        " message_id, uncertain, on_uncertain FROM deliveries JOIN events ON events.id = deliveries.event"
    )
    return [
        Row(
            id=row[0],
            event=(row[1], row[2]),
            address=row[3],
            status=row[4],
            reason=row[5],
            message_id=row[6],
            uncertain=bool(row[7]),
            on_uncertain=row[8],
            attempts=tuple(reason for reason, _ in attempts[row[0]]),
            workers=tuple(match[1] for _, reply in attempts[row[0]] if (match := _GONE.match(reply))),
            released=row[0] in released,
        )
        for row in found
    ]


def alive(worker: str, gone: Collection[int]) -> bool:
    """Whether the worker of that id never went away."""
    match = _PID.search(worker)
    return match is None or int(match[1]) not in gone


async def poisoned(side: LedgerSide) -> frozenset[str]:
    """The ids of deliveries that were set aside because each worker that had them went away."""
    rows = await side.rows("SELECT id FROM deliveries WHERE status = 'held' AND reason = 'poison'")
    return frozenset(str(id_) for (id_,) in rows)


async def release(root: Path, environment: dict[str, str], ids: Collection[str]) -> None:
    """Let them go as an operator does.

    Raises:
        AssertionError: The command did not do it.
    """
    done = await asyncio.to_thread(lambda: dispatcher(root, "release", *sorted(ids), **environment))
    assert done.code == 0, f"dispatcher release ended with {done.code}: {done.err}"
