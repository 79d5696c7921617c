"""Who gains and who loses which mail by a change to recipient files or the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from dispatcher.domain.address import folded
from dispatcher.domain.audience import Question, explain_absence, resolve
from dispatcher.domain.cadence import Cadence, Step, parse_offset
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
        cadence: Where it gains or loses a step of one alone.
        step: That step; empty where it is about every mail of the type.
    """

    kind: Literal["gains", "loses"]
    instance: str
    type: str
    address: str
    since: date
    reasons: tuple[str, ...]
    because: tuple[str, ...]
    cadence: str = ""
    step: str = ""


@dataclass(frozen=True, slots=True)
class _Mail:
    """What somebody gets or does not: the mails of a type, or of one step."""

    type: str
    cadence: str = ""
    step: str = ""


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
        seen: set[tuple[str, str, str, str]] = set()
        for mail in _mails(new.catalogue, old.catalogue):
            for day in days:
                for change in _on(name, mail, day, (old, before), (new, after)):
                    mark = change.kind, folded(change.address), change.type
                    # Who gains or loses all mails of the type does not read it of each step.
                    if not seen & {(*mark, ""), (*mark, mail.step)}:
                        seen.add((*mark, mail.step))
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
        "cadence": change.cadence,
        "step": change.step,
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


def _mails(new: Catalogue, old: Catalogue) -> Iterator[_Mail]:
    """What is to be compared: types first, then the steps that have a time of their own."""
    yield from map(_Mail, dict.fromkeys((*new.types, *old.types)))
    found: dict[tuple[str, str], _Mail] = {}
    for catalogue in (new, old):
        for key, cadence in catalogue.cadences.items():
            for name, step in cadence.steps.items():
                if step.at is not None and step.type is not None:
                    found.setdefault((key, name), _Mail(step.type, key, name))
    yield from found.values()


def _on(
    name: str,
    mail: _Mail,
    day: date,
    before: tuple[Side, Instance | None],
    after: tuple[Side, Instance | None],
) -> Iterator[Change]:
    was, now = _readers(mail, day, *before), _readers(mail, day, *after)
    for kind, there, gone, other in (("gains", now, was, before), ("loses", was, now, after)):
        for one, (address, reasons) in there.items():
            if one not in gone:
                yield Change(
                    kind="gains" if kind == "gains" else "loses",
                    instance=name,
                    type=mail.type,
                    address=address,
                    since=day,
                    reasons=reasons,
                    because=tuple(_absence(mail, day, address, *other)),
                    cadence=mail.cadence,
                    step=mail.step,
                )


def _asked(mail: _Mail, day: date, catalogue: Catalogue) -> Question | str:
    """Who is to be told, or why nobody is mailed."""
    cadence = catalogue.cadences.get(mail.cadence)
    step = cadence.steps.get(mail.step) if cadence else None
    if mail.step and (step is None or step.at is None or step.type is None):
        return f"{mail.cadence} has no step {mail.step}"
    key = step.type if step and step.type else mail.type
    spec = catalogue.types.get(key)
    if spec is None:
        return f"the catalogue has no type {key}"
    if "mail" not in (spec.channels if step is None or step.channels is None else step.channels):
        return f"{mail.step or key} is not mailed"
    if step is not None and step.roles is not None:
        audience = spec.audience.model_copy(update={"roles": list(step.roles)})
        spec = spec.model_copy(update={"audience": audience})
    return Question(key, spec, day, {})


def _readers(
    mail: _Mail, day: date, side: Side, instance: Instance | None
) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    asked = _asked(mail, day, side.catalogue)
    if isinstance(asked, str) or instance is None:
        return {}
    found = resolve(asked, instance).recipients
    return {
        folded(one.address): (one.address, tuple(f"{why.role} at {why.at}" for why in one.reasons))
        for one in found
    }


def _absence(mail: _Mail, day: date, address: str, side: Side, instance: Instance | None) -> Iterator[str]:
    asked = _asked(mail, day, side.catalogue)
    if isinstance(asked, str):
        yield asked
    elif instance is None:
        yield "there is no such instance"
    else:
        yield from explain_absence(asked, instance, address)


def _steps(cadence: Cadence | None) -> Sequence[str]:
    return list(cadence.steps) if cadence else []


def _words(catalogue: Catalogue, cadence: Cadence | None, key: str) -> str:
    """What a step tells, when and where; empty if there is none of that key."""
    step = cadence.steps.get(key) if cadence else None
    if cadence is None or step is None:
        return ""
    when = _when(cadence, step)
    spec = catalogue.types.get(step.type or step.owes or "")
    channels = step.channels if step.channels is not None else spec.channels if spec else []
    roles = step.roles if step.roles is not None else spec.audience.roles if spec else []
    told = ", ".join(roles) or "nobody"
    late = "" if step.late == "skip" else f", late: {step.late}"
    return f"{when}: {_what(step)} to {told} on {', '.join(channels) or 'no channel'}{late}"


def _when(cadence: Cadence, step: Step) -> str:
    if step.at is None:
        return f"on {step.on}" if step.on else f"every {step.every}"
    if step.owes:
        return f"{step.at}, by the end of that day"
    offset = parse_offset(step.at)
    if offset.hours is not None:
        return step.at
    # Whoever tells days before is early enough in any case.
    ahead = "" if offset.days or offset.business_days else f", at least {cadence.ahead} before"
    return f"{step.at} at {cadence.send_at}{ahead}"


def _what(step: Step) -> str:
    return step.type or f"{step.owes} is owed"
