"""What calendars were told of windows: the number of each change.

A calendar takes what it is told of a window only if the number (SEQUENCE, RFC 5545, 3.8.7.4) is not lower
than the one it has. Events are expanded side by side and sometimes late, so the order that counts is that in
which they were accepted: of two that speak of one window the one accepted later is right. One that comes to
be expanded after it says what the window was; as there is no number for that any more, it brings no entry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import exists, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.window import Window
from dispatcher.ledger.engine import Database
from dispatcher.ledger.group_commit import GroupCommit
from dispatcher.ledger.schema import deliveries, events, windows
from dispatcher.ledger.threads import BEGUN

_IDS = 5000  # UIDs in one IN list
_LOCK = 4_927_113_556_021  # any number that no other lock of this database has
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
#: What stands in the ledger where an event took away a window that nothing had announced.
_UNKNOWN = Window(_NEVER, _NEVER, cancelled=True)


@dataclass(frozen=True, slots=True)
class Change:
    """What calendars are told of a window.

    Attributes:
        number: Which of its changes this is; 0 is its first announcement.
        window: What they are told.
        before: When it was to be until then, if this is what changes it.
    """

    number: int
    window: Window
    before: Window | None = None


@dataclass(frozen=True, slots=True)
class _Said:
    """What was said of a window, as its row has it."""

    uid: str
    sequence: int
    event: str
    starts_at: datetime
    ends_at: datetime
    cancelled: bool


@dataclass(frozen=True, slots=True)
class _Word:
    """What an event says of windows; see `Windows.advance`."""

    event: str
    window: Window | None
    uids: Collection[str]


class Windows:
    """The windows in the ledger: a row for each change of each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commit: GroupCommit[_Word, Mapping[str, Change]] = GroupCommit(database, self._write)

    async def advance(self, event: str, window: Window | None, uids: Collection[str]) -> Mapping[str, Change]:
        """Note what an event says of windows; doing it again changes nothing and gives the same numbers.

        Args:
            event: The event's id.
            window: When they take place, or that they will not; None if that is not known any more, so
                that calendars are to keep nothing.
            uids: Which they are.

        Returns:
            What calendars are told, by UID. One is missing where they are to be told nothing: the event is
            overtaken by one that was accepted later, or it takes away what nothing announced.

        Raises:
            ServiceUnreachable: The database cannot be had.
        """
        if not uids:
            return {}
        return await self._commit(_Word(event, window, uids), weight=len(uids))

    async def _write(
        self, transaction: AsyncConnection, words: Sequence[_Word]
    ) -> Sequence[Mapping[str, Change] | Exception]:
        if self._database.many_writers:
            # One at a time: two that both count on from the same row would both be wrong.
            await transaction.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        known = await _known(transaction, {uid for word in words for uid in word.uids})
        said_by = {said.event for rows in known.values() for said in rows} | {word.event for word in words}
        told = await _told(transaction, said_by if known or len(words) > 1 else ())
        changes: list[Mapping[str, Change]] = []
        fresh: list[_Said] = []
        for word in words:
            changed, new = _changes(word, known, told)
            for said in new:  # what comes next in this group counts on from it
                known.setdefault(said.uid, []).append(said)
            changes.append(changed)
            fresh += new
        if fresh:
            # RETURNING is for the speed of PostgreSQL's driver, as in `expansions`.
            await transaction.execute(insert(windows).returning(windows.c.sequence), [*map(asdict, fresh)])
        return changes


def _changes(
    word: _Word, known: Mapping[str, Sequence[_Said]], told: Collection[str]
) -> tuple[Mapping[str, Change], Sequence[_Said]]:
    """What calendars are told by a word on windows, and what is to be noted of it."""
    found: dict[str, Change] = {}
    fresh: list[_Said] = []
    told = set(told) - {word.event}
    for uid in word.uids:
        rows = known.get(uid, ())
        said = word.window or _gone(rows, word.event)
        number, new = _number(rows, word.event, said)
        if new:
            fresh.append(_Said(uid, number, word.event, said.starts_at, said.ends_at, said.cancelled))
        # What begins with a cancel was never announced, so there is nothing to strike off.
        if number >= int(said.cancelled):
            repeats = any(row.event != word.event for row in rows[number : number + 1])
            before = None if repeats else _before(rows[:number], said, told)
            found[uid] = Change(number, said, before)
    return found, fresh


def _gone(rows: Sequence[_Said], event: str) -> Window:
    """The window as calendars know it, to be struck off; as the event itself struck it off, if it did."""
    own = [row for row in rows if row.event == event]
    return replace(_window((*rows, *own)[-1]), cancelled=True) if rows else _UNKNOWN


def _number(rows: Sequence[_Said], event: str, window: Window) -> tuple[int, bool]:
    """The number of what an event says of a window, and whether it is a new one; -1 if it has none.

    Args:
        rows: What was said of the window, by number.
        event: The event; ids sort in the order in which events were accepted.
        window: What it says.
    """
    own = [row for row in rows if row.event == event]
    for row in (*own, *rows[-1:]):
        if _same(row, window):
            return row.sequence, False
    if any(row.event > event for row in rows):
        return -1, False
    return len(rows), True


def _before(rows: Sequence[_Said], said: Window, told: Collection[str]) -> Window | None:
    """The window that one with these earlier rows changes or takes away; None if it does neither.

    What nobody was told, because its event was cancelled before it left, is not what they know.
    """
    for row in reversed(rows):
        if row.event in told:
            return None if row.cancelled or _same(row, said) else _window(row)
    return None


def _window(row: _Said) -> Window:
    return Window(row.starts_at, row.ends_at, cancelled=row.cancelled)


def _same(row: _Said, window: Window) -> bool:
    if row.cancelled or window.cancelled:
        return row.cancelled == window.cancelled  # when it would have been is no matter any more
    return (row.starts_at, row.ends_at) == (window.starts_at, window.ends_at)


async def _told(transaction: AsyncConnection, said_by: Collection[str]) -> Collection[str]:
    """Which of these events somebody got a mail of, or may yet."""
    if not said_by:
        return ()
    mailed = exists().where(deliveries.c.event == events.c.id, deliveries.c.status.in_(BEGUN))
    query = select(events.c.id).where(events.c.id.in_(sorted(said_by)), mailed)
    return set(await transaction.scalars(query))


async def _known(transaction: AsyncConnection, uids: Collection[str]) -> dict[str, list[_Said]]:
    """All that was said of these windows, by UID, each by number."""
    found: dict[str, list[_Said]] = {}
    wanted = sorted(uids)
    for start in range(0, len(wanted), _IDS):
        query = (
            select(*windows.c)
            .where(windows.c.uid.in_(wanted[start : start + _IDS]))
            .order_by(windows.c.uid, windows.c.sequence)
        )
        for row in await transaction.execute(query):
            found.setdefault(row.uid, []).append(_Said(*row))
    return found
