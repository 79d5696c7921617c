"""Random lives of updates: what upstream and admins say of them, in the order in which it arrives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from reference_policy import STAGES, Said

from dispatcher.domain.event import Selection
from dispatcher.flow.check import Submission
from dispatcher.flow.foresight.rules import Happening

#: From UTC-11 to UTC+14, with half and quarter hours, both hemispheres' summers, and a half hour of summer.
ZONES = (
    "Pacific/Pago_Pago",
    "Pacific/Honolulu",
    "America/Los_Angeles",
    "America/Chicago",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Santiago",
    "Atlantic/Azores",
    "UTC",
    "Europe/London",
    "Europe/Dublin",
    "Europe/Berlin",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
)
#: Over the end of two years, a leap day and four changes of the clock.
BEGIN, DAYS = datetime(2027, 6, 1, tzinfo=UTC), 400
_TURNS = (
    ["approved"] * 5
    + ["rescheduled"] * 6
    + ["fallback"] * 2
    + ["compatibility"] * 2
    + ["in-progress"] * 3
    + ["succeeded"] * 2
    + ["cancelled"]
    + ["scheduled"]
)


def life(rng: random.Random, instance: str, zone: str) -> list[Said]:
    """What is said of one update at one instance; some of it late, twice, or not allowed."""
    now = BEGIN + timedelta(minutes=rng.randrange(DAYS * 24 * 60 // 2))
    first = _date(rng, now, zone, 5, 150)
    offered = tuple(sorted({first, *(_date(rng, now, zone, 5, 200) for _ in range(3))}))
    if rng.random() < 0.15:
        offered = ()
    anchor, said = first, []
    turns = [rng.choice(_TURNS) for _ in range(rng.randrange(9))]
    if rng.random() < 0.9:
        turns.insert(0 if rng.random() < 0.93 else min(1, len(turns)), "scheduled")
    for number, turn in enumerate(turns):
        late = timedelta(days=rng.randrange(1, 20)) if rng.random() < 0.12 else timedelta()
        one = Said(f"{instance}-{number}", turn, now, now - late)
        if turn == "scheduled":
            one.scheduled_at, one.offered = first, offered
            one.alternate_at = rng.choice([None, *offered]) if rng.random() < 0.6 else None
            one.mandatory = rng.random() < 0.1
        elif turn == "rescheduled":
            one.by = rng.choice(["admin", "vendor", None])
            one.scheduled_at = rng.choice([*offered, first, _date(rng, now, zone, -3, 120)])
            one.alternate_at = rng.choice([None, None, *offered])
            anchor = one.scheduled_at
        elif turn == "fallback" and rng.random() < 0.5:
            one.scheduled_at = anchor = _date(rng, now, zone, 1, 60)
        elif turn == "approved" and rng.random() < 0.3:
            one.scheduled_at = anchor
        elif turn == "in-progress":
            one.stage = rng.choice([None, *STAGES])
        said.append(one)
        if rng.random() < 0.05:
            said.append(Said(**{**vars(one), "arrives": now + timedelta(minutes=1)}))
        now += timedelta(minutes=rng.randrange(60, 60 * 24 * rng.choice([1, 3, 40])))
    return said


def _date(rng: random.Random, now: datetime, zone: str, least: int, most: int) -> datetime:
    """A date and time in a zone, to the quarter of an hour; often in the small hours, where it matters."""
    day = (now + timedelta(days=rng.randrange(least, most))).date()
    hour = rng.choice([0, 1, 2, 3, 4, 8, 9, 11, 12, 20, 21, 23])
    local = datetime(day.year, day.month, day.day, hour, rng.choice([0, 15, 30, 45]), tzinfo=ZoneInfo(zone))
    return local.astimezone(UTC).astimezone(ZoneInfo(zone))


def happening(said: Said, instance: str) -> Happening:
    """What is said, as the event that says it."""
    fields: dict[str, Any] = {"update": "update-2028-1", "version": "10.0"}
    for key, value in (
        ("scheduled_at", said.scheduled_at),
        ("alternate_at", said.alternate_at),
        ("rescheduled_by", said.by),
        ("stage", said.stage),
    ):
        if value is not None:
            fields[key] = value.isoformat() if isinstance(value, datetime) else value
    if said.offered:
        fields["offered_dates"] = [one.isoformat() for one in said.offered]
    if said.mandatory:
        fields["mandatory"] = True
    if said.turn == "compatibility":
        fields["findings"] = [{"area": "Extension", "problem": "Old field", "action": "Rename it"}]
    selection = Selection("instances", (instance,))
    submission = Submission("/up", said.id, said.type, selection, None, fields, time=said.time)
    return Happening(said.arrives, submission)


def instances(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Recipient files of so many instances, as plain data."""
    for number in range(count):
        people: dict[str, Any] = {
            "instance": f"instance-{number:04}",
            "time_zone": ZONES[number % len(ZONES)],
            "admins": [f"admin{number}@a.example", f"second{number}@a.example"][: rng.randrange(1, 3)],
        }
        if rng.random() < 0.3:
            people["global_admins"] = [f"ADMIN{number}@a.example", f"root{number}@a.example"]
        listed: dict[str, Any] = {"address": f"ops{number}@a.example"}
        narrowing = rng.randrange(6)
        if narrowing == 0:
            listed["only"] = ["scheduling"]
        elif narrowing == 1:
            listed["except"] = ["update-reminder"]
        elif narrowing == 2:
            listed["until"] = (BEGIN + timedelta(days=rng.randrange(DAYS))).date()
        elif narrowing == 3:
            listed["only"] = ["maintenance"]
        people["recipients"] = [listed]
        if rng.random() < 0.5:
            people["users"] = [f"everybody{number}@a.example"]
        if rng.random() < 0.5:
            people["partners"] = [f"partner{number}@a.example"]
        yield people
