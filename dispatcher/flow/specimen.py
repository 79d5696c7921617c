"""A mail as it would look, without an event: for `render`, `check` and whoever writes templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import escape

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.fields import parse_fields, sample
from dispatcher.domain.instance import Instance
from dispatcher.errors import EventInvalid
from dispatcher.flow.reading import Reading, view_of
from dispatcher.mail import message
from dispatcher.mail.content import RECIPIENT
from dispatcher.mail.renderer import Renderer

#: Who reads a mail about no instance of ours.
EXAMPLE = Instance.model_validate(
    {
        "instance": "example",
        "name": "Example Production",
        "url": "https://example.example.com",
        "version": "9.1",
        "admins": [{"address": "admin@example.example", "name": "Example Admin"}],
    }
)


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
    """Renders mails that nobody is sent."""

    def __init__(self, catalogue: Catalogue, renderer: Renderer, now: datetime) -> None:
        self._catalogue = catalogue
        self._renderer = renderer
        self._now = now

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
        roles: tuple[str, ...] = ("admins",),
    ) -> Specimen:
        """One mail, as somebody who gets it for these roles reads it.

        Raises:
            EventInvalid: A field is wrong.
            TemplateInvalid: The template is.
        """
        shown = self.shown_as(key)
        known = {name: value for name, value in fields.items() if shown == key or name in self.sample(key)}
        if problems := parse_fields(self._catalogue.types[shown], known)[1]:
            raise EventInvalid(problems)
        reading = Reading(language, instance.time_zone, roles, "default", self._now)
        view = view_of(self._catalogue, shown, known, (instance,), reading)
        content = self._renderer.render(view)
        domain = view.sender.domain
        headers = message.list_headers(view.key, content.language, domain)
        sealed = message.Sealed.load(message.seal(content, headers=headers))
        reader = instance.admins[0]
        identity = message.message_id(f"specimen-{key}-{content.language}", domain)
        person = message.Addressee(reader.address, reader.name, identity, self._now, view.sender)
        return Specimen(
            html=content.html.replace(RECIPIENT, escape(reader.address)),
            text=content.text.replace(RECIPIENT, reader.address),
            message=message.finish(sealed, person),
        )
