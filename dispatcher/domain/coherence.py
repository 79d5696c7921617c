"""What can be wrong between the entries of a catalogue, each of which is right by itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from string import Formatter

from dispatcher.domain.catalogue import Catalogue, CommunicationType, FieldSpec, Palette
from dispatcher.domain.coherence_cadences import cadence_problems
from dispatcher.domain.colour import MIN_CONTRAST, contrast, contrast_inverted
from dispatcher.domain.deadline import Deadline
from dispatcher.domain.expiry import expires_at
from dispatcher.domain.fields import parse_fields, sample
from dispatcher.domain.misfit import at as _at
from dispatcher.domain.misfit import names_field as _names_field
from dispatcher.domain.misfit import unknown as _unknown
from dispatcher.domain.moment import is_relative
from dispatcher.domain.values import ValueInvalid, expected, parse_value
from dispatcher.errors import Problem

#: Placeholders of a subject that are no fields.
SUBJECT_WORDS = ("instance", "service")
#: Any moment serves to see whether an example is of its kind.
_SOME_MOMENT = datetime(2027, 1, 15, 9, 0, tzinfo=UTC)


def problems_of(catalogue: Catalogue) -> list[Problem]:
    """Everything that does not fit together; `Problem.where` and `key` are the dotted path of the entry."""
    found: list[Problem] = []
    if "default" not in catalogue.senders:
        found.append(_at("senders", "has no sender `default`", "add default: {address: …, name: …}"))
    for key, banner in catalogue.banners.items():
        found += _faint(f"banners.{key}", banner)
        found += _faint(f"banners.{key}.dark", banner.dark)
        found += _faint_inverted(f"banners.{key}", banner)
    for key, spec in catalogue.types.items():
        found += _type(f"types.{key}", spec, catalogue)
    return [*found, *cadence_problems(catalogue)]


def _faint(path: str, palette: Palette) -> Iterator[Problem]:
    ratio = contrast(palette.background, palette.text)
    if ratio < MIN_CONTRAST:
        yield _at(
            path,
            f"text {palette.text} on {palette.background} has a contrast of {ratio:.2f}:1",
            f"choose colours with at least {MIN_CONTRAST}:1",
        )


def _faint_inverted(path: str, palette: Palette) -> Iterator[Problem]:
    ratio = contrast_inverted(palette.background, palette.text)
    if ratio < MIN_CONTRAST <= contrast(palette.background, palette.text):
        yield _at(
            path,
            f"text {palette.text} on {palette.background} has a contrast of {ratio:.2f}:1 once inverted",
            f"choose colours that keep {MIN_CONTRAST}:1 where a mail client inverts them",
        )


def _type(path: str, spec: CommunicationType, catalogue: Catalogue) -> Iterator[Problem]:
    yield from _references(path, spec, catalogue)
    yield from _audience(path, spec, catalogue)
    yield from _line(f"{path}.subject", spec.subject, spec)
    yield from _thread_subject(path, spec)
    yield from _expires(path, spec)
    yield from _calendar(path, spec)
    yield from _fields(path, spec)


def _references(path: str, spec: CommunicationType, catalogue: Catalogue) -> Iterator[Problem]:
    if spec.banner is not None and spec.banner not in catalogue.banners:
        yield _unknown(f"{path}.banner", spec.banner, catalogue.banners, "banner")
    if spec.banner is None and spec.audience.roles:
        yield _at(f"{path}.banner", "is null, yet mail is sent", "name a banner")
    for told in spec.audience.told:
        if told not in catalogue.types:
            yield _unknown(f"{path}.audience.told", told, catalogue.types, "type")
        elif catalogue.types[told].audience.told:
            fix = "name the types that begin a thread"
            yield _at(f"{path}.audience.told", f"names {told!r}, which itself follows others", fix)
    if spec.becomes:
        if spec.becomes.type not in catalogue.types:
            yield _unknown(f"{path}.becomes.type", spec.becomes.type, catalogue.types, "type")
        yield from _names_field(f"{path}.becomes.when", spec, spec.becomes.when, ("boolean",))
    yield from _rules(path, spec)


def _rules(path: str, spec: CommunicationType) -> Iterator[Problem]:
    if spec.mail_when:
        yield from _names_field(f"{path}.mail_when.field", spec, spec.mail_when.field)
    if spec.minimum_notice:
        kinds = ("datetime", "date")
        yield from _names_field(f"{path}.minimum_notice.field", spec, spec.minimum_notice.field, kinds)
    if spec.deadline:
        yield from _deadline(f"{path}.deadline", spec, spec.deadline)


def _deadline(path: str, spec: CommunicationType, deadline: Deadline) -> Iterator[Problem]:
    """A choice that the rule does not know would be promised nothing, and nobody would see it."""
    yield from _names_field(f"{path}.field", spec, deadline.field, ("datetime",))
    yield from _names_field(f"{path}.since", spec, deadline.since, ("datetime",))
    if deadline.around_the_clock:
        yield from _names_field(f"{path}.around_the_clock", spec, deadline.around_the_clock, ("boolean",))
    wrong = [
        *_names_field(f"{path}.severity", spec, deadline.severity, ("choice",)),
        *_names_field(f"{path}.plan", spec, deadline.plan, ("choice",)),
    ]
    yield from wrong
    if wrong:
        return
    severities, plans = spec.fields[deadline.severity].choices, spec.fields[deadline.plan].choices
    yield from _one_each(f"{path}.within", deadline.within, severities)
    yield from _one_each(f"{path}.clock", deadline.clock, severities)
    for severity, row in deadline.within.items():
        yield from _one_each(f"{path}.within.{severity}", row, plans)


def _one_each(path: str, given: Collection[str], wanted: Collection[str]) -> Iterator[Problem]:
    if missing := [key for key in wanted if key not in given]:
        yield _at(path, f"says nothing of {', '.join(missing)}", "add one entry for each choice of the field")
    for key in given:
        if key not in wanted:
            yield _unknown(path, key, wanted, "choice of the field")


def _audience(path: str, spec: CommunicationType, catalogue: Catalogue) -> Iterator[Problem]:
    path = f"{path}.audience"
    if not spec.audience.roles and not spec.audience.nobody:
        yield _at(path, "names no roles", "add roles, or say in `nobody` why nobody is mailed")
    if spec.audience.roles and spec.audience.nobody:
        yield _at(path, "has both roles and nobody", "keep one of the two")
    if "partners" in spec.audience.roles and "partners" not in catalogue.senders:
        yield _at(path, "mails partners, who have no sender", "add senders.partners")
    contact = spec.fields.get("contact")
    if "contact" in spec.audience.roles and (contact is None or contact.kind != "address"):
        yield _at(path, "mails the contact", "add a field `contact` of kind address")


def _line(path: str, text: str, spec: CommunicationType) -> Iterator[Problem]:
    """What is wrong with the placeholders of a subject or of a calendar's title."""
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        yield _at(path, str(error), "write placeholders as {field}")
        return
    for _, name, form, conversion in parsed:
        if name is None or name in SUBJECT_WORDS:
            continue
        if form or conversion or not re.fullmatch("[a-z][a-z0-9_]*", name):
            written = f"{name}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
            yield _at(path, f"{{{written}}} is more than a name", "write placeholders as {field}")
        elif name not in spec.fields:
            yield _unknown(path, name, [*spec.fields, *SUBJECT_WORDS], "field of this type")
        elif not _always_given(spec, name):
            yield _at(path, f"names {name!r}, which an event may leave out", "use required fields only")


def _thread_subject(path: str, spec: CommunicationType) -> Iterator[Problem]:
    dated = [key for key, field in spec.fields.items() if field.kind in {"datetime", "date"}]
    named = [key for key in dated if f"{{{key}}}" in spec.subject]
    if spec.thread_subject == "keep" and named:
        what = f"keeps a subject that names {named[0]}, which may move"
        yield _at(f"{path}.thread_subject", what, "remove it, or leave the date out of the subject")
    elif spec.thread_subject == "keep" and spec.calendar:
        yield _at(f"{path}.thread_subject", "keeps a subject that must say when a window moves", "remove it")


def _expires(path: str, spec: CommunicationType) -> Iterator[Problem]:
    if spec.expires is None:
        return
    path = f"{path}.expires"
    fit = {key: field for key, field in spec.fields.items() if field.kind in {"datetime", "date"}}
    if spec.expires not in fit:
        yield _unknown(path, spec.expires, fit, "field of kind datetime or date")
        return
    example = fit[spec.expires].example
    # Without a clock only an example relative to now can be judged; that finds what always lies behind.
    if isinstance(example, str) and is_relative(example):
        over = expires_at(spec, sample(spec, _SOME_MOMENT), "UTC")
        if over and over <= _SOME_MOMENT:
            what = f"{spec.expires!r} is over when the event comes, by its example {example!r}"
            yield _at(path, what, "name a field that lies ahead, or give it an example like +14d")


def _calendar(path: str, spec: CommunicationType) -> Iterator[Problem]:
    if spec.calendar is None:
        return
    path, window = f"{path}.calendar", spec.calendar
    if spec.group_by == "person":
        # One entry for several instances would move, and be struck off, with each of them.
        yield _at(path, "belongs to types with one mail per instance", "remove it, or group_by: person")
    yield from _names_field(f"{path}.start", spec, window.start, ("datetime",))
    yield from _names_field(f"{path}.end", spec, window.end, ("datetime", "duration"))
    if window.identity is not None:
        yield from _names_field(f"{path}.identity", spec, window.identity, ("text",))
    if window.cancelled is not None:
        yield from _names_field(f"{path}.cancelled", spec, window.cancelled, ("boolean",))
    for key in ("title", "cancelled_subject", "moved_subject"):
        if (text := getattr(window, key)) is not None:
            yield from _line(f"{path}.{key}", text, spec)
    start, end = spec.fields.get(window.start), spec.fields.get(window.end)
    # RFC 5545, 3.8.2.2: what ends before it begins is no window, and calendars refuse it.
    if start and end and end.kind == "datetime" and end.after != window.start:
        what = f"{window.end!r} may come before {window.start!r}"
        yield _at(f"{path}.end", what, f"add `after: {window.start}` to the field {window.end}")


def _always_given(spec: CommunicationType, name: str) -> bool:
    field = spec.fields[name]
    guaranteed = spec.mail_when is not None and spec.mail_when.field == name
    return field.required or field.default is not None or guaranteed


def _fields(path: str, spec: CommunicationType) -> Iterator[Problem]:
    path = f"{path}.fields"
    for key, field in spec.fields.items():
        yield from _field(f"{path}.{key}", key, field, spec)
    undefaulted = {key: field.model_copy(update={"default": None}) for key, field in spec.fields.items()}
    plain = spec.model_copy(update={"fields": undefaulted})
    for problem in parse_fields(plain, sample(spec, _SOME_MOMENT), partial=True)[1]:
        yield _at(f"{path}.{problem.key}.example", problem.what, problem.fix)


def _field(path: str, key: str, field: FieldSpec, spec: CommunicationType) -> Iterator[Problem]:
    if key in SUBJECT_WORDS:
        yield _at(path, f"{{{key}}} means something else in every subject", "choose another name")
    for part, given, kind in (
        ("choices", bool(field.choices), "choice"),
        ("columns", bool(field.columns), "table"),
    ):
        if given != (field.kind == kind):
            fix = f"remove {part}, or make the kind {kind}" if given else f"add {part}"
            yield _at(f"{path}.{part}", f"belong to kind {kind}, and only there", fix)
    if field.items != "text" and field.kind != "list":
        yield _at(
            f"{path}.items", "belong to kind list, and only there", "remove items, or make the kind list"
        )
    if field.required and field.example is None:
        yield _at(path, "is required and has no example", "add an example")
    if field.after is not None:
        yield from _after(path, key, field, spec)
    if field.default is not None:
        try:
            parse_value(field, field.default)
        except ValueInvalid as error:
            what, fix = (*error.args, expected(field))[:2]
            yield _at(f"{path}.default", what, fix)


def _after(path: str, key: str, field: FieldSpec, spec: CommunicationType) -> Iterator[Problem]:
    path = f"{path}.after"
    if field.kind not in {"datetime", "date"}:
        yield _at(path, f"belongs to kind datetime or date, not to {field.kind}", "remove it")
    elif field.after == key:
        yield _at(path, "names its own field", "name another field, or remove it")
    else:
        yield from _names_field(path, spec, str(field.after), (field.kind,))
