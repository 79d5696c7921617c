"""What can be wrong between the entries of a catalogue, each of which is right by itself."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from string import Formatter

from dispatcher.domain.catalogue import Catalogue, CommunicationType, Palette
from dispatcher.domain.colour import MIN_CONTRAST, contrast
from dispatcher.domain.fields import parse_fields, sample
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
    for key, spec in catalogue.types.items():
        found += _type(f"types.{key}", spec, catalogue)
    return found


def _at(path: str, what: str, fix: str) -> Problem:
    return Problem(where=path, what=what, fix=fix, key=path)


def _faint(path: str, palette: Palette) -> Iterator[Problem]:
    ratio = contrast(palette.background, palette.text)
    if ratio < MIN_CONTRAST:
        yield _at(
            path,
            f"text {palette.text} on {palette.background} has a contrast of {ratio:.2f}:1",
            f"choose colours with at least {MIN_CONTRAST}:1",
        )


def _type(path: str, spec: CommunicationType, catalogue: Catalogue) -> Iterator[Problem]:
    yield from _references(path, spec, catalogue)
    yield from _audience(path, spec, catalogue)
    yield from _subject(path, spec)
    yield from _fields(path, spec)


def _unknown(path: str, word: str, known: Iterable[str], what: str) -> Problem:
    close = difflib.get_close_matches(word, known, n=1)
    fix = f"did you mean {close[0]}" if close else f"use one of {', '.join(sorted(known))}"
    return _at(path, f"{word!r} is no {what}", fix)


def _references(path: str, spec: CommunicationType, catalogue: Catalogue) -> Iterator[Problem]:
    if spec.banner is not None and spec.banner not in catalogue.banners:
        yield _unknown(f"{path}.banner", spec.banner, catalogue.banners, "banner")
    if spec.banner is None and spec.audience.roles:
        yield _at(f"{path}.banner", "is null, yet mail is sent", "name a banner")
    for told in spec.audience.told:
        if told not in catalogue.types:
            yield _unknown(f"{path}.audience.told", told, catalogue.types, "type")
    if spec.becomes:
        if spec.becomes.type not in catalogue.types:
            yield _unknown(f"{path}.becomes.type", spec.becomes.type, catalogue.types, "type")
        yield from _names_field(f"{path}.becomes.when", spec, spec.becomes.when, "boolean")
    if spec.mail_when:
        yield from _names_field(f"{path}.mail_when.field", spec, spec.mail_when.field, None)


def _names_field(path: str, spec: CommunicationType, key: str, kind: str | None) -> Iterator[Problem]:
    if key not in spec.fields:
        yield _unknown(path, key, spec.fields, "field of this type")
    elif kind and spec.fields[key].kind != kind:
        yield _at(path, f"{key!r} is of kind {spec.fields[key].kind}", f"name a field of kind {kind}")


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


def _subject(path: str, spec: CommunicationType) -> Iterator[Problem]:
    path = f"{path}.subject"
    try:
        parsed = list(Formatter().parse(spec.subject))
    except ValueError as error:
        yield _at(path, str(error), "write placeholders as {field}")
        return
    for _, name, form, conversion in parsed:
        if name is None or name in SUBJECT_WORDS:
            continue
        if form or conversion or not re.fullmatch("[a-z][a-z0-9_]*", name):
            yield _at(path, f"{{{name}}} is more than a name", "write placeholders as {field}")
        elif name not in spec.fields:
            yield _unknown(path, name, [*spec.fields, *SUBJECT_WORDS], "field of this type")
        elif not _always_given(spec, name):
            yield _at(path, f"names {name!r}, which an event may leave out", "use required fields only")


def _always_given(spec: CommunicationType, name: str) -> bool:
    field = spec.fields[name]
    guaranteed = spec.mail_when is not None and spec.mail_when.field == name
    return field.required or field.default is not None or guaranteed


def _fields(path: str, spec: CommunicationType) -> Iterator[Problem]:
    path = f"{path}.fields"
    for key, field in spec.fields.items():
        if bool(field.choices) != (field.kind == "choice"):
            yield _at(f"{path}.{key}.choices", "belong to kind choice, and only there", "")
        if bool(field.columns) != (field.kind == "table"):
            yield _at(f"{path}.{key}.columns", "belong to kind table, and only there", "")
        if field.required and field.example is None:
            yield _at(f"{path}.{key}", "is required and has no example", "add an example")
        if field.after is not None:
            yield from _names_field(f"{path}.{key}.after", spec, field.after, field.kind)
    _, problems = parse_fields(spec, sample(spec, _SOME_MOMENT), partial=True)
    for problem in problems:
        yield _at(f"{path}.{problem.key}.example", problem.what, problem.fix)
