"""Waiting for what becomes of an event, and telling how far it is meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dispatcher.app import App
from dispatcher.cli.progress import shown
from dispatcher.domain.delivery import FINAL, Status
from dispatcher.domain.event import Event, EventStatus
from dispatcher.flow.spans import number
from dispatcher.flow.status import relay_word, shut, takes_nothing
from dispatcher.ledger.deliveries import Filter
from dispatcher.ledger.progress import Progress, Watching
from dispatcher.ledger.workers import ALIVE_WITHIN

#: Seconds between two looks: at first, and once it takes longer than `SHORT_SECONDS`.
POLL_SECONDS, LATER_POLL_SECONDS = 0.1, 0.5
SHORT_SECONDS = 3.0
#: So few deliveries are counted at every look.
FEW = 2_000
#: How long a worker may take to show itself before we say that none is running.
WORKER_SECONDS = 10.0
#: How long the SMTP server may take nothing before we wait no longer: it is tried every few seconds at first.
RELAY_SECONDS = 5.0
RELAY_POLL_SECONDS = 0.5
_NO_WORKER = "no worker is running. The event is safe and goes out once one does: dispatcher up"


@dataclass(frozen=True, slots=True)
class Waited:
    """What waiting came to.

    Attributes:
        done: Whether nothing more will happen to any delivery by itself.
        failed: How many deliveries failed.
        unreachable: Whether it is a service that keeps the rest from going out.
        why: Why it is not done; empty if it is.
    """

    done: bool
    failed: int = 0
    unreachable: bool = False
    why: str = ""


async def wait_for(app: App, event_id: str, timeout: float, *, quiet: bool) -> Waited:  # noqa: ASYNC109 - the user's own
    """Wait until every delivery of an event has its outcome, is put off, or the time is up.

    Args:
        app: The open application.
        event_id: The event.
        timeout: Seconds to wait at most.
        quiet: Whether to leave out how far it is.
    """
    began = time.monotonic()
    watching = Watching(app.ledger.database, event_id)
    with shown(quiet=quiet) as show:
        relays = _Relays(app, show.warn)
        while True:
            looked = time.monotonic()
            now = await watching.look()
            event = await app.ledger.events.get(event_id) if _near_its_end(now) else None
            total, ended = (now.total, now.begun) if event is None else _counted(event)
            show.update(total, ended)
            seconds = time.monotonic() - began
            waited = await _verdict(app, now, event, seconds)
            if waited is None and await relays.given_up(seconds):
                waited = relays.verdict(await app.ledger.events.get(event_id))
            if waited is None and seconds >= timeout:
                waited = await _out_of_time(app, total - ended)
            if waited is not None:
                return waited
            await asyncio.sleep(_pause(seconds, time.monotonic() - looked))


def _near_its_end(now: Progress) -> bool:
    """Whether to count what stands where: not while there are many, and many of them wait."""
    return now.total <= FEW or (now.status is not EventStatus.ACCEPTED and now.waiting <= FEW)


def _counted(event: Event) -> tuple[int, int]:
    """How many deliveries an event has, and how many of them have their outcome."""
    counts = event.counts
    return sum(counts.values()), sum(count for status, count in counts.items() if status in FINAL)


def _pause(seconds: float, took: float) -> float:
    """Seconds until the next look: whoever has waited for long can wait, and a slow ledger is spared."""
    return max(POLL_SECONDS if seconds < SHORT_SECONDS else LATER_POLL_SECONDS, 10 * took)


class _Relays:
    """Notices that the SMTP server takes nothing, and says so once, so that nobody waits for nothing."""

    def __init__(self, app: App, say: Callable[[str], None]) -> None:
        self._app, self._say = app, say
        self._looked = float("-inf")
        self._shut_at: float | None = None
        self._why = ""

    async def given_up(self, seconds: float) -> bool:
        """Whether nobody should wait for it any longer, after so many seconds of waiting."""
        if seconds - self._looked >= RELAY_POLL_SECONDS:
            self._looked = seconds
            await self._look(seconds)
        return self._shut_at is not None and seconds - self._shut_at >= RELAY_SECONDS

    def verdict(self, event: Event) -> Waited:
        """What is to be said of an event then."""
        left = sum(count for status, count in event.counts.items() if status not in FINAL)
        waits = "The event waits and goes"
        if left:
            waits = number(left, "delivery waits and goes", "deliveries wait and go")
        why = f"{self._why}. {waits} out once it does"
        return Waited(False, event.counts.get(Status.FAILED, 0), unreachable=True, why=why)

    async def _look(self, seconds: float) -> None:
        workers = await self._app.ledger.workers.alive(ALIVE_WITHIN)
        if relay_word(workers, waiting=True) != "open":
            self._shut_at = None
            return
        first = not self._why
        self._why = takes_nothing(shut(workers, waiting=True)[0], self._app.clock())
        if self._shut_at is None:
            self._shut_at = seconds
        if first:
            self._say(f"{self._why}. The mail is safe and goes out once it does; waiting a little.")


async def _out_of_time(app: App, left: int) -> Waited:
    workers = await app.ledger.workers.alive(ALIVE_WITHIN)
    if not workers:
        return Waited(False, unreachable=True, why=_NO_WORKER)
    if relay_word(workers, waiting=True) == "open":
        server = takes_nothing(shut(workers, waiting=True)[0], app.clock())
        return Waited(False, unreachable=True, why=f"{server}. What is left goes out once it does")
    some = number(left, "delivery is", "deliveries are") if left else "some deliveries are"
    return Waited(False, why=f"{some} still on their way")


async def _verdict(app: App, now: Progress, event: Event | None, seconds: float) -> Waited | None:
    """What can be said now; None while there is still something to wait for."""
    if now.status in {EventStatus.RECORDED, EventStatus.FAILED}:
        failed = now.status is EventStatus.FAILED
        return Waited(done=True, failed=int(failed))
    if event is not None and event.status is EventStatus.EXPANDED:
        counts = event.counts
        if all(status in FINAL for status in counts):
            return Waited(done=True, failed=counts.get(Status.FAILED, 0) + counts.get(Status.HELD, 0))
        if all(status in FINAL | {Status.DEFERRED, Status.UNCERTAIN} for status in counts):
            return await _put_off(app, event, counts)
    if now.status is EventStatus.ACCEPTED and now.reason:
        return Waited(False, why=f"the event waits: {now.reason}")
    if seconds > WORKER_SECONDS and not await app.ledger.workers.alive(ALIVE_WITHIN):
        return Waited(False, unreachable=True, why=_NO_WORKER)
    return None


async def _put_off(app: App, event: Event, counts: Mapping[Status, int]) -> Waited:
    """What is left was put off; waiting on would be waiting for minutes or hours."""
    left = [
        delivery
        for status in (Status.DEFERRED, Status.UNCERTAIN)
        for delivery in await app.ledger.deliveries.list(
            Filter(event=event.id, status=status), limit=100, with_attempts=True
        )
    ]
    last = [delivery.attempts[-1] for delivery in left if delivery.attempts]
    unreachable = bool(last) and all(attempt.reason == "relay_unreachable" for attempt in last)
    due = min((delivery.next_try_at for delivery in left if delivery.next_try_at), default=None)
    when = f"; next try at {due:%H:%M:%S} UTC" if due else ""
    reply = f" ({last[0].reply})" if last else ""
    waits = number(
        sum(count for status, count in counts.items() if status not in FINAL), "delivery is", "deliveries are"
    )
    what = "the SMTP server cannot be reached, so " if unreachable else ""
    why = f"{what}{waits} put off{reply}{when}. `dispatcher explain {event.id}` tells more."
    return Waited(False, failed=counts.get(Status.FAILED, 0), unreachable=unreachable, why=why)
