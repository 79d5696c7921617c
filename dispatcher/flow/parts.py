"""An event's deliveries part by part: sending begins at once, and memory does not grow with the readers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import islice

from dispatcher.flow.draft import Draft
from dispatcher.flow.readers import Reader
from dispatcher.ledger.expanding import Expansion

#: Readers of the first part: a little more than a worker claims at a time, so that mail leaves at once.
FIRST = 250
#: Readers of a part at most. Each part has twice as many as the one before it.
MOST = 2000
#: A part with more than one variant for so many readers ends early: a variant takes as long as all of them.
PER_VARIANT = 10


class StoppedError(Exception):
    """The worker is to stop; what is not stored is made again by another."""


class Parts:
    """The parts of one event, in the order in which they are to be stored; at least one.

    Attributes:
        over: Whether the part that came last is the last.
    """

    def __init__(
        self,
        found: Iterator[Reader],
        draft: Draft,
        look_back: Callable[[Sequence[Reader]], Awaitable[None]],
        stopping: threading.Event,
    ) -> None:
        """Nothing is done before the first is asked for.

        Args:
            found: The readers.
            draft: What they are added to.
            look_back: Tells the draft what it must know of readers, before these are added.
            stopping: When it is set, `StoppedError` is raised.
        """
        self._found = found
        self._draft = draft
        self._look_back = look_back
        self._stopping = stopping
        self._ahead: list[Reader] = []
        self.over = False

    async def __aiter__(self) -> AsyncIterator[Expansion]:
        """The parts; finding and rendering go on in a thread, for a variant takes milliseconds."""
        size = FIRST
        while not self.over:
            batch = await asyncio.to_thread(self._find, MOST)
            await self._look_back(batch)
            added, more = 0, True
            while more:
                added, full = await asyncio.to_thread(self._add, batch, added, size)
                more = added < len(batch)
                self.over = not (more or self._ahead)
                if full or self.over:
                    yield self._draft.part()
                    size = min(2 * size, MOST)

    def _find(self, size: int) -> list[Reader]:
        """The next readers; one more is looked for, to know whether these are the last.

        Those who read the same come together: in a file nine languages may alternate, and nothing would
        be there to be sent before all of them are rendered.
        """
        self._go_on()
        found = [*self._ahead, *islice(self._found, size + 1 - len(self._ahead))]
        self._ahead = found[size:]
        return _alike_together(found[:size])

    def _add(self, batch: Sequence[Reader], start: int, size: int) -> tuple[int, bool]:
        """Add readers from that place on until the part is full; where that ended, and whether it is full."""
        for place in range(start, len(batch)):
            self._go_on()
            self._draft.add(batch[place])
            if len(self._draft.deliveries) >= size or len(self._draft.variants) > size // PER_VARIANT:
                return place + 1, True
        return len(batch), False

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise StoppedError


def _alike_together(readers: Sequence[Reader]) -> list[Reader]:
    """The readers by instance, in the order in which these come, and those together who read the same."""
    ranks: dict[str, int] = {}

    def place(reader: Reader) -> tuple[int, str, str, tuple[str, ...], str]:
        to = reader.recipient
        rank = ranks.setdefault(reader.instances[0].id, len(ranks))
        return rank, to.language or "", to.time_zone or "", to.roles, to.sender

    return sorted(readers, key=place)
