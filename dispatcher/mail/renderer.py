"""From a view to what is read: subject, HTML and plain text of one variant."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dispatcher.errors import DispatcherError, Problem, TemplateInvalid
from dispatcher.mail.amiss import told
from dispatcher.mail.content import DECIDE, RECIPIENT, SLOTS, UNSUBSCRIBE, Content, Invite
from dispatcher.mail.environment import (
    MailEnvironment,
    context_for,
    html_environment,
    text_environment,
)
from dispatcher.mail.inline import inline
from dispatcher.mail.shape import Shaper, plain
from dispatcher.mail.subject import subject
from dispatcher.mail.translations import Translations
from dispatcher.mail.view import View


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
        self._placeholders = {slot: f"{slot[0].lower()}{word()}z" for slot in SLOTS}
        self._versions: dict[str, _Version] = {}

    def render(self, view: View, *, unsubscribe: bool = False, decide: bool = False) -> Content:
        """What readers of `view` read.

        Args:
            view: What to say, and to what kind of reader.
            unsubscribe: Whether an optional type's mail has a link that stops such mails; then each
                reader's URL must be given when the message is finished.
            decide: Whether its readers may decide about a date; likewise.

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
            decide=Markup(self._placeholders[DECIDE]) if decide else "",  # noqa: S704
        )
        try:
            html, text = self._render_html(name, context), self._render_text(name, context)
        except DispatcherError:
            raise
        except Exception as error:  # a template can raise whatever Python can
            raise TemplateInvalid(told(error, self._templates, context, self._html.globals)) from error
        return Content(
            subject=subject(view, self._translations),
            html=html,
            text=text,
            template=f"{name}@{self._version(name)}",
            language=str(context["lang"]),
            invite=_invite(view, self._translations),
        )

    def problems(self) -> Iterator[Problem]:
        """What keeps any template of the folder from being compiled, or any translation from being used."""
        for name in self._html.list_templates():
            environment = self._html if name.endswith(".html.j2") else self._text
            try:
                environment.get_template(name)
            except TemplateInvalid as error:
                yield from error.problems
        yield from self._translations.problems()

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


def _invite(view: View, translations: Translations) -> Invite | None:
    if view.entry is None:
        return None
    from dispatcher.mail.invite import invite  # noqa: PLC0415 - only windows pay for reading its library

    return invite(view, translations)


def _version(*roots: tuple[MailEnvironment, str]) -> _Version:
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
        todo += [(environment, reference) for reference in environment.references(name, source)]
    return _Version(digest.hexdigest()[:8], tuple(unchanged))
