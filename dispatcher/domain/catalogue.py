"""The catalogue: every communication type, its banner, its audience and its fields.

These models mirror ``catalogue.yaml``; its JSON Schema is made from them. What one entry alone can show to
be wrong is checked here; what needs two entries is checked in `dispatcher.domain.coherence`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from dispatcher.domain.cadence import Cadence, SpanText
from dispatcher.domain.deadline import Deadline
from dispatcher.domain.delivery import Lane, OnUncertain
from dispatcher.domain.house import BusinessHours, Owner, Sender, Service
from dispatcher.domain.language import LANGUAGES, Language
from dispatcher.domain.model import Model
from dispatcher.domain.words import (
    AudienceRole,
    Channel,
    FieldKey,
    Line,
    Region,
    TypeKey,
)

Kind = Literal[
    "text",
    "paragraphs",
    "datetime",
    "date",
    "duration",
    "url",
    "integer",
    "boolean",
    "choice",
    "list",
    "table",
    "address",
]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$")]
TemplateName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]


class Palette(Model):
    """A background and the text on it."""

    background: Colour
    text: Colour


class Banner(Palette):
    """The coloured head of a mail: the signal that is seen first.

    Attributes:
        label: Its name for people.
        dark: The same signal where the reader's client is dark.
        cue: A glyph beside the label; decoration, never the only signal.
    """

    label: Line
    dark: Palette
    cue: Annotated[str, StringConstraints(min_length=1, max_length=2)]


class FieldSpec(Model):
    """One fact that an event of a type carries.

    Attributes:
        label: What the fact is called in a mail.
        help: What to put there, for whoever writes an event.
        example: A value to show the mail with; dates relative to the moment of use (``+14d 22:00``).
        default: The value when an event gives none.
        choices: For kind ``choice``: the allowed values, each with its label.
        items: For kind ``list``: the kind of each item.
        columns: For kind ``table``: each column's key and specification.
        after: For kinds ``datetime`` and ``date``: the field that this one must come after.
        from_plan: Whether the plan that an event is about says it where the event does not; then `required`
            holds for an event without a plan alone.
    """

    kind: Kind
    label: Line
    required: bool = False
    from_plan: bool = False
    help: str = ""
    example: Any = None
    default: Any = None
    choices: dict[str, Line] = {}
    items: Literal["text", "datetime", "date", "url"] = "text"
    columns: dict[FieldKey, Column] = {}
    after: FieldKey | None = None


class Column(Model):
    """One column of a field of kind ``table``."""

    label: Line
    kind: Literal["text", "paragraphs", "datetime", "date", "url", "integer"] = "text"
    required: bool = True


FieldSpec.model_rebuild()


class Audience(Model):
    """Who gets a type by mail.

    Attributes:
        roles: The roles of the instance's file; empty for nobody.
        nobody: Why the policy mails nobody; required when `roles` is empty.
        told: Types of the same thread; with a thread, exactly those who were sent one of these get the
            mail, and `roles` count only for an event without a thread.
    """

    roles: list[AudienceRole] = []
    nobody: str = ""
    told: list[TypeKey] = []


class Becomes(Model):
    """An event that, when a boolean field is true, is treated as another type."""

    type: TypeKey
    when: FieldKey


class MailWhen(Model):
    """Mail goes out only when an optional field is given; until then the event is recorded."""

    field: FieldKey
    otherwise: Line


class Calendar(Model):
    """Which fields make the window that a mail brings for calendars.

    A mail whose event gives both ends carries it; another has none.

    Attributes:
        start: A field of kind ``datetime``.
        end: A field of kind ``datetime`` that comes after `start`, or of kind ``duration``.
        identity: A field of kind ``text`` that names the window in every event about it; without it, the
            event's thread does.
        cancelled: A field of kind ``boolean``: the window will not take place.
        title: What the calendar shows; text with placeholders, as in a subject. Else the type's title.
        cancelled_subject: The subject of a mail that says that the window will not take place.
        moved_subject: The subject of a mail that says that the window is another time than was announced.
    """

    start: Line
    end: Line
    identity: Line | None = None
    cancelled: Line | None = None
    title: Line | None = None
    cancelled_subject: Line | None = None
    moved_subject: Line | None = None


class MinimumNotice(Model):
    """How long ahead of a field's moment an event must come.

    Attributes:
        field: A field of kind ``datetime`` or ``date``.
        least: A span like ``P5D``.
        otherwise: Whether an event that comes later gets a warning or is refused.
    """

    field: FieldKey
    least: SpanText
    otherwise: Literal["flag", "refuse"] = "flag"


class CommunicationType(Model):
    """What is announced, how it looks and who is told.

    Attributes:
        subject: Text with ``{field}`` placeholders; also ``{instance}`` and ``{service}``.
        template: The name of ``templates/<name>.html.j2`` and ``templates/<name>.txt.j2``.
        optional: Whether a recipient may opt out.
        languages: The languages it is written in; the first is used for everybody else.
        group_by: One mail per instance, or one per person that lists their affected instances.
        thread_subject: Whether later mails of the type in a thread keep the first one's subject, so that mail
            programs show one conversation, or each has its own.
        expires: The field of kind ``datetime`` or ``date`` after which a mail that has not left is of no
            use; it becomes ``expired`` and is not sent. A date lasts until midnight where the reader is.
        expires_after: How long after its event was accepted a mail that has not left is of no use; the
            earlier of both counts.
        calendar: The window that its mails bring for calendars.
        minimum_notice: How long ahead its events must come.
        waits_for_incident: Whether its mail is held for an instance while a major incident affects it; left
            out, that of optional types is.
        opens_incident: Whether its events open, go on with and end a major incident.
        deadline: What is promised, reckoned from severity and plan.
    """

    title: Line
    description: str = ""
    banner: str | None
    audience: Audience
    subject: Line
    template: TemplateName
    fields: dict[FieldKey, FieldSpec]
    lane: Lane = Lane.NORMAL
    optional: bool = False
    languages: Annotated[list[Language], Field(min_length=1)] = list(LANGUAGES)
    on_uncertain: OnUncertain = OnUncertain.RESEND
    group_by: Literal["instance", "person"] = "instance"
    channels: list[Channel] = ["mail", "admin-centre"]
    becomes: Becomes | None = None
    mail_when: MailWhen | None = None
    thread_subject: Literal["keep", "own"] = "own"
    expires: Line | None = None  # of any form: who writes `2d` is to read that it is no field
    expires_after: SpanText | None = None
    calendar: Calendar | None = None
    minimum_notice: MinimumNotice | None = None
    waits_for_incident: bool | None = None
    opens_incident: bool = False
    deadline: Deadline | None = None

    def language_for(self, wanted: str) -> str:
        """The language a reader of `wanted` gets this type in."""
        return wanted if wanted in self.languages else self.languages[0]


class Catalogue(Model):
    """The whole of ``catalogue.yaml``.

    Attributes:
        senders: ``default`` for everybody, ``partners`` for partners of record.
        owners: Who of the service's own people is reminded of what is owed.
        business: Working hours and holidays of each region.
    """

    version: Literal[1]
    service: Service
    owners: list[Owner] = []
    business: dict[Region, BusinessHours] = {}
    senders: dict[Literal["default", "partners"], Sender]
    banners: dict[TypeKey, Banner]
    types: dict[TypeKey, CommunicationType]
    cadences: dict[TypeKey, Cadence] = {}

    def sender(self, key: str) -> Sender:
        """The sender of that key; partners of record have one of their own."""
        return self.senders["partners" if key == "partners" else "default"]

    @property
    def audience_keys(self) -> frozenset[str]:
        """The words that ``only`` and ``except`` of a notification list may use."""
        return frozenset(self.types) | frozenset(self.banners)
