"""An accepted event becomes deliveries: its audience is resolved and its content rendered."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.delivery import Lane
from dispatcher.domain.event import Event, EventStatus
from dispatcher.domain.retry import GIVE_UP
from dispatcher.errors import ServiceUnreachable
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.advance import Advancer
from dispatcher.flow.making import Making, Tools
from dispatcher.flow.notices import NoticeBook
from dispatcher.flow.parts import StoppedError
from dispatcher.flow.readers import Facts, Readers, follows
from dispatcher.ledger.ledger import Ledger
from dispatcher.mail.renderer import Renderer
from dispatcher.queue.bell import Bell
from dispatcher.queue.lanes import EVERY

#: How long others leave an event to whoever began to expand it; renewed while that goes on.
LEASE = timedelta(seconds=30)
#: How long an event leaves to what came earlier in its thread before it looks again.
SOON = timedelta(seconds=3)
#: How long an instance is waited for that was known where the event was accepted: lists may be on their way
#: to this machine. After that the event goes to the others, with a warning.
PATIENCE = timedelta(minutes=2)
#: Waiting events read at a time.
_TOGETHER = 100
#: Of these, those that are expanded side by side; about so many instances at most.
LOT = 25

_log = logging.getLogger(__name__)


class Expand:
    """Makes deliveries of accepted events.

    Attributes:
        worker: The id of the worker that it works for; empty if there is none.
        links: Whether mails of optional types are made with a link to opt out.
        gone: The workers that are known to have gone away.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        recipients: RecipientStore,
        ledger: Ledger,
        renderer: Renderer,
        bell: Bell,
        clock: Callable[[], datetime],
    ) -> None:
        self._catalogue = catalogue
        self._recipients = recipients
        self._ledger = ledger
        self._clock = clock
        self._advancer = Advancer(catalogue, recipients)
        self._tools = Tools(
            catalogue,
            ledger,
            renderer,
            bell,
            clock,
            Readers(recipients, ledger, clock, catalogue.owners),
            NoticeBook(catalogue, recipients, ledger),
        )
        self._stopping = threading.Event()
        self._expanding_all = False
        self.worker = ""
        self.links = False
        self.gone: Callable[[], Collection[str]] = frozenset

    def stop(self) -> None:
        """Begin no further variant; what is not stored is made again by another worker."""
        self._stopping.set()

    async def __call__(self, event_id: str) -> None:
        """Expand one event, or all that wait for `EVERY`; doing it again changes nothing.

        Raises:
            NotFound: There is no such event.
            ServiceUnreachable: The ledger cannot commit; the sweep tries again.
        """
        if event_id != EVERY:
            with suppress(StoppedError):
                await self._expand(await self._ledger.events.get(event_id))
        elif not self._expanding_all:
            self._expanding_all = True
            try:
                with suppress(StoppedError):
                    await self._all()
            finally:
                self._expanding_all = False

    async def _all(self) -> None:
        """Expand what waits, until nothing does or nothing can be."""
        while waiting := await self._ledger.events.unexpanded(_TOGETHER):
            done = False
            for lot in _lots(waiting):
                done = any(await self._expand_lot(lot)) or done
            if not done:
                return

    async def _expand_lot(self, lot: Sequence[Event]) -> Sequence[bool]:
        """Expand events side by side, so that what they write goes together; which were ours to do."""
        ours = await self._begin(lot)
        making = [asyncio.create_task(self._begun_or_tell(event)) for event in lot if event.id in ours]
        try:
            return await asyncio.gather(*making)
        finally:
            for task in making:
                task.cancel()
            await asyncio.gather(*making, return_exceptions=True)  # each lets go of its event

    async def _expand_or_tell(self, event: Event) -> bool:
        """Expand the event; what goes wrong with it is no matter for those behind it."""
        return bool(await self._begin([event])) and await self._begun_or_tell(event)

    async def _begun_or_tell(self, event: Event) -> bool:
        try:
            return await self._begun(event)
        except (ServiceUnreachable, StoppedError):
            raise
        except Exception:  # noqa: BLE001 - one event must never stop the others
            _log.exception("event %s cannot be expanded; it is tried again", event.id)
            return False

    async def _expand(self, event: Event) -> bool:
        """Expand the event unless somebody else is at it; whether it was ours to do."""
        return bool(await self._begin([event])) and await self._begun(event)

    async def _begin(self, events: Sequence[Event]) -> Collection[str]:
        """Those of the events that are ours to expand now, by the lists as they are now."""
        wanted = [event.id for event in events if event.status is EventStatus.ACCEPTED]
        if not wanted:
            return ()
        await asyncio.to_thread(self._recipients.refresh)  # ten thousand files take a tenth of a second
        return await self._ledger.expansions.begin_all(wanted, LEASE, self.worker, self.gone())

    async def _begun(self, event: Event) -> bool:
        holding = asyncio.create_task(self._hold(event.id))
        try:
            return await self._make(event)
        except (asyncio.CancelledError, StoppedError):
            with suppress(ServiceUnreachable):
                await self._ledger.expansions.let_go(event.id)
            raise
        except ServiceUnreachable:
            raise
        except Exception as error:
            with suppress(ServiceUnreachable):  # what is left of the lease is the pause before the next try
                await self._ledger.expansions.postpone(event.id, f"{type(error).__name__} in a worker")
            raise
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    async def _hold(self, event_id: str) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            with suppress(ServiceUnreachable):
                await self._ledger.expansions.extend(event_id, LEASE)

    async def _make(self, event: Event) -> bool:
        spec = self._catalogue.types.get(event.effective_type)
        if spec is None or (unknown := _unknown(event, spec)):
            lacking = f"type {event.effective_type}" if spec is None else unknown
            return await self._wait_for_catalogue(event, lacking)
        if follows(event, spec) and not await self._caught_up(event, spec):
            await self._ledger.expansions.postpone(event.id, "waits for what came before in its thread", SOON)
            return False
        if event.thread:
            await self._expand_earlier(event)
        if (missing := self._missing(event)) and self._clock() - event.accepted_at < PATIENCE:
            reason = f"this worker does not know {missing}; put the same recipient lists on every machine"
            await self._ledger.expansions.postpone(event.id, reason)
            return False
        facts = await self._facts(event)
        return await Making(self._tools, event, facts, links=self.links)(self._stopping)

    async def _facts(self, event: Event) -> Facts:
        """What the plans of the event's instances say where it says nothing itself."""
        if not self._advancer.concerns(event.effective_type, event.fields):
            return {}
        return await self._ledger.plans.of_event(event.id)

    async def _wait_for_catalogue(self, event: Event, lacking: str) -> bool:
        """Leave the event to a worker that has a newer catalogue; there was one that accepted it."""
        what = f"{lacking} is not in the catalogue that this worker read when it started"
        if self._clock() - event.accepted_at < GIVE_UP:
            await self._ledger.expansions.postpone(event.id, f"{what}; restart it")
            return False
        await self._ledger.expansions.fail(event.id, what)
        return True

    def _missing(self, event: Event) -> str:
        """Instances that the event names and the lists here do not have, though whoever accepted it had."""
        if event.selection.kind != "instances":
            return ""
        known = self._recipients.ids()
        return ", ".join(f"instance {name}" for name in event.selection.values if name not in known)

    async def _caught_up(self, event: Event, spec: CommunicationType) -> bool:
        """Whether all that came earlier in the thread is expanded; what is not, is now, if it can be."""
        for earlier in await self._ledger.events.unexpanded_in(event.thread or "", spec.audience.told):
            await self._expand(earlier)
        return not await self._ledger.events.unexpanded_in(event.thread or "", spec.audience.told)

    async def _expand_earlier(self, event: Event) -> None:
        """Expand what came before in the thread, so that it begins there; wait for none of it."""
        lanes = list(Lane)
        for earlier in await self._ledger.events.unexpanded_before(event.thread or "", event.id):
            # Ten thousand mails that are less urgent would be waited for.
            if lanes.index(earlier.lane) <= lanes.index(event.lane):
                await self._expand_or_tell(earlier)


def _lots(events: Iterable[Event]) -> Iterator[Sequence[Event]]:
    """Those that may be expanded side by side, in their order: no two are about the same, and all are small.

    What is said of one instance, or in one thread, is told in the order in which it was accepted.
    """
    lot: list[Event] = []
    about: set[str] = set()
    for event in events:
        names = set(event.selection.values)
        alone = event.thread is not None or event.selection.kind != "instances" or len(names) > LOT
        if lot and (alone or len(lot) == LOT or len(about) > LOT or about & names):
            yield lot
            lot, about = [], set()
        if alone:
            yield [event]
        else:
            lot.append(event)
            about |= names
    if lot:
        yield lot


def _unknown(event: Event, spec: CommunicationType) -> str:
    """A field that the event has and its type here has not; what it says, that the work is off, counts.

    An event that became another type says more than that type shows; that is how it was accepted.
    """
    if event.type != event.effective_type:
        return ""
    fields = sorted(set(event.fields) - set(spec.fields))
    return f"field {fields[0]} of type {event.type}" if fields else ""
