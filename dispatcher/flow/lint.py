"""What about a type's mails should be better, found by rendering all of them; for `check`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.instance import ROLES
from dispatcher.errors import InvalidInput, Problem
from dispatcher.flow.places import Places
from dispatcher.flow.specimen import EXAMPLE, Specimens
from dispatcher.mail.environment import own_files
from dispatcher.mail.lint import Finding, findings
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.view import View

#: How a template fails that asks for a field which the type has not.
_NO_FIELD = re.compile(r"has no attribute '(\w+)'")
#: Every word that the footer has for why somebody gets a mail.
ALL_ROLES = (*ROLES, "contact", "thread")


@dataclass(slots=True)
class Report:
    """What was found.

    Attributes:
        problems: What must be put right, in the order in which it was met; each once.
        warnings: What should be better, likewise.
    """

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Take over what another has, but for what is here already."""
        self.problems += [one for one in dict.fromkeys(other.problems) if one not in self.problems]
        self.warnings += [one for one in dict.fromkeys(other.warnings) if one not in self.warnings]


class _Watched(Mapping[str, Any]):
    """Fields of an event that remember which of them were read."""

    def __init__(self, fields: Mapping[str, Any], read: set[str]) -> None:
        self._fields = fields
        self._read = read

    def __getitem__(self, key: str) -> Any:
        self._read.add(key)
        return self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


# An error about a field that is not there names the type of what lacks it: in life, that is a dict.
_Watched.__module__, _Watched.__name__ = "builtins", "dict"


class Lint:
    """Looks at the mails of a catalogue's types.

    Args:
        catalogue: The types.
        renderer: Renders them.
        places: Finds where in the root a fault stands.
        now: The moment at which everything is written.
    """

    def __init__(self, catalogue: Catalogue, renderer: Renderer, places: Places, now: datetime) -> None:
        self._catalogue = catalogue
        self._places = places
        self._read: set[str] = set()
        self._moves = False
        self._report, self._told = Report(), set[tuple[str, str]]()
        self._specimens = Specimens(catalogue, renderer, now, self._watch)

    def type(self, key: str) -> Report:
        """What is wrong with a type's mails: in each language with all examples, once with as few as may be.

        If they bring a window, once as if it had moved, too.

        Raises:
            KeyError: The catalogue has no such type.
        """
        spec, shown = self._catalogue.types[key], self._catalogue.types[self._specimens.shown_as(key)]
        self._report, self._told = Report(), set()
        self._read.clear()
        sample, required = self._specimens.sample(key), self._specimens.required(key)
        first = shown.languages[0]
        # A template that fails in one language does so in nine; its other faults wait until it is mended.
        if self._mail(key, sample, first, ("admins",)) & self._mail(key, required, first, ALL_ROLES):
            self._moves = shown.calendar is not None
            if self._moves:
                self._mail(key, sample, first, ("admins",))
            self._moves = False
            for language in shown.languages[1:]:
                self._mail(key, sample, language, ("admins",))
        if not self._report.problems and not spec.audience.nobody:
            self._report.warnings += self._unused(key, spec)
        return self._report

    def _mail(self, key: str, fields: Mapping[str, Any], language: str, roles: tuple[str, ...]) -> bool:
        """Look at one mail; whether it could be rendered."""
        try:
            mail = self._specimens.render(key, fields, EXAMPLE, language, roles)
        except InvalidInput as error:
            self._report.add(Report([self._borrowed(key, one) or one for one in error.problems]))
            return False
        for found in findings(mail.html, mail.text, mail.message):
            problem = self._placed(found, key, language)
            if (found.rule, problem.where) not in self._told:
                self._told.add((found.rule, problem.where))
                (self._report.problems if found.error else self._report.warnings).append(problem)
        return True

    def _borrowed(self, key: str, problem: Problem) -> Problem | None:
        """The same said of the catalogue, where the template is another type's and wants its fields."""
        spec = self._catalogue.types[self._specimens.shown_as(key)]
        template, wanted = spec.template, _NO_FIELD.search(problem.what)
        others = {
            name: [field for field in other.fields if field not in spec.fields]
            for name, other in self._catalogue.types.items()
            if other.template == template
        }
        owner = next((name for name, fields in others.items() if wanted and wanted[1] in fields), None)
        if owner is None:
            return None
        text = "".join(map(self._places.source, own_files(template)))
        lacking = [name for name in others[owner] if re.search(rf"\bfields\.{name}\b", text)]
        are, them = ("is", "that") if len(lacking) == 1 else ("are", "these")
        return Problem(
            self._places.of((), template, ("types", key)),
            f"has not every field that its template {template} needs: {', '.join(lacking)} {are} missing",
            f"give it {them}, as {owner} has {'it' if them == 'that' else 'them'}, or a template of its own",
            f"types.{key}",
        )

    def _placed(self, found: Finding, key: str, language: str) -> Problem:
        path = ("types", key)
        template = self._catalogue.types[self._specimens.shown_as(key)].template
        where = self._places.of(found.needles, template, path)
        if where == self._places.of((), template, path):
            return Problem(where, f"{found.what} in {language}", found.fix, f"types.{key}")
        return Problem(where, found.what, found.fix)

    def _watch(self, view: View) -> View:
        moved_from = view.entry.window if self._moves and view.entry else None
        return replace(view, fields=_Watched(view.fields, self._read), moved_from=moved_from)

    def _unused(self, key: str, spec: CommunicationType) -> Iterator[Problem]:
        """The fields that no mail of the type shows or goes by."""
        read = self._read | _gone_by(spec) | self._identities()
        for name in spec.fields:
            if name not in read and not self._named(spec.template, name):
                what = "is a field that no mail of this type shows or goes by"
                fix = f"let templates/{spec.template}.html.j2 and .txt.j2 show it, or take it out"
                yield Problem(self._places.field(key, name), what, fix, f"types.{key}.fields.{name}")

    def _identities(self) -> set[str]:
        """What names a window does so in every event about it, those included whose mails bring none."""
        calendars = (spec.calendar for spec in self._catalogue.types.values())
        return {calendar.identity for calendar in calendars if calendar and calendar.identity}

    def _named(self, template: str, name: str) -> bool:
        # What the examples did not lead to: a branch for another choice, say.
        named = re.compile(rf"""fields\.{name}\b|["']{name}["']""")
        return any(named.search(self._places.source(file)) for file in own_files(template))


def _gone_by(spec: CommunicationType) -> set[str]:
    """The fields that decide about the mail, though it may not show them."""
    found = {spec.expires, spec.mail_when and spec.mail_when.field, spec.becomes and spec.becomes.when}
    if spec.calendar:
        found |= {spec.calendar.start, spec.calendar.end, spec.calendar.identity, spec.calendar.cancelled}
    if "contact" in spec.audience.roles:
        found.add("contact")
    found |= {one.after for one in spec.fields.values()}
    return {name for name in found if name}
