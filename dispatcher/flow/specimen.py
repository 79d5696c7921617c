"""A mail as it would look, without an event: for `render`, `check` and whoever writes templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import escape

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.fields import parse_fields, sample
from dispatcher.domain.instance import Instance
from dispatcher.domain.window import Entry, window_of
from dispatcher.errors import EventInvalid, Problem, TemplateInvalid
from dispatcher.flow.overtime import Overtime, at_most
from dispatcher.flow.reading import Reading, view_of
from dispatcher.mail import message
from dispatcher.mail.content import RECIPIENT, UNSUBSCRIBE
from dispatcher.mail.renderer import Renderer
from dispatcher.mail.view import View

#: A mail takes a twentieth of a second of work; what takes longer than this does not end.
MAIL_SECONDS = 2.0

#: Who reads a mail about no instance of ours.
EXAMPLE = Instance.model_validate(
    {
        "instance": "example",
        "name": "Example Production",
        "url": "https://example.fabrikam.example",
        "version": "9.1",
        "admins": [{"address": "admin@example.example", "name": "Example Admin"}],
    }
)

#: Where the link of an optional type leads in a mail that nobody is sent.
CHOICES = "https://notices.example/choices/specimen"


@dataclass(frozen=True, slots=True)
class Specimen:
    """One rendered mail.

    Attributes:
        html: What the first admin of the instance would see.
        text: The same in plain text.
        message: The whole message.
    """

    html: str
    text: str
    message: bytes


class Specimens:
    """Renders mails that nobody is sent.

    Args:
        catalogue: The types.
        renderer: Renders them.
        now: The moment at which everything is written.
        watched: Is given each view, and gives the one to render.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        renderer: Renderer,
        now: datetime,
        watched: Callable[[View], View] = lambda view: view,
    ) -> None:
        self._catalogue = catalogue
        self._renderer = renderer
        self._now = now
        self._watched = watched

    def shown_as(self, key: str) -> str:
        """The type whose mail is rendered: a type without a banner is seen only as what it becomes."""
        spec = self._catalogue.types[key]
        return spec.becomes.type if spec.banner is None and spec.becomes else key

    def sample(self, key: str) -> dict[str, Any]:
        """Example fields of a type."""
        shown = self._catalogue.types[self.shown_as(key)]
        own = sample(self._catalogue.types[key], self._now)
        return sample(shown, self._now) | {name: value for name, value in own.items() if name in shown.fields}

    def required(self, key: str) -> dict[str, Any]:
        """Example fields of a type, the required ones only."""
        spec = self._catalogue.types[self.shown_as(key)]
        kept = {name for name, field in spec.fields.items() if field.required}
        kept |= {spec.mail_when.field} if spec.mail_when else set()
        return {name: value for name, value in self.sample(key).items() if name in kept}

    def render(
        self,
        key: str,
        fields: Mapping[str, Any],
        instance: Instance,
        language: str,
        roles: tuple[str, ...] = (),
    ) -> Specimen:
        """One mail, as somebody who gets it for these roles reads it: an admin, if none is given.

        What goes to our own people alone is read by one of them.

        Raises:
            EventInvalid: A field is wrong.
            TemplateInvalid: The template is, or makes a mail that is not done after `MAIL_SECONDS` of work.
        """
        template = self._catalogue.types[self.shown_as(key)].template
        try:
            with at_most(MAIL_SECONDS):
                return self._render(key, fields, instance, language, roles or self._reads(key))
        except TemplateInvalid as error:
            if not isinstance(error.__cause__, Overtime):
                raise
            raise TemplateInvalid(_endless(error.problems[0].where)) from None
        except Overtime:
            raise TemplateInvalid(_endless(f"templates/{template}.html.j2")) from None

    def _reads(self, key: str) -> tuple[str, ...]:
        return ("owners",) if self._catalogue.types[key].audience.roles == ["owners"] else ("admins",)

    def _render(
        self,
        key: str,
        fields: Mapping[str, Any],
        instance: Instance,
        language: str,
        roles: tuple[str, ...],
    ) -> Specimen:
        shown = self.shown_as(key)
        known = {name: value for name, value in fields.items() if shown == key or name in self.sample(key)}
        values, problems = parse_fields(self._catalogue.types[shown], known)
        if problems:
            raise EventInvalid(problems)
        entry = self._entry(shown, values)
        reading = Reading(language, instance.time_zone, roles, "default", self._now, entry)
        view = self._watched(view_of(self._catalogue, shown, known, (instance,), reading))
        content = self._renderer.render(view, unsubscribe=view.type.optional)
        domain = view.sender.domain
        headers = message.list_headers(view.key, content.language, domain)
        sealed = message.Sealed.load(message.seal(content, headers=headers))
        reader = instance.admins[0]
        person = message.Addressee(
            reader.address,
            reader.name,
            message.message_id(f"specimen-{key}-{content.language}", domain),
            self._now,
            view.sender,
            thread_root=message.message_id("specimen-root", domain) if view.type.audience.told else None,
            unsubscribe=CHOICES if view.type.optional else None,
        )
        return Specimen(
            html=_addressed(content.html, escape(reader.address), escape(CHOICES)),
            text=_addressed(content.text, reader.address, CHOICES),
            message=message.finish(sealed, person),
        )

    def _entry(self, key: str, values: Mapping[str, Any]) -> Entry | None:
        """The window of these typed values, as a first announcement brings it; a cancel comes after one."""
        window = window_of(self._catalogue.types[key], values)
        if window is None:
            return None
        organizer = self._catalogue.sender("default")
        uid = f"specimen-{key}@{organizer.domain}"
        return Entry(uid, int(window.cancelled), window, self._now, organizer)


def _endless(where: str) -> Problem:
    what = f"a mail is not done after {MAIL_SECONDS:g} seconds of work"
    return Problem(where, what, "see to it that every loop and macro comes to an end")


def _addressed(body: str, address: str, link: str) -> str:
    return body.replace(RECIPIENT, address).replace(UNSUBSCRIBE, link)
