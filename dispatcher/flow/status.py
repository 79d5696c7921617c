"""How the service is, from what the ledger and Redis say: what waits, since when, and what is in the way."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from dispatcher.domain.circuit import State
from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.incident import Obligation
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.owed import owed_json, owed_problems
from dispatcher.flow.plans_ahead import NOTHING_AHEAD, Ahead, ahead_json, ahead_problems, look_ahead
from dispatcher.flow.present import moment_json
from dispatcher.flow.spans import number, since
from dispatcher.flow.told import told_json, told_problems
from dispatcher.flow.waits import slow
from dispatcher.ledger.backlog import Backlog, Due
from dispatcher.ledger.deliveries import Filter
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.webhooks import Waiting
from dispatcher.ledger.workers import ALIVE_WITHIN, Heartbeat
from dispatcher.queue.bell import Bell

#: A worker that is not alive any more is remembered for so long.
REMEMBERED = timedelta(days=1)
_NONE_DUE = Due(0, None)
NOBODY_WAITS = Waiting(0, None, 0)


@dataclass(frozen=True, slots=True)
class Shut:
    """An SMTP server whose circuit is not closed.

    Attributes:
        address: ``host:port``.
        since: Since when it takes nothing, or None if nobody said.
        why: What happened last; may be empty.
        workers: How many of the live workers say so.
    """

    address: str
    since: datetime | None
    why: str
    workers: int


@dataclass(frozen=True, slots=True)
class Report:
    """How the service is.

    Attributes:
        at: The moment.
        backlog: What waits.
        poison: Deliveries that were set aside because each worker that had them went away.
        workers: The live ones, in the order in which they started.
        last_seen: When a worker reported last, or None.
        jobs: How many jobs wait in Redis, by lane; empty while it cannot be had.
        redis: Why Redis cannot be had, fit for a user; empty while it can.
        owed: What customers are owed for incidents, what is late first.
        extent: How many instances each open incident affects.
        webhooks: What upstream has not been told yet.
        ahead: What is planned.
    """

    at: datetime
    backlog: Backlog
    poison: int
    workers: Sequence[Heartbeat]
    last_seen: datetime | None
    jobs: Mapping[Lane, int]
    redis: str
    owed: Sequence[Obligation] = ()
    extent: Mapping[str, int] = field(default_factory=dict)
    webhooks: Waiting = NOBODY_WAITS
    ahead: Ahead = NOTHING_AHEAD

    @property
    def shut(self) -> Sequence[Shut]:
        """The SMTP servers that take nothing, as the live workers see it."""
        return shut(self.workers, waiting=self.waiting)

    @property
    def waiting(self) -> bool:
        """Whether anything is due or on its way."""
        return bool(self.due or self.backlog.events or self.backlog.sending)

    @property
    def due(self) -> int:
        """Deliveries that are due, in all lanes."""
        return sum(lane.deliveries for lane in self.backlog.due.values())

    @property
    def rates(self) -> Mapping[Lane, float]:
        """Messages a second that the SMTP servers took in the last minute, by lane; all live workers'."""
        said = [(worker.relay or {}).get("rates", {}) for worker in self.workers]
        return {lane: sum(float(rates.get(lane.value, 0.0)) for rates in said) for lane in Lane}

    def left(self, lane: Lane) -> int | None:
        """Whole seconds until what is due in a lane has left at that rate; None if nothing is, or leaves."""
        due, rate = self.backlog.due.get(lane, _NONE_DUE).deliveries, self.rates[lane]
        return math.ceil(due / rate) if due and rate else None

    @property
    def oldest_due(self) -> datetime | None:
        """Since when the delivery waits that has waited longest, or None."""
        return min((lane.oldest for lane in self.backlog.due.values() if lane.oldest), default=None)

    @property
    def problems(self) -> Sequence[str]:
        """What needs attention, worst first, a sentence each; empty if all is well."""
        return [f"{problem}." for problem in _problems(self)]


async def look(ledger: Ledger, bell: Bell) -> Report:
    """How the service is at this moment.

    Raises:
        ServiceUnreachable: The ledger cannot be had; without Redis there is a report all the same.
    """
    now = ledger.database.now()
    seen, backlog, held, (owed, extent), (webhooks, ahead), (jobs, redis) = await asyncio.gather(
        ledger.workers.alive(REMEMBERED),
        ledger.backlog.look(),
        ledger.backlog.shares(Filter(status=Status.HELD)),
        asyncio.gather(ledger.obligations.owed(), ledger.incidents.extent()),
        asyncio.gather(ledger.webhooks.waiting(), look_ahead(ledger)),
        _jobs(bell),
    )
    return Report(
        at=now,
        backlog=backlog,
        poison=sum(share.poison for share in held),
        workers=[worker for worker in seen if worker.seen_at >= now - ALIVE_WITHIN],
        last_seen=max((worker.seen_at for worker in seen), default=None),
        jobs=jobs,
        redis=redis,
        owed=owed,
        extent=extent,
        webhooks=webhooks,
        ahead=ahead,
    )


async def _jobs(bell: Bell) -> tuple[Mapping[Lane, int], str]:
    try:
        return {lane: await bell.depth(lane) for lane in Lane}, ""
    except ServiceUnreachable as error:
        return {}, str(error)


def shut(workers: Sequence[Heartbeat], *, waiting: bool) -> Sequence[Shut]:
    """The SMTP servers that take nothing, each once, by their addresses.

    Args:
        workers: The live ones.
        waiting: Whether mail waits. If none does, nobody tries a half-open circuit, and how the server is
            by now is not known.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for worker in workers:
        if worker.relay and _is_shut(worker.relay, waiting=waiting):
            found.setdefault(str(worker.relay.get("address", "")), []).append(worker.relay)
    return [_shut(address, said) for address, said in sorted(found.items())]


def _is_shut(relay: Mapping[str, Any], *, waiting: bool) -> bool:
    circuit = relay.get("circuit")
    return circuit == State.OPEN or (waiting and circuit == State.HALF_OPEN)


def _shut(address: str, said: Sequence[Mapping[str, Any]]) -> Shut:
    moments = [datetime.fromisoformat(one["since"]) for one in said if one.get("since")]
    why = next((str(one["why"]) for one in said if one.get("why")), "")
    return Shut(address, min(moments, default=None), why.removeprefix(f"{address}: ").rstrip("."), len(said))


def relay_word(workers: Sequence[Heartbeat], *, waiting: bool) -> Literal["ok", "open", "unknown"]:
    """Whether mail can leave: ``open`` if every live worker's circuit is, ``unknown`` if none says."""
    relays = [worker.relay for worker in workers if worker.relay]
    if not relays:
        return "unknown"
    every = len(relays) == len(workers) and all(_is_shut(relay, waiting=waiting) for relay in relays)
    return "open" if every else "ok"


def takes_nothing(server: Shut, now: datetime) -> str:
    """That an SMTP server takes nothing, since when and why; a sentence without its full stop."""
    when = f" since {since(server.since, now)}" if server.since else ""
    return f"The SMTP server {server.address} takes nothing{when}{f': {server.why}' if server.why else ''}"


def _problems(report: Report) -> Iterator[str]:
    if not report.workers:
        yield _no_worker(report)
    for server in report.shut:
        some = f" (says {server.workers} of {len(report.workers)} workers)"
        yield takes_nothing(server, report.at) + (some if server.workers < len(report.workers) else "")
    yield from owed_problems(report.owed, report.at)
    yield from told_problems(report.webhooks, report.at)
    if report.workers:
        yield from ahead_problems(report.ahead, report.at)
    if report.workers and relay_word(report.workers, waiting=report.waiting) != "open":
        yield from slow(report.backlog, report.rates, report.at)
    if report.redis and report.workers:
        yield f"{report.redis.rstrip('.')}. Mail goes on without it, seconds later"
    if report.poison:
        held = number(report.poison, "delivery is", "deliveries are")
        over = "it" if report.poison == 1 else "each"
        yield f"{held} set aside: three workers ended over {over}. See `dispatcher deliveries --status held`"


def _no_worker(report: Report) -> str:
    """That nobody works, and what waits for it."""
    oldest = min(filter(None, (report.oldest_due, report.backlog.oldest_event)), default=None)
    waiting = [number(report.due, "delivery", "deliveries")] if report.due else []
    waiting += [number(report.backlog.events, "event")] if report.backlog.events else []
    verb = "waits" if report.due + report.backlog.events == 1 else "wait"
    what = (
        f"{' and '.join(waiting)} {verb} since {since(oldest, report.at)}" if oldest else "nothing waits yet"
    )
    last = f" (the last was seen at {since(report.last_seen, report.at)})" if report.last_seen else ""
    return f"No worker is alive{last}; {what}. Start one, with DISPATCHER_SMTP_URL set: dispatcher up"


def status_json(report: Report) -> dict[str, Any]:
    """The report as JSON values; moments are ISO 8601 in UTC, ages whole seconds."""
    backlog = report.backlog
    return {
        "well": not report.problems,
        "problems": list(report.problems),
        "at": moment_json(report.at),
        "lanes": {lane.value: _lane_json(report, lane) for lane in Lane},
        "events": {
            "waiting": backlog.events,
            "begun": len(backlog.begun),
            "oldest_at": moment_json(backlog.oldest_event),
            "oldest_seconds": age(backlog.oldest_event, report.at),
        },
        "sending": backlog.sending,
        "later": {"deliveries": backlog.later, "next_try_at": moment_json(backlog.next_try_at)},
        "trouble": {status.value: count for status, count in sorted(backlog.trouble.items())},
        "poison": report.poison,
        **owed_json(report.owed, report.extent, report.at),
        **told_json(report.webhooks),
        **ahead_json(report.ahead),
        "redis": {"reachable": not report.redis, "trouble": report.redis},
        "workers": [_worker_json(worker) for worker in report.workers],
    }


def _lane_json(report: Report, lane: Lane) -> dict[str, Any]:
    due = report.backlog.due.get(lane, _NONE_DUE)
    return {
        "due": due.deliveries,
        "oldest_due_at": moment_json(due.oldest),
        "oldest_due_seconds": age(due.oldest, report.at),
        "jobs": report.jobs.get(lane),
        "per_second": round(report.rates[lane], 2),
        "left_seconds": report.left(lane),
    }


def _worker_json(worker: Heartbeat) -> dict[str, Any]:
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "started_at": moment_json(worker.started_at),
        "seen_at": moment_json(worker.seen_at),
        "stale": worker.stale,
        "relay": None if worker.relay is None else dict(worker.relay),
    }


def age(moment: datetime | None, now: datetime) -> int | None:
    """How many whole seconds ago that was, at least 0; None stays None."""
    return None if moment is None else max(0, int((now - moment).total_seconds()))
