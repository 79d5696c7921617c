"""What can be wrong between the cadences of a catalogue and its types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dispatcher.domain.cadence import Cadence, Step, Turn, parse_offset
from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.misfit import at, names_field, unknown
from dispatcher.domain.moment import parse_duration
from dispatcher.domain.values import ValueInvalid, expected, parse_value
from dispatcher.errors import Problem

#: The turns that say a date: a plan begins with the first or, if it was missed, with the second.
_DATING: tuple[Turn, ...] = ("scheduled", "rescheduled")
#: The fields that a plan's life reads beside its anchor, with their kinds.
MEANINGS = {
    "alternate_at": "datetime",
    "offered_dates": "list",
    "mandatory": "boolean",
    "approved": "boolean",
    "rescheduled_by": "choice",
    "stage": "choice",
}
#: What the plan itself says to the event of a step.
_FROM_PLAN = frozenset({"approved"})


@dataclass(frozen=True, slots=True)
class _Here:
    """A cadence that is looked at, and where it stands."""

    path: str
    cadence: Cadence
    catalogue: Catalogue

    @property
    def types(self) -> Mapping[str, CommunicationType]:
        return self.catalogue.types

    def spec(self, step: Step) -> CommunicationType | None:
        """The type that a step tells or owes, if there is one."""
        return self.types.get(step.type or step.owes or "")

    @property
    def begins(self) -> CommunicationType | None:
        """The type whose event makes a plan."""
        found = self.cadence.step_on("scheduled")
        return self.spec(found[1]) if found else None


def cadence_problems(catalogue: Catalogue) -> Iterator[Problem]:
    """Everything that does not fit; `Problem.where` and `key` are the dotted path of the entry."""
    for key, cadence in catalogue.cadences.items():
        here = _Here(f"cadences.{key}", cadence, catalogue)
        yield from _cadence(here)
        for name, step in cadence.steps.items():
            yield from _step(here, f"{here.path}.steps.{name}", step)
    yield from _claimed_twice(catalogue)


def _cadence(here: _Here) -> Iterator[Problem]:
    if not here.cadence.steps:
        yield at(f"{here.path}.steps", "has no steps", "add one, like first: {on: scheduled, type: …}")
    elif here.cadence.follows == "incident":
        yield from _of_incidents(here)
    else:
        yield from _of_instances(here)


def _of_instances(here: _Here) -> Iterator[Problem]:
    cadence, steps = here.cadence, f"{here.path}.steps"
    if cadence.step_on("scheduled") is None:
        fix = "add a step {on: scheduled, type: …}"
        yield at(steps, "has no step on scheduled, so that no plan begins", fix)
    for turn, count in Counter(step.on for step in cadence.steps.values() if step.on).items():
        if count > 1:
            yield at(
                steps, f"has {count} steps on {turn}", "keep one: a turn is one event, which has one type"
            )
    for type_, count in Counter(step.type for step in cadence.steps.values() if step.on).items():
        if type_ and count > 1:
            what = f"has {count} turns with the type {type_!r}"
            yield at(steps, what, "give each turn a type of its own")
    if cadence.decisions:
        for turn in ("approved", "rescheduled"):
            if cadence.step_on(turn) is None:
                what = f"lets admins decide, and has no step on {turn}"
                yield at(f"{here.path}.decisions", what, f"add a step {{on: {turn}, type: …}}")
        if here.cadence.anchor in _days(here):
            what = "lets admins decide on a whole day"
            yield at(f"{here.path}.decisions", what, "make the anchor a field of kind datetime")
    yield from _kinds_of_anchor(here)
    yield from _meanings(here)


def _meanings(here: _Here) -> Iterator[Problem]:
    """Fields that mean the same in every cadence have the kind that this takes."""
    types = dict.fromkeys(step.type for step in here.cadence.steps.values() if step.on and step.type)
    for type_, spec in ((type_, here.types[type_]) for type_ in types if type_ in here.types):
        previous = "date" if here.cadence.anchor in _days(here) else "datetime"
        for key, kind in {**MEANINGS, "previous_at": previous}.items():
            field = spec.fields.get(key)
            if field and (field.kind != kind or (kind == "list" and field.items != "datetime")):
                wanted = "list with items: datetime" if kind == "list" else kind
                what = f"has the turn type {type_}, whose field {key!r} must be of kind {wanted}"
                yield at(here.path, what, "change its kind, or give the field another name")


def _kinds_of_anchor(here: _Here) -> Iterator[Problem]:
    """A plan's date cannot be a day at one turn and a moment at another."""
    specs = {turn: here.spec(found[1]) for turn in _DATING if (found := here.cadence.step_on(turn))}
    fields = {turn: spec.fields.get(here.cadence.anchor) for turn, spec in specs.items() if spec}
    kinds = {turn: field.kind for turn, field in fields.items() if field}
    if len(set(kinds.values())) > 1:
        shown = " and ".join(f"{kind} on {turn}" for turn, kind in kinds.items())
        yield at(f"{here.path}.anchor", f"is of kind {shown}", "make both the same kind")


def _of_incidents(here: _Here) -> Iterator[Problem]:
    path = here.path
    if here.cadence.decisions:
        yield at(f"{path}.decisions", "belongs to cadences that follow an instance", "remove it")
    opening = {key: spec for key, spec in here.types.items() if spec.opens_incident}
    if not opening:
        yield at(path, "follows incidents, and no type opens one", "give a type `opens_incident: true`")
    for key, spec in opening.items():
        for part, name, kinds in (
            ("anchor", here.cadence.anchor, ("datetime",)),
            ("about", here.cadence.about, ("text",)),
        ):
            for problem in names_field(f"{path}.{part}", spec, name, kinds):
                yield at(problem.where, f"{problem.what} ({key})", problem.fix)


def _step(here: _Here, path: str, step: Step) -> Iterator[Problem]:
    when = [name for name in ("at", "on", "every") if getattr(step, name) is not None]
    what = [name for name in ("type", "owes") if getattr(step, name) is not None]
    if len(when) != 1:
        said = f"has {' and '.join(when)}" if when else "does not say when"
        yield at(path, said, "give exactly one of at, on and every")
    if len(what) != 1:
        said = "has type and owes" if what else "does not say what is told"
        yield at(path, said, "give exactly one of type and owes")
    yield from _place(here, path, step)
    spec = here.spec(step)
    for name in what:
        if getattr(step, name) not in here.types:
            yield unknown(f"{path}.{name}", getattr(step, name), here.types, "type")
    if spec is None or len(what) != 1:
        return
    yield from _names(here, path, step, spec)
    yield from _audience(here, path, step, spec)
    yield from _fields(here, path, step, spec)


def _place(here: _Here, path: str, step: Step) -> Iterator[Problem]:
    """What belongs to the other kind of cadence, or to another kind of step."""
    incident = here.cadence.follows == "incident"
    for name in ("on", "type") if incident else ("every", "owes"):
        if getattr(step, name) is not None:
            other = "an instance" if incident else "an incident"
            fix = "use at or every, with owes" if incident else "use at or on, with type"
            yield at(f"{path}.{name}", f"belongs to cadences that follow {other}", fix)
    if incident and step.at and step.at.startswith("-"):
        yield at(
            f"{path}.at",
            f"{step.at} lies before the end of the incident",
            "write a distance after it, with +",
        )
    told_at = step.at is not None and step.type is not None
    if step.late != "skip" and not told_at:
        yield at(f"{path}.late", "belongs to steps with at and type", "remove it")
    if not told_at or here.cadence.anchor in _days(here):
        return
    offset = parse_offset(step.at or "")
    lead = parse_duration(here.cadence.ahead)
    if offset.hours is not None and offset.hours <= 0 and -offset.hours * 3600 < lead.total_seconds():
        what = f"{step.at} is nearer than ahead, {here.cadence.ahead}, which then counts"
        yield at(f"{path}.at", what, "write a longer distance, or make ahead shorter")


def _days(here: _Here) -> frozenset[str]:
    """The fields of kind ``date`` of the type that begins a plan."""
    fields = here.begins.fields.items() if here.begins else ()
    return frozenset(key for key, field in fields if field.kind == "date")


def _names(here: _Here, path: str, step: Step, spec: CommunicationType) -> Iterator[Problem]:
    """The field that names the plan, in every type of the cadence; the date, in those that say it."""
    cadence, type_ = here.cadence, step.type or step.owes
    if not (cadence.follows == "incident" and spec.opens_incident):
        for problem in names_field(f"{here.path}.about", spec, cadence.about, ("text",)):
            yield at(path, f"{problem.what}, so that nobody knows what {type_} is about", problem.fix)
    if step.on not in _DATING or cadence.follows == "incident":
        return
    for problem in names_field(f"{here.path}.anchor", spec, cadence.anchor, ("datetime", "date")):
        yield at(path, f"{problem.what}, so that {type_} says no date", problem.fix)
    field = spec.fields.get(cadence.anchor)
    lacking = field is not None and cadence.decisions and not field.required
    if field and field.kind in {"datetime", "date"} and (lacking or field.from_plan):
        what = f"{cadence.anchor!r} may be left out of {type_}, which is to say the date"
        yield at(path, what, "add `required: true` to it, and no from_plan")


def _audience(here: _Here, path: str, step: Step, spec: CommunicationType) -> Iterator[Problem]:
    channels = spec.channels if step.channels is None else step.channels
    if step.channels is not None and not step.channels:
        yield at(f"{path}.channels", "names none", "name one, or leave channels out")
    if len(channels) != len(set(channels)):
        yield at(f"{path}.channels", "names one twice", "name each once")
    if step.channels and "mail" in step.channels and not spec.audience.roles:
        what = f"names mail, and the type {step.type} mails nobody"
        yield at(f"{path}.channels", what, "remove mail, or give the type an audience")
    if step.roles is None:
        return
    if not step.roles:
        yield at(f"{path}.roles", "names none", "name one, leave roles out, or leave mail out of channels")
    elif "mail" not in channels:
        yield at(
            f"{path}.roles", "says who is mailed, and the step is not", "remove it, or add mail to channels"
        )
    if "partners" in step.roles and "partners" not in here.catalogue.senders:
        yield at(f"{path}.roles", "mails partners, who have no sender", "add senders.partners")
    contact = spec.fields.get("contact")
    if "contact" in step.roles and (contact is None or contact.kind != "address"):
        yield at(f"{path}.roles", "mails the contact", "add a field `contact` of kind address to the type")


def _fields(here: _Here, path: str, step: Step, spec: CommunicationType) -> Iterator[Problem]:
    if step.at is None or step.type is None:
        if step.fields:
            fix = "remove it: what an event says, its sender says"
            yield at(f"{path}.fields", "belongs to steps with at and type", fix)
        return
    for key, value in step.fields.items():
        if key in (here.cadence.about, here.cadence.anchor):
            yield at(f"{path}.fields.{key}", "is what the plan says", "remove it")
        elif key not in spec.fields:
            yield unknown(f"{path}.fields.{key}", key, spec.fields, f"field of {step.type}")
        else:
            try:
                parse_value(spec.fields[key], value)
            except ValueInvalid as error:
                what, fix = (*error.args, expected(spec.fields[key]))[:2]
                yield at(f"{path}.fields.{key}", what, fix)
    yield from _unsaid(here, path, step, spec)


def _unsaid(here: _Here, path: str, step: Step, spec: CommunicationType) -> Iterator[Problem]:
    """Required fields that nobody would say, so that the step could not be told on its day."""
    begins = here.begins
    if begins is None:
        return
    for key, field in spec.fields.items():
        if not field.required or field.default is not None or key in step.fields:
            continue
        if key in (here.cadence.about, here.cadence.anchor) or key in _FROM_PLAN:
            continue
        first = begins.fields.get(key)
        if first is None or not (first.required or first.default is not None):
            what = f"needs {key!r} of {step.type}, which the event that begins the plan need not say"
            yield at(path, what, f"give it under `fields`, or make {key} required there")


def _claimed_twice(catalogue: Catalogue) -> Iterator[Problem]:
    """An event is a turn of one cadence: of two, one may refuse what the other took."""
    found: dict[str, str] = {}
    for key, cadence in catalogue.cadences.items():
        for name, step in cadence.steps.items():
            if not step.on or not step.type:
                continue
            first = found.setdefault(step.type, key)
            if first != key:
                what = f"{step.type!r} is a turn of the cadence {first} already"
                yield at(f"cadences.{key}.steps.{name}.type", what, "give this turn a type of its own")
