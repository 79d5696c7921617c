"""Rows as a person reads them: day by day, what is the same for many instances said once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from dispatcher.flow.foresight.outlook import Fate, Row

#: Addresses and instances that are named before the rest is counted.
NAMED = 4
#: So many rows of a day that say the same of different instances become one.
MANY = 5
_HEADS = {
    Fate.RECORDED: "told nowhere",
    Fate.SKIPPED: "skipped",
    Fate.REFUSED: "REFUSED",
    Fate.OWED: "OWED",
    Fate.SUPERSEDED: "superseded",
    Fate.CANCELLED: "cancelled",
}


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """The rows in the order of time, under the day that it is where each instance is; then how many."""
    ordered = sorted(rows, key=lambda row: (row.at.date(), row.at.time(), row.instance, row.type))
    days = [(day, list(_merged(list(found)))) for day, found in groupby(ordered, lambda row: row.at.date())]
    everything = [entry for _, entries in days for entry in entries]
    width = max((len(where) for _, where, _, _ in everything), default=0)
    kinds = max((len(_kind(row)) for _, _, row, _ in everything), default=0)
    for day, entries in days:
        yield f"{day:%Y-%m-%d %A}"
        for when, where, row, people in entries:
            head = f"  {when:<5}  {where:<{width}}  {_kind(row):<{kinds}}"
            yield f"{head}  {_said(row, people)}".rstrip()
        yield ""
    yield summary(rows)


def summary(rows: Sequence[Row]) -> str:
    """How many of what."""
    mails = sum(len(row.to) for row in rows if row.status is Fate.WOULD_SEND)
    parts = [f"{mails} {'mail' if mails == 1 else 'mails'}"]
    if shown := sum(row.status is Fate.WOULD_SEND and not row.to for row in rows):
        parts.append(f"{shown} shown without mail")
    for fate in Fate:
        count = sum(row.status is fate for row in rows)
        if count and fate is not Fate.WOULD_SEND:
            parts.append(f"{count} {fate.value}")
    return ", ".join(parts)


def named(names: Sequence[str]) -> str:
    """The first few by name, the rest by number."""
    if len(names) <= NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: NAMED - 1])} and {len(names) - NAMED + 1} more"


def _merged(rows: Sequence[Row]) -> Iterator[tuple[str, str, Row, Sequence[str]]]:
    """When, where, what and to whom; many rows of a day that differ in their instance alone are one."""
    alike: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        same = (row.type, row.step, row.status, row.channels, row.subject)
        alike.setdefault(same, []).append(row)
    for row in rows:
        same = (row.type, row.step, row.status, row.channels, row.subject)
        found = alike[same]
        if len(found) < MANY:
            yield f"{row.at:%H:%M}", row.instance, row, row.to
        elif row is found[0]:
            people = [address for one in found for address in one.to]
            times = {f"{one.at:%H:%M}" for one in found}
            names = list(dict.fromkeys(one.instance for one in found))
            yield times.pop() if len(times) == 1 else "", f"{len(names)} instances", row, people


def _kind(row: Row) -> str:
    return f"{row.type} ({row.step})" if row.step else row.type


def _said(row: Row, people: Sequence[str]) -> str:
    """What becomes of it: to whom and where else, or why not."""
    if row.status is Fate.WOULD_SEND and not row.to:
        return f"no mail, {', '.join(row.channels)}: {row.reason}"
    if row.status in {Fate.WOULD_SEND, Fate.HELD}:
        others = [one for one in row.channels if one != "mail"]
        also = f"; also {', '.join(others)}" if others else ""
        held = f"held: {row.reason}; " if row.status is Fate.HELD else ""
        # Of many instances each has a date of its own.
        why = f" ({row.reason})" if not held and people == row.to else ""
        return f"{held}to {named(people)}{also}{why}"
    if row.status is Fate.OWED and people:
        return f"OWED, reminds {named(people)}: {row.reason}"
    return f"{_HEADS[row.status]}: {row.reason}"
