"""An event arrives: it is checked against the catalogue, committed, and a worker is woken.

The commit comes first and the bell after it, so an answer never waits for Redis and never promises what a
crash could take back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Lane
from dispatcher.domain.event import NewEvent
from dispatcher.errors import EventInvalid, Problem
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.check import Check, Submission
from dispatcher.flow.incidents import Books
from dispatcher.flow.notices import NoticeBook
from dispatcher.ledger.events import Added
from dispatcher.ledger.intake import Observer
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.overtaken import withdraw_overtaken
from dispatcher.queue.bell import Bell
from dispatcher.queue.lanes import EVERY

__all__ = ["FEW", "OURS", "Accepted", "Submission", "Submit", "is_ours"]

#: How our own sources begin: plans, decisions, obligations. Nobody else may speak in their names.
OURS = "dispatcher:"
#: So many events get a ring each; more are expanded one after the other by one job a lane.
FEW = 4


def is_ours(source: str) -> bool:
    """Whether a source speaks in our name; it is a URI, and the case of its scheme says nothing."""
    return source.lower().startswith(OURS)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a submission.

    Attributes:
        event: Our id of the event; empty if it tells a step of a plan that is not due any more.
        duplicate: True if the same event had been accepted before; nothing new was made of it.
        woken: False if no worker could be woken; the event is safe and waits for the sweep.
    """

    event: str
    duplicate: bool
    woken: bool


class Submit:
    """Accepts events.

    Attributes:
        check: The event as it may be committed; what it raises, a submission raises.
        observers: Who keep books of what is accepted, in the transaction that commits it.
    """

    def __init__(self, catalogue: Catalogue, recipients: RecipientStore, ledger: Ledger, bell: Bell) -> None:
        self._recipients = recipients
        self._ledger = ledger
        self._bell = bell
        self.check = Check(catalogue, recipients)
        self.observers: list[Observer] = [
            Books(catalogue, recipients, ledger.incidents),
            NoticeBook(catalogue, recipients, ledger).recorded,
            withdraw_overtaken,
        ]

    async def __call__(self, submissions: Sequence[Submission], *, refresh: bool = True) -> list[Accepted]:
        """Accept all of them, or none.

        Args:
            submissions: What is asked for.
            refresh: Whether to look first if a recipient file changed.

        Raises:
            EventInvalid: With every problem of every submission; those of a batch say which one.
            EventConflict: A source and id were used before for something else.
            ServiceUnreachable: The ledger cannot commit.
        """
        if refresh:
            # In a thread: ten thousand files to look at, or a long one to read, hold up nobody else.
            await asyncio.to_thread(self._recipients.refresh)
        events: list[NewEvent] = []
        problems: list[Problem] = []
        now = self._ledger.database.now()
        for number, submission in enumerate(submissions):
            try:
                events.append(await self._checked(submission, now))
            except EventInvalid as error:
                problems += (error.of_batch(number) if len(submissions) > 1 else error).problems
        if problems:
            raise EventInvalid(problems)
        added = await self._ledger.events.add(events, advancer=self.check.advancer, observers=self.observers)
        woken = await self._wake(
            {one.id: event.lane for one, event in zip(added, events, strict=True) if _waits(one, event)}
        )
        return [Accepted(one.id, one.duplicate, woken) for one in added]

    async def _checked(self, submission: Submission, now: datetime) -> NewEvent:
        """The event, if it is right or if it is the repeat of one that was right when it came."""
        try:
            return self.check(submission, now)
        except EventInvalid:
            first = await self._ledger.events.reference(submission.source, submission.id)
            if first is None:
                raise
            return NewEvent(
                source=submission.source,
                external_id=submission.id,
                type=first.type,
                effective_type=first.effective_type,
                lane=first.lane,
                selection=first.selection,
                thread=first.thread,
                fields=first.fields,
                fingerprint=submission.fingerprint,
            )

    async def _wake(self, waiting: Mapping[str, Lane]) -> bool:
        """Ring for the new events: for a few one by one, for many once a lane."""
        if len(waiting) > FEW:
            rings = [(EVERY, lane) for lane in dict.fromkeys(waiting.values())]
        else:
            rings = list(waiting.items())
        return all([await self._bell.ring_expand(event, lane) for event, lane in rings])


def _waits(added: Added, event: NewEvent) -> bool:
    return bool(added.id) and not added.duplicate and not event.record_only
