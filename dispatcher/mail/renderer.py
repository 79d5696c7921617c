"""From a view to what is read: subject, HTML and plain text of one variant."""

from __future__ import annotations

import difflib
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment
from jinja2.exceptions import UndefinedError
from jinja2.meta import find_referenced_templates
from markupsafe import Markup

from dispatcher.errors import DispatcherError, Problem, TemplateInvalid
from dispatcher.mail.content import RECIPIENT, UNSUBSCRIBE, Content, Invite
from dispatcher.mail.environment import context_for, html_environment, located, text_environment
from dispatcher.mail.inline import inline
from dispatcher.mail.shape import Shaper, plain
from dispatcher.mail.subject import subject
from dispatcher.mail.translations import Translations
from dispatcher.mail.view import View

_QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class _Version:
    """The version of a template, and what tells whether its files are still the same."""

    digest: str
    unchanged: tuple[Callable[[], bool], ...]


class Renderer:
    """Renders views with the templates of one folder; threads may share one.

    A template that changes on disk is read again at the next render.

    Args:
        templates: The folder of templates.
        translations: Every language's texts.
        word: Gives a random word of letters and digits, which event data cannot know.
    """

    def __init__(
        self,
        templates: Path,
        translations: Translations,
        *,
        word: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._templates = templates
        self._translations = translations
        self._shaper = Shaper(inline, word)
        self._html = html_environment(templates, finalize=self._shaper.finalize)
        self._text = text_environment(templates)
        self._text.finalize = plain  # before the first template is compiled: a None must not be shown
        # While rendering, these random words stand for the reader, so that the constants can be refused.
        self._placeholders = {RECIPIENT: f"r{word()}z", UNSUBSCRIBE: f"u{word()}z"}
        self._versions: dict[str, _Version] = {}

    def render(self, view: View, *, unsubscribe: bool = False) -> Content:
        """What readers of `view` read.

        Args:
            view: What to say, and to what kind of reader.
            unsubscribe: Whether an optional type's mail has a link that stops such mails; then each
                reader's URL must be given when the message is finished.

        Raises:
            TemplateInvalid: The type's template is missing, or cannot be rendered with this view.
            EventInvalid: A value of the event cannot stand where the template puts it.
        """
        name = view.type.template
        context = context_for(
            view,
            self._translations,
            recipient=Markup(self._placeholders[RECIPIENT]),  # noqa: S704 - our own word
            unsubscribe=Markup(self._placeholders[UNSUBSCRIBE]) if unsubscribe else "",  # noqa: S704
        )
        try:
            html, text = self._render_html(name, context), self._render_text(name, context)
        except DispatcherError:
            raise
        except Exception as error:  # a template can raise whatever Python can
            raise TemplateInvalid(self._problem(error, context)) from error
        return Content(
            subject=subject(view, self._translations),
            html=html,
            text=text,
            template=f"{name}@{self._version(name)}",
            language=str(context["lang"]),
            invite=_invite(view, self._translations),
        )

    def problems(self) -> Iterator[Problem]:
        """What keeps any template of the folder from being compiled, those included that no type names."""
        for name in self._html.list_templates():
            environment = self._html if name.endswith(".html.j2") else self._text
            try:
                environment.get_template(name)
            except TemplateInvalid as error:
                yield from error.problems

    def _render_html(self, name: str, context: Mapping[str, Any]) -> str:
        file = f"{name}.html.j2"
        texts = self._shaper.translating(context["translations"])
        html = self._shaper.render(
            self._html.get_template(file), {**context, **texts}, f"{self._templates.name}/{file}"
        )
        return self._addressed(html, lambda word: f"&#{ord(word[0])};{word[1:]}")

    def _render_text(self, name: str, context: Mapping[str, Any]) -> str:
        text = self._text.get_template(f"{name}.txt.j2").render(context)
        return self._addressed(text, lambda word: f"{word[0]} {word[1:]}")

    def _addressed(self, rendered: str, broken_up: Callable[[str], str]) -> str:
        """The constants in place of the random words; what was spelt like a constant is broken up."""
        for constant, word in self._placeholders.items():
            rendered = rendered.replace(constant, broken_up(constant)).replace(word, constant)
        return rendered

    def _version(self, name: str) -> str:
        """8 hexadecimal digits of the SHA-256 of both templates and all that they extend or include."""
        known = self._versions.get(name)
        if known is None or not all(unchanged() for unchanged in known.unchanged):
            known = self._versions[name] = _version(
                (self._html, f"{name}.html.j2"), (self._text, f"{name}.txt.j2")
            )
        return known.digest

    def _problem(self, error: Exception, context: Mapping[str, Any]) -> Problem:
        found = located(error, self._templates)
        if not isinstance(error, UndefinedError):
            return found
        wrong = _QUOTED.findall(str(error))
        if re.match("'(?:dict|mappingproxy) object' has no", str(error)):
            names: Iterable[str] = context["fields"]
            what, fix = f"the fields of {context['key']} are", "; test optional ones with fields.get()"
        else:
            names = {*context, *self._html.globals}
            what, fix = "a template may use", ""
        listed = ", ".join(sorted(name for name in names if not name.startswith("_")))
        close = difflib.get_close_matches(wrong[-1], list(names), 1) if wrong else []
        meant = f"did you mean {close[0]}? " if close else ""
        return Problem(found.where, found.what, f"{meant}{what} {listed}{fix}")


def _invite(view: View, translations: Translations) -> Invite | None:
    if view.entry is None:
        return None
    from dispatcher.mail.invite import invite  # noqa: PLC0415 - only windows pay for reading its library

    return invite(view, translations)


def _version(*roots: tuple[Environment, str]) -> _Version:
    digest, unchanged, seen = hashlib.sha256(), [], set()
    todo = list(roots)
    while todo:
        environment, name = todo.pop()
        if name in seen or environment.loader is None:
            continue
        seen.add(name)
        source, _, is_unchanged = environment.loader.get_source(environment, name)
        digest.update(f"{name}\0{source}\0".encode())
        unchanged.append(is_unchanged or (lambda: True))
        references = find_referenced_templates(environment.parse(source))
        todo += [(environment, reference) for reference in sorted(filter(None, references))]
    return _Version(digest.hexdigest()[:8], tuple(unchanged))
