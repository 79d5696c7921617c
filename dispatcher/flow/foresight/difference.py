"""Who gains and who loses which mail by a change to recipient files or the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from dispatcher.domain.address import folded
from dispatcher.domain.audience import Question, explain_absence, resolve
from dispatcher.domain.cadence import Cadence, Step
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.instance import Instance
from dispatcher.files.recipient_store import RecipientStore


@dataclass(frozen=True, slots=True)
class Side:
    """A root at one moment."""

    catalogue: Catalogue
    recipients: RecipientStore


@dataclass(frozen=True, slots=True)
class Change:
    """One address that gains or loses the mails of one type about one instance.

    Attributes:
        since: The first day, where the instance is, on which it makes a difference.
        reasons: Why the address gets it, on the side on which it does.
        because: Why it does not, on the other side.
    """

    kind: Literal["gains", "loses"]
    instance: str
    type: str
    address: str
    since: date
    reasons: tuple[str, ...]
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepChange:
    """A step of a cadence that is told from now on, no more, or otherwise."""

    kind: Literal["gains", "loses", "changes"]
    cadence: str
    step: str
    before: str
    after: str


def changes(old: Side, new: Side, today: date) -> Iterator[Change]:
    """The differences between two roots, by instance, type and address.

    Entries of a notification list may end: a day counts on which anything ends on either side.
    """
    names = sorted({*old.recipients.ids(), *new.recipients.ids()})
    for name in names:
        before, after = old.recipients.get(name), new.recipients.get(name)
        days = [today, *_ends(today, before, after)]
        for key in dict.fromkeys((*new.catalogue.types, *old.catalogue.types)):
            seen: set[tuple[str, str]] = set()
            for day in days:
                for change in _on(name, key, day, (old, before), (new, after)):
                    if (change.kind, folded(change.address)) not in seen:
                        seen.add((change.kind, folded(change.address)))
                        yield change


def step_changes(old: Catalogue, new: Catalogue) -> Iterator[StepChange]:
    """The steps that differ, by cadence."""
    for cadence in sorted({*old.cadences, *new.cadences}):
        before, after = old.cadences.get(cadence), new.cadences.get(cadence)
        for step in dict.fromkeys((*_steps(after), *_steps(before))):
            was, now = _words(old, before, step), _words(new, after, step)
            if was != now:
                kind: Literal["gains", "loses", "changes"] = (
                    "gains" if not was else "changes" if now else "loses"
                )
                yield StepChange(kind, cadence, step, was, now)


def change_json(change: Change) -> dict[str, Any]:
    """The change as JSON values."""
    return {
        "kind": change.kind,
        "instance": change.instance,
        "type": change.type,
        "address": change.address,
        "since": change.since.isoformat(),
        "reasons": list(change.reasons),
        "because": list(change.because),
    }


def step_change_json(change: StepChange) -> dict[str, Any]:
    """The change as JSON values."""
    return {
        "kind": f"{change.kind}-step",
        "cadence": change.cadence,
        "step": change.step,
        "before": change.before,
        "after": change.after,
    }


def _ends(today: date, *instances: Instance | None) -> Sequence[date]:
    """The days, from today on, of which something ended the day before."""
    untils = {one.until for instance in instances if instance for one in instance.recipients if one.until}
    return sorted(day + timedelta(days=1) for day in untils if day >= today)


def _on(
    name: str,
    key: str,
    day: date,
    before: tuple[Side, Instance | None],
    after: tuple[Side, Instance | None],
) -> Iterator[Change]:
    was, now = _readers(key, day, *before), _readers(key, day, *after)
    for kind, there, gone, other in (("gains", now, was, before), ("loses", was, now, after)):
        for one, (address, reasons) in there.items():
            if one not in gone:
                because = tuple(_absence(key, day, address, *other))
                yield Change(
                    "gains" if kind == "gains" else "loses", name, key, address, day, reasons, because
                )


def _readers(
    key: str, day: date, side: Side, instance: Instance | None
) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    spec = side.catalogue.types.get(key)
    if spec is None or instance is None:
        return {}
    found = resolve(Question(key, spec, day, {}), instance).recipients
    return {
        folded(one.address): (one.address, tuple(f"{why.role} at {why.at}" for why in one.reasons))
        for one in found
    }


def _absence(key: str, day: date, address: str, side: Side, instance: Instance | None) -> Iterator[str]:
    spec = side.catalogue.types.get(key)
    if spec is None:
        yield f"the catalogue has no type {key}"
    elif instance is None:
        yield "there is no such instance"
    else:
        yield from explain_absence(Question(key, spec, day, {}), instance, address)


def _steps(cadence: Cadence | None) -> Sequence[str]:
    return list(cadence.steps) if cadence else []


def _words(catalogue: Catalogue, cadence: Cadence | None, key: str) -> str:
    """What a step tells, when and where; empty if there is none of that key."""
    step = cadence.steps.get(key) if cadence else None
    if cadence is None or step is None:
        return ""
    when = (
        f"{step.at} at {cadence.send_at}"
        if step.at
        else f"on {step.on}"
        if step.on
        else f"every {step.every}"
    )
    spec = catalogue.types.get(step.type or step.owes or "")
    channels = step.channels if step.channels is not None else spec.channels if spec else []
    roles = step.roles if step.roles is not None else spec.audience.roles if spec else []
    told = ", ".join(roles) or "nobody"
    late = "" if step.late == "skip" else f", late: {step.late}"
    return f"{when}: {_what(step)} to {told} on {', '.join(channels) or 'no channel'}{late}"


def _what(step: Step) -> str:
    return step.type or f"{step.owes} is owed"
