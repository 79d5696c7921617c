"""What calendars were told of windows: the number of each change.

A calendar takes what it is told of a window only if the number (SEQUENCE, RFC 5545, 3.8.7.4) is not lower
than the one it has. Events are expanded side by side and sometimes late, so the order that counts is that in
which they were accepted: of two that speak of one window the one accepted later is right. One that comes to
be expanded after it says what the window was; as there is no number for that any more, it brings no entry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.window import Window
from dispatcher.ledger.engine import Database
from dispatcher.ledger.schema import windows

_IDS = 5000  # UIDs in one IN list
_LOCK = 4_927_113_556_021  # any number that no other lock of this database has


class Windows:
    """The windows in the ledger: a row for each change of each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def advance(self, event: str, window: Window, uids: Collection[str]) -> Mapping[str, int]:
        """Note what an event says of windows; doing it again changes nothing and gives the same numbers.

        Args:
            event: The event's id.
            window: When they take place, or that they will not.
            uids: Which they are.

        Returns:
            The number of what the event says, by UID: 0 for the first announcement, one more with every
            change. A UID is missing where calendars are to be told nothing: the event is overtaken by one
            that was accepted later, or it cancels what nothing announced.
        """
        if not uids:
            return {}
        numbers: dict[str, int] = {}
        fresh: list[dict[str, Any]] = []
        async with self._database.write() as transaction:
            if self._database.many_writers:
                # One at a time: two that both count on from the same row would both be wrong.
                await transaction.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            known = await _known(transaction, uids)
            for uid in uids:
                number, new = _number(known.get(uid, ()), event, window)
                if new:
                    fresh.append(_row(uid, number, event, window))
                # What begins with a cancel was never announced, so there is nothing to strike off.
                if number >= int(window.cancelled):
                    numbers[uid] = number
            if fresh:
                # RETURNING is for the speed of PostgreSQL's driver, as in `expansions`.
                await transaction.execute(insert(windows).returning(windows.c.sequence), fresh)
        return numbers


def _number(rows: Sequence[Any], event: str, window: Window) -> tuple[int, bool]:
    """The number of what an event says of a window, and whether it is a new one; -1 if it has none.

    Args:
        rows: What was said of the window, by number.
        event: The event; ids sort in the order in which events were accepted.
        window: What it says.
    """
    before = [row for row in rows if row.event <= event]
    for row in (*before[-1:], *rows[-1:]):
        if _same(row, window):
            return row.sequence, False
    if len(before) < len(rows):
        return -1, False
    return len(rows), True


def _same(row: Any, window: Window) -> bool:
    if row.cancelled or window.cancelled:
        return bool(row.cancelled == window.cancelled)  # when it would have been is no matter any more
    return (row.starts_at, row.ends_at) == (window.starts_at, window.ends_at)


def _row(uid: str, number: int, event: str, window: Window) -> dict[str, Any]:
    return {
        "uid": uid,
        "sequence": number,
        "event": event,
        "starts_at": window.starts_at,
        "ends_at": window.ends_at,
        "cancelled": window.cancelled,
    }


async def _known(transaction: AsyncConnection, uids: Collection[str]) -> Mapping[str, Sequence[Any]]:
    """All that was said of these windows, by UID, each by number."""
    found: dict[str, list[Any]] = {}
    wanted = sorted(uids)
    for start in range(0, len(wanted), _IDS):
        query = (
            select(windows)
            .where(windows.c.uid.in_(wanted[start : start + _IDS]))
            .order_by(windows.c.uid, windows.c.sequence)
        )
        for row in await transaction.execute(query):
            found.setdefault(row.uid, []).append(row)
    return found
