"""From a view to what is read: subject, HTML and plain text of one variant."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from markupsafe import Markup

from dispatcher.errors import DispatcherError, Problem, TemplateInvalid
from dispatcher.mail.amiss import told
from dispatcher.mail.content import DECIDE, RECIPIENT, SLOTS, UNSUBSCRIBE, Content, Invite
from dispatcher.mail.course import Courses, Kind
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

#: The variables that are the same in all mails of a kind.
_COMMON = frozenset(
    (
        *("key", "type", "service", "sender", "roles", "banner", "translations"),
        *("lang", "direction", "fonts", "recipient_address", "unsubscribe_url"),
    )
)


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
        self._text = text_environment(templates, finalize=pass_context(lambda _, value: plain(value)))
        self._courses = Courses(templates, self._html, self._text, self._shaper, word)
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
            version = self._version(name)
            kind = Kind(name, *_kind(view, context, version))
            html, text = self._courses.render(kind, context, lambda: self._plainly(name, context))
            html = self._addressed(html, lambda word: f"&#{ord(word[0])};{word[1:]}")
            text = self._addressed(text, lambda word: f"{word[0]} {word[1:]}")
        except DispatcherError:
            raise
        except Exception as error:  # a template can raise whatever Python can
            raise TemplateInvalid(told(error, self._templates, context, self._html.globals)) from error
        return Content(
            subject=subject(view, self._translations),
            html=html,
            text=text,
            template=f"{name}@{version}",
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

    def _plainly(self, name: str, context: Mapping[str, Any]) -> tuple[str, str]:
        """Both bodies, rendered with the templates."""
        file = f"{name}.html.j2"
        texts = self._shaper.translating(context["translations"])
        html = self._shaper.render(
            self._html.get_template(file), {**context, **texts}, f"{self._templates.name}/{file}"
        )
        return html, self._text.get_template(f"{name}.txt.j2").render(context)

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


def _kind(
    view: View, context: Mapping[str, Any], version: str
) -> tuple[tuple[object, ...], object, tuple[str, ...]]:
    """What a mail has in common with others, what that goes by, and the variables that differ."""
    kept = (view.type, view.banner, view.service, view.sender, context["translations"])
    # Where it is no field's value, the link is a placeholder, or nothing.
    decides = context["decide_url"] if isinstance(context["decide_url"], Markup) else None
    common = _COMMON if decides is None and context["decide_url"] else _COMMON | {"decide_url"}
    roots = tuple(name for name in context if name not in common)
    same = (version, view.type.template, view.key, view.roles, roots, decides, context["unsubscribe_url"])
    return (*same, *map(id, kept)), kept, roots


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
        environment.get_template(name)  # which says where it is wrong, if it is
        source, _, is_unchanged = environment.loader.get_source(environment, name)
        digest.update(f"{name}\0{source}\0".encode())
        unchanged.append(is_unchanged or (lambda: True))
        todo += [(environment, reference) for reference in environment.references(name, source)]
    return _Version(digest.hexdigest()[:8], tuple(unchanged))
