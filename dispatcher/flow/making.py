"""One event on its way from its readers to the ledger: found, rendered and stored, part after part."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Event
from dispatcher.domain.expiry import too_late
from dispatcher.domain.fields import filled
from dispatcher.domain.notice import Notice
from dispatcher.flow.decide_links import links_of
from dispatcher.flow.draft import Draft, Means
from dispatcher.flow.notices import NoticeBook
from dispatcher.flow.parts import Parts
from dispatcher.flow.past import PastBook
from dispatcher.flow.readers import Facts, Reader, Readers, follows
from dispatcher.ledger.expanding import Expansion
from dispatcher.ledger.ledger import Ledger
from dispatcher.mail.renderer import Renderer
from dispatcher.queue.bell import Bell

#: Parts in which nothing could be rendered that are held back at a time.
TRIED = 4
#: Variants that could not be rendered, after which nobody looks for one that can be.
FAULTY = 1000
#: Notices stored at a time; a few milliseconds.
NOTICES = 500
_NOBODY_NAMED = "nobody is named for this type in the recipient lists"
_NOBODY_TOLD = "nobody was told of an incident in this thread, or about these instances"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What events are expanded with."""

    catalogue: Catalogue
    ledger: Ledger
    renderer: Renderer
    bell: Bell
    clock: Callable[[], datetime]
    readers: Readers
    notices: NoticeBook


class Making:
    """Makes the deliveries of one event, and lets workers have them as soon as a part of them is stored."""

    def __init__(self, tools: Tools, event: Event, facts: Facts, *, links: bool) -> None:
        """Nothing is done before it is called.

        Args:
            tools: What it is done with.
            event: The event.
            facts: What the plans of its instances say where it says nothing itself.
            links: Whether mails are made with links, to opt out and to decide.
        """
        self._tools = tools
        self._event = event
        self._spec = tools.catalogue.types[event.effective_type]
        self._facts = facts
        self._links = links
        self._draft = self._new_draft()
        self._holding = True  # what cannot be rendered, until there is something that can be
        self._past = PastBook(tools.catalogue, tools.ledger, event, facts)
        self._expanding = tools.ledger.expansions.expanding(event.id)

    async def __call__(self, stopping: threading.Event) -> bool:
        """Make and store it all.

        Args:
            stopping: When it is set, no further variant is begun.

        Returns:
            False if nothing of it could be rendered and it is tried again later; True if it is done with, by
            us or by whoever took it over or withdrew it meanwhile.

        Raises:
            StoppedError: It was told to stop; what is not stored is made again.
            ServiceUnreachable: The ledger does not answer.
        """
        readers = await self._tools.readers.of(self._event, self._spec, self._facts)
        parts = Parts(readers.found, self._draft, self._look_back, stopping)
        held: list[Expansion] = []
        coming = aiter(parts)
        async for part in coming:
            held.append(part)
            hopeless = self._holding and self._draft.hopeless
            if hopeless and (parts.over or len(held) >= TRIED):
                if await self._anything(coming):
                    self._draft, self._holding = self._new_draft(), False
                    return await self(stopping)
                await self._leave_for_later()
                return False
            # Nothing is released as long as nothing could be rendered; the last part ends the event.
            if not (hopeless or parts.over):
                for one in held:
                    if not await self._store(one):
                        return True
                held = []
        await self._end(held, readers.warnings)
        return True

    def _new_draft(self) -> Draft:
        tools = self._tools
        return Draft(self._event, Means(tools.catalogue, tools.renderer, tools.clock, self._links))

    async def _anything(self, coming: AsyncIterator[Expansion]) -> bool:
        """Whether anything further on can be rendered; what is looked at is not kept, for it may be much."""
        async for _ in coming:
            if not self._draft.hopeless:
                return True
            if self._draft.faults >= FAULTY:
                break
        return False

    async def _look_back(self, readers: Sequence[Reader]) -> None:
        """Tell the draft what it must know of the readers that come next."""
        tools, event = self._tools, self._event
        self._draft.past = await self._past.of(readers)
        if self._links:
            names = list(dict.fromkeys(one.instances[0].id for one in readers))
            now = tools.clock()
            self._draft.decide = await links_of(tools.catalogue, tools.ledger, event, names, now)

    async def _leave_for_later(self) -> None:
        fault = self._draft.fault
        await self._tools.ledger.expansions.postpone(self._event.id, fault)
        _log.error("event %s cannot be rendered and is tried again: %s", self._event.id, fault)

    async def _store(self, part: Expansion) -> bool:
        """Keep a part and have it sent; False if the event is ours no more."""
        kept = await self._expanding.store(part)
        if kept and part.deliveries:
            await self._tools.bell.ring_deliver(self._event.lane)
        return kept

    async def _end(self, held: Sequence[Expansion], warnings: Sequence[str]) -> None:
        """Store what is held, and the notices; the last of it with what is said of the event as a whole."""
        *before, last = held
        for part in before:
            if not await self._store(part):
                return
        names = await self._tools.notices.shown_about(self._event, self._draft.reached)
        for start in range(0, max(len(names), 1), NOTICES):
            some = names[start : start + NOTICES]
            notices = await self._noticed(some) if some else ()
            part = replace(last if start == 0 else Expansion(last=False), notices=notices)
            if start + NOTICES >= len(names):
                part = self._ended(part, warnings)
            if not await self._store(part):
                return

    async def _noticed(self, names: Sequence[str]) -> Sequence[Notice]:
        return await asyncio.to_thread(self._tools.notices.expanded, self._event, names, self._facts)

    def _ended(self, part: Expansion, warnings: Sequence[str]) -> Expansion:
        """The last part, with what the sender of the event should know."""
        event, draft = self._event, self._draft
        fields = filled(event.fields, next(iter(self._facts.values()), {}))
        late = too_late(self._spec, fields, draft.over, draft.made)
        reason = _NOBODY_TOLD if follows(event, self._spec) else _NOBODY_NAMED
        return replace(part, reason=reason, warnings=[*event.warnings, *warnings, *late], last=True)
