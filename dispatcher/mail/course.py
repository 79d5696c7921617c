"""The course that a template takes: found out once, then taken again without the template.

Jinja costs milliseconds for a mail whose words are the same as those of the last one but for some values. So
when mails of one kind come again, one of them is traced (`dispatcher.mail.traced`). From then on only what
differs is worked out, as long as the answers that decided the course stay the same. Each course is held
against the templates before it is trusted.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher.mail.environment import MailEnvironment
from dispatcher.mail.replay import Program, Seen
from dispatcher.mail.shape import Shape, Shaper
from dispatcher.mail.traced import Trace, Traced
from dispatcher.mail.tracing import TracingShaper, html_tracer, text_tracer

#: Kinds of mail that are known; one course is about 50 kB.
_KINDS = 256
#: Mails of a kind that are rendered before it seems worth a trace, which costs about as much as they do.
_UNTRACED = 2
#: Courses of one kind: with one date or two, with a link or without.
_COURSES = 4
#: Mails whose courses are held against the templates.
_PROOFS = 2

_log = logging.getLogger(__name__)

#: The HTML and the plain text of a mail.
Bodies = tuple[str, str]


@dataclass(slots=True)
class _Course:
    page: Program
    shape: Shape
    text: Program
    said: int
    proofs: int = 0

    def take(self, context: Mapping[str, Any]) -> Bodies | None:
        if (page := self.page.run(context)) is None or (text := self.text.run(context)) is None:
            return None
        return self.shape.fill(page), str(text[self.said])


@dataclass(slots=True)
class _Mails:
    """Mails of one kind: with the same variables, but for those that differ from mail to mail."""

    kept: object
    courses: tuple[_Course, ...] = ()
    seen: int = 0
    tried: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """What mails have in common.

    Attributes:
        name: Their template, as the type has it.
        key: All that is the same in them.
        kept: What the key goes by, so that nothing else can come to be the same.
        roots: The variables that differ from mail to mail.
    """

    name: str
    key: Hashable
    kept: object
    roots: tuple[str, ...]


class Courses:
    """The courses of one folder of templates; threads may share one.

    Args:
        templates: The folder of templates.
        html: The environment of ``*.html.j2``.
        text: The environment of ``*.txt.j2``.
        shaper: Has the shapes.
        word: Gives a random word of letters and digits.
    """

    def __init__(
        self,
        templates: Path,
        html: MailEnvironment,
        text: MailEnvironment,
        shaper: Shaper,
        word: Callable[[], str],
    ) -> None:
        self._word = word
        self._shaper = TracingShaper(shaper)
        self._html = html_tracer(templates, html, self._shaper)
        self._text = text_tracer(templates, text)
        self._kinds: OrderedDict[Hashable, _Mails] = OrderedDict()
        self._lock = threading.Lock()

    def render(self, kind: Kind, context: Mapping[str, Any], plainly: Callable[[], Bodies]) -> Bodies:
        """The bodies of a mail, by a course that is known if there is one.

        Args:
            kind: What the mail has in common with others.
            context: The variables.
            plainly: Renders it with the templates; whatever that raises is raised.
        """
        mails = self._mails(kind)
        for course in mails.courses:
            bodies = course.take(context)
            if bodies is not None and course.proofs >= _PROOFS:
                return bodies
            if bodies is not None:
                return _proved(mails, course, bodies, plainly())
        read = plainly()
        mails.seen += 1
        if mails.seen > _UNTRACED and mails.tried < _COURSES:
            mails.tried += 1
            found = self._found(kind, context)
            if found and found.take(context) == read:
                mails.courses = (*mails.courses, found)
        return read

    def _mails(self, kind: Kind) -> _Mails:
        with self._lock:
            mails = self._kinds.pop(kind.key, None) or _Mails(kind.kept)
            self._kinds[kind.key] = mails
            if len(self._kinds) > _KINDS:
                self._kinds.popitem(last=False)
        return mails

    def _found(self, kind: Kind, context: Mapping[str, Any]) -> _Course | None:
        """The course of a mail; None where it cannot be noted, which costs time and nothing else."""
        with self._lock:
            try:
                return _Course(*self._page(kind, context), *self._said(kind, context))
            except Exception as error:  # noqa: BLE001 - it was rendered, so this is not the template's fault
                _log.debug("%s is rendered anew for every mail: %s", kind.name, error)
                return None

    def _page(self, kind: Kind, context: Mapping[str, Any]) -> tuple[Program, Shape]:
        trace = Trace(Seen(context, self._html.twin, autoescape=True), kind.roots, self._shaper.prefix)
        texts = self._shaper.translating(context["translations"])
        template = self._html.get_template(f"{kind.name}.html.j2")
        with self._html.noting(trace, context, texts.values()) as given:
            shape, values = self._shaper.shaped(
                template, {**given, **texts}, f"templates/{kind.name}.html.j2"
            )
        traced = {index: value for index, value in enumerate(values) if isinstance(value, Traced)}
        shape = shape.filled({index: value for index, value in enumerate(values) if index not in traced})
        shape = Shape(shape.parts, tuple((traced[index].slot, place) for index, place in shape.slots))
        return trace.program([slot for slot, _ in shape.slots]), shape

    def _said(self, kind: Kind, context: Mapping[str, Any]) -> tuple[Program, int]:
        trace = Trace(Seen(context, self._text.twin, autoescape=False), kind.roots, f"t{self._word()}n")
        template = self._text.get_template(f"{kind.name}.txt.j2")
        with self._text.noting(trace, context) as given:
            slot = trace.slot_of(template.render(given))
        return trace.program([slot]), slot


def _proved(mails: _Mails, course: _Course, taken: Bodies, read: Bodies) -> Bodies:
    """What the templates say; a course that says something else is not taken again."""
    course.proofs += 1
    if taken != read:
        mails.courses = tuple(one for one in mails.courses if one is not course)
        _log.warning("a mail came out otherwise by a shorter way; it was rendered with its templates")
    return read
