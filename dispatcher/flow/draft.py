"""What one event comes to: its content, rendered once per variant, and a delivery for each reader.

A *variant* is what differs between two readers of one event: the instance, the language, the time zone, the
roles that the footer names, the sender and the subject that a thread keeps, and nothing else until a message
is finished for one address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from dispatcher.domain.address import folded
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import NewDelivery, NewVariant
from dispatcher.domain.event import Event
from dispatcher.domain.expiry import expires_at, is_over
from dispatcher.domain.window import Window
from dispatcher.errors import TemplateInvalid
from dispatcher.flow.decide_links import DECIDERS
from dispatcher.flow.overtime import Overtime, at_most
from dispatcher.flow.past import Past
from dispatcher.flow.readers import Reader
from dispatcher.flow.reading import Reading, view_of
from dispatcher.ledger.expanding import Expansion
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
    """

    catalogue: Catalogue
    renderer: Renderer
    clock: Callable[[], datetime]
    links: bool = False


class Draft:
    """What one event comes to, made part by part: `add` readers, take them out with `part`.

    Attributes:
        past: What counts of the past for the readers that are added next.
        decide: By instance, what the links say by which admins decide about it; likewise. See `links_of`.
        variants: The content of this part, in the order in which readers asked for it.
        deliveries: Those of this part.
        faults: How many variants could not be rendered, of all parts; they are kept without content.
        fault: Why the first of these could not.
        rendered: How many variants there were, of all parts.
        made: How many deliveries there were, of all parts.
        over: How many of these were too late before they began.
        reached: The instances that somebody reads of, of all parts.
    """

    def __init__(self, event: Event, means: Means) -> None:
        self._event = event
        self._spec = means.catalogue.types[event.effective_type]
        self._domain = means.catalogue.sender("default").domain
        self._means = means
        self._began = means.clock()
        self._about: tuple[str, ...] = ()
        self._keys: set[str] = set()
        self._ends: dict[str, datetime | None] = {}
        self._last: tuple[str, Content] | None = None
        self._message_ids: list[str] = []
        self.past = Past()
        self.decide: Mapping[str, Mapping[str, str]] = {}
        self.variants: list[NewVariant] = []
        self.deliveries: list[NewDelivery] = []
        self.faults = self.rendered = self.made = self.over = 0
        self.fault = ""
        self.reached: dict[str, None] = {}

    @property
    def hopeless(self) -> bool:
        """Whether nothing could be rendered so far."""
        return 0 < self.rendered == self.faults

    def part(self) -> Expansion:
        """What was added since the last part; the next one begins empty."""
        part = Expansion(
            self.variants, self.deliveries, self._message_ids, self._spec.on_uncertain, last=False
        )
        self.variants, self.deliveries, self._message_ids = [], [], []
        return part

    def add(self, reader: Reader) -> None:
        """A delivery for a reader, and the content if they are the first who reads it."""
        recipient, root, moved = reader.recipient, self.past.root(reader), self._moved_from(reader)
        names = tuple([instance.id for instance in reader.instances])
        self._turn_to(names)
        language, sender = self._spec.language_for(recipient.language), recipient.sender
        parts = (",".join(names), language, recipient.time_zone, "+".join(recipient.roles), sender)
        content = key = "|".join((*parts, "moved") if moved else parts)
        subject = self._kept_subject(root, language)
        if subject:
            key = f"{content}|{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
        if key not in self._keys:
            self._keys.add(key)
            self.rendered += 1
            self.variants.append(self._variant(key, reader, content, subject))
        ends = self._expires_at(reader)
        self.made += 1
        self.over += is_over(ends, self._began)
        self._message_ids.append(_message_id(self._event, names[0], recipient.address, self._domain))
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
                sender=sender,
                expires_at=ends,
                thread_root=root.message_id if root else None,
            )
        )

    def _turn_to(self, names: tuple[str, ...]) -> None:
        """Forget what belongs to another instance; the readers of one follow each other."""
        if names != self._about:
            if names[:1] != self._about[:1]:
                self._keys, self._ends = set(), {}
            self._about = names
            self.reached.update(dict.fromkeys(names))

    def _expires_at(self, reader: Reader) -> datetime | None:
        """When a reader's mail is over: the same for all of an instance who live in one zone."""
        zone = reader.recipient.time_zone
        if zone not in self._ends:
            fields = self.past.fields(self._event, reader)
            self._ends[zone] = expires_at(self._spec, fields, zone, self._event.accepted_at)
        return self._ends[zone]

    def _moved_from(self, reader: Reader) -> Window | None:
        """The window as a reader knows it; who got nothing of the thread reads of the new one alone."""
        if self._event.thread and self.past.root(reader) is None:
            return None
        return self.past.moved_from(reader)

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
            self.faults += 1
            self.fault = self.fault or f"the mail cannot be rendered for {self._about[0]}: {str(error)[:400]}"
            return NewVariant(key, "", b"", f"{self._spec.template}: {str(error)[:300]}")

    def _render(self, reader: Reader) -> Content:
        recipient, means = reader.recipient, self._means
        reading = Reading(
            recipient.language,
            recipient.time_zone,
            recipient.roles,
            recipient.sender,
            means.clock(),
            self.past.entry(reader),
            self._moved_from(reader),
        )
        event = self._event
        fields = self.past.fields(event, reader)
        view = view_of(means.catalogue, event.effective_type, fields, reader.instances, reading)
        optional, decides = means.links and self._spec.optional, self._decides(reader) is not None
        return means.renderer.render(view, unsubscribe=optional, decide=decides)

    def _decides(self, reader: Reader) -> Mapping[str, str] | None:
        """What the link says by which the reader decides; None if they do not."""
        if not DECIDERS & set(reader.recipient.roles):
            return None
        return self.decide.get(reader.instances[0].id)


def _message_id(event: Event, instance: str, address: str, domain: str) -> str:
    """A Message-ID, the same however often the event is expanded."""
    what = "\n".join((event.id, instance, folded(address)))
    return message_id(hashlib.sha256(what.encode()).hexdigest()[:32], domain)
