"""What one event comes to: its content, rendered once per variant, and a delivery for each reader.

A *variant* is what differs between two readers of one event: the instance, the language, the time zone, the
roles that the footer names, the sender and the subject that a thread keeps, and nothing else until a message
is finished for one address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from dispatcher.domain.address import folded
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import NewDelivery, NewVariant
from dispatcher.domain.event import Event
from dispatcher.domain.expiry import expires_at
from dispatcher.domain.window import Window
from dispatcher.errors import TemplateInvalid
from dispatcher.flow.decide_links import DECIDERS
from dispatcher.flow.overtime import Overtime, at_most
from dispatcher.flow.past import Past
from dispatcher.flow.readers import Reader
from dispatcher.flow.reading import Reading, view_of
from dispatcher.ledger.threads import Root
from dispatcher.mail.content import Content
from dispatcher.mail.message import list_headers, message_id, seal
from dispatcher.mail.renderer import Renderer

#: Seconds of work that one variant may cost; it takes milliseconds. A template that loops for ever, written
#: after the last `check`, must not take the worker along.
RENDER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Means:
    """What drafts are made with.

    Attributes:
        links: Whether mails of optional types are made with a link to opt out.
        decide: By instance, what the links say by which admins decide about it; see `links_of`.
    """

    catalogue: Catalogue
    renderer: Renderer
    clock: Callable[[], datetime]
    links: bool = False
    decide: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Draft:
    """What one event comes to, as far as its readers were added.

    Attributes:
        faults: Why variants cannot be rendered; they are kept without content.
    """

    def __init__(self, event: Event, past: Past, means: Means) -> None:
        self._event = event
        self._spec = means.catalogue.types[event.effective_type]
        self._past = past
        self._means = means
        self._variants: dict[str, NewVariant] = {}
        self._last: tuple[str, Content] | None = None
        self.deliveries: list[NewDelivery] = []
        self.faults: list[str] = []

    @property
    def variants(self) -> list[NewVariant]:
        """The content, in the order in which readers asked for it."""
        return list(self._variants.values())

    @property
    def message_ids(self) -> list[str]:
        """A Message-ID for each delivery, the same however often the event is expanded."""
        domain = self._means.catalogue.sender("default").domain
        return [_message_id(self._event, delivery, domain) for delivery in self.deliveries]

    def add(self, reader: Reader) -> None:
        """A delivery for a reader, and the content if they are the first who reads it."""
        recipient, root, moved = reader.recipient, self._past.root(reader), self._moved_from(reader)
        names = tuple(instance.id for instance in reader.instances)
        language = self._spec.language_for(recipient.language)
        parts = (",".join(names), language, recipient.time_zone, "+".join(recipient.roles), recipient.sender)
        content = key = "|".join((*parts, "moved") if moved else parts)
        subject = self._kept_subject(root, language)
        if subject:
            key = f"{content}|{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
        if key not in self._variants:
            self._variants[key] = self._variant(key, reader, content, subject)
        self.deliveries.append(
            NewDelivery(
                instance=names[0],
                instances=names,
                address=recipient.address,
                name=recipient.name,
                language=language,
                time_zone=recipient.time_zone,
                reasons=recipient.reasons,
                variant=key,
                sender=recipient.sender,
                expires_at=expires_at(
                    self._spec,
                    self._past.fields(self._event, reader),
                    recipient.time_zone,
                    self._event.accepted_at,
                ),
                thread_root=root.message_id if root else None,
            )
        )

    def _moved_from(self, reader: Reader) -> Window | None:
        """The window as a reader knows it; who got nothing of the thread reads of the new one alone."""
        if self._event.thread and self._past.root(reader) is None:
            return None
        return self._past.moved_from(reader)

    def _kept_subject(self, root: Root | None, language: str) -> str:
        """The subject that a thread keeps for a reader, or nothing if the mail has its own.

        Mail programs show one conversation where the subject stays the same. What ends a thread must be
        seen in the list, and so must a date that moves: the type says whether its subject may stay.
        """
        kept = (self._event.effective_type, language)
        if root is None or self._spec.thread_subject == "own" or (root.type, root.language) != kept:
            return ""
        return root.subject

    def _variant(self, key: str, reader: Reader, content: str, subject: str) -> NewVariant:
        """The content for one kind of reader; empty where it cannot be rendered, so others get theirs."""
        try:
            # The readers of an instance follow each other; more than one would cost memory, not time.
            if self._last is None or self._last[0] != content:
                with at_most(RENDER_SECONDS):
                    self._last = (content, self._render(reader))
            read = self._last[1]
            read = replace(read, subject=subject) if subject else read
            domain = self._means.catalogue.sender(reader.recipient.sender).domain
            headers = list_headers(self._event.effective_type, read.language, domain)
            sealed = seal(read, headers=headers, decide=self._decides(reader))
            return NewVariant(key, read.subject, sealed, read.template)
        except (TemplateInvalid, ValueError, Overtime) as error:
            instance = reader.instances[0].id
            self.faults.append(f"the mail cannot be rendered for {instance}: {str(error)[:400]}")
            return NewVariant(key, "", b"", f"{self._spec.template}: {str(error)[:300]}")

    def _render(self, reader: Reader) -> Content:
        recipient, means = reader.recipient, self._means
        reading = Reading(
            recipient.language,
            recipient.time_zone,
            recipient.roles,
            recipient.sender,
            means.clock(),
            self._past.entry(reader),
            self._moved_from(reader),
        )
        event = self._event
        fields = self._past.fields(event, reader)
        view = view_of(means.catalogue, event.effective_type, fields, reader.instances, reading)
        optional, decides = means.links and self._spec.optional, self._decides(reader) is not None
        return means.renderer.render(view, unsubscribe=optional, decide=decides)

    def _decides(self, reader: Reader) -> Mapping[str, str] | None:
        """What the link says by which the reader decides; None if they do not."""
        if not DECIDERS & set(reader.recipient.roles):
            return None
        return self._means.decide.get(reader.instances[0].id)


def _message_id(event: Event, delivery: NewDelivery, domain: str) -> str:
    what = "\n".join((event.id, delivery.instance, folded(delivery.address)))
    return message_id(hashlib.sha256(what.encode()).hexdigest()[:32], domain)
