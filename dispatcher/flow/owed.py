"""What customers are owed for incidents, as it is shown: in words, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from dispatcher.domain.incident import Obligation
from dispatcher.flow.present import moment_json
from dispatcher.flow.spans import since

#: Overdue obligations that are told one by one; more are counted.
TOLD: Final = 5
#: A worker reminds within seconds; who was not reminded by then is not going to be.
SOON: Final = timedelta(minutes=2)


def obligation_json(one: Obligation, now: datetime) -> dict[str, Any]:
    """An obligation as JSON values; moments are ISO 8601 in UTC, spans whole seconds."""
    late = one.overdue(now)
    return {
        "id": one.id,
        "incident": one.incident,
        "owes": one.owes,
        "cadence": one.cadence,
        "step": one.step,
        "status": standing(one, now),
        "made_at": moment_json(one.made_at),
        "made_by": one.made_by,
        "due_at": moment_json(one.due_at),
        "overdue_seconds": 0 if late is None else int(late.total_seconds()),
        "met_at": moment_json(one.met_at),
        "met_by": one.met_by,
        "ended": one.ended,
        "reminders": one.reminders,
        "reminded_at": moment_json(one.reminded_at),
        "to_do": to_do(one),
    }


def standing(one: Obligation, now: datetime) -> str:
    """Where an obligation stands: ``owed``, ``overdue``, ``met``, ``late`` (met too late) or ``ended``."""
    if one.met_at is not None:
        return "late" if one.met_at > one.due_at else "met"
    if one.ended:
        return "ended"
    return "owed" if one.overdue(now) is None else "overdue"


def to_do(one: Obligation) -> str:
    """What settles it, in words; empty once it is settled."""
    if not one.owed:
        return ""
    return f"send {one.owes} with thread {one.incident}"


def overdue(owed: Sequence[Obligation], now: datetime) -> Sequence[Obligation]:
    """What is late of what is owed, the latest first."""
    return [one for one in owed if one.overdue(now) is not None]


def owed_problems(owed: Sequence[Obligation], now: datetime) -> Iterator[str]:
    """What is late, a sentence each without its full stop."""
    late = overdue(owed, now)
    for one in late[:TOLD]:
        yield f"{one.owes} is overdue since {since(one.due_at, now)}: {to_do(one)}"
    if len(late) > TOLD:
        yield f"{len(late) - TOLD} more are overdue. `dispatcher obligations` lists them"
    if any(not one.reminders and now - one.due_at > SOON for one in late):
        yield "Nobody was reminded of what is overdue. Name people under `owners` in catalogue.yaml"


def owed_json(owed: Sequence[Obligation], extent: Mapping[str, int], now: datetime) -> dict[str, Any]:
    """Incidents and obligations for the status report.

    Args:
        owed: What is owed.
        extent: How many instances each open incident affects.
        now: The moment.
    """
    late = overdue(owed, now)
    return {
        "incidents": [{"incident": key, "instances": number} for key, number in sorted(extent.items())],
        "obligations": {
            "owed": len(owed),
            "overdue": len(late),
            "next_due_at": moment_json(min((one.due_at for one in owed if one not in late), default=None)),
            "oldest_overdue_at": moment_json(late[0].due_at if late else None),
        },
    }
