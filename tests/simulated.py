"""A simulation over made-up instances, and its rows in the words of the slow reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from reference_policy import Said, Told, Update

from dispatcher.domain.cadence import parse_offset
from dispatcher.domain.catalogue import Catalogue
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.foresight.outlook import Fate, Row

#: When, type, step, status, channels, addresses.
Line = tuple[datetime, str, str, str, tuple[str, ...], tuple[str, ...]]


def store_of(root: Path, catalogue: Catalogue, people: Sequence[dict[str, Any]]) -> RecipientStore:
    """Recipient files on disk, read as the service reads them. JSON is YAML."""
    folder = root / "recipients"
    folder.mkdir()
    for one in people:
        (folder / f"{one['instance']}.yaml").write_bytes(orjson.dumps(one))
    return RecipientStore(root, cache=None, audience_keys=catalogue.audience_keys)


def of_program(row: Row, catalogue: Catalogue) -> Line:
    """A row in the words of the reference."""
    steps = catalogue.cadences["major-update"].steps
    step = steps.get(row.step)
    name = row.step
    if step and step.at:
        days = parse_offset(step.at).days or 0
        name = f"{-days}d"
    elif step and step.on:
        name = step.on
    elif row.status is Fate.REFUSED:
        name = next(one.on for one in steps.values() if one.type == row.type and one.on)
    channels = () if row.status is Fate.SKIPPED else tuple(sorted(row.channels))
    return (row.at.astimezone(UTC), row.type, name, row.status.value, channels, tuple(sorted(row.to)))


def of_reference(told: Told) -> Line:
    """What the reference says, in the same form."""
    channels, to = tuple(sorted(told.channels)), tuple(sorted(told.to))
    return (told.at.astimezone(UTC), told.type, told.step, told.status, channels, to)


def expected(instance: dict[str, Any], lives: Sequence[Said], until: datetime) -> Counter[Line]:
    """What the reference has to say of one instance."""
    update = Update(instance)
    for said in lives:
        update.hear(said)
    update.pass_time(until)
    return Counter(map(of_reference, update.told))


def told_apart(
    instance: dict[str, Any], lives: Sequence[Said], wanted: Counter[Line], found: Counter[Line]
) -> str:
    """Where the two differ, with the life that it takes."""
    offered = [str(day) for one in lives for day in one.offered]
    heads = [f"{instance['instance']} in {instance['time_zone']}, offered {offered}"]
    heads += [
        f"  {one.arrives} ({one.time}) {one.turn} {one.scheduled_at} {one.alternate_at} {one.by} {one.stage}"
        for one in lives
    ]
    missing = [f"  - {line[0]} {line[1:]}" for line in sorted(wanted - found)]
    surplus = [f"  + {line[0]} {line[1:]}" for line in sorted(found - wanted)]
    return "\n".join([*heads, *missing, *surplus])
