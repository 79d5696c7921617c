"""``GET /metrics``: how the service is, for Prometheus (text format 0.0.4).

The numbers are the ledger's, so every process of a fleet tells the same: one target is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from dispatcher.domain.delivery import Lane
from dispatcher.flow.owed import overdue
from dispatcher.flow.status import Report, age, look
from dispatcher.ledger.backlog import Due
from dispatcher.ledger.ledger import Ledger
from dispatcher.queue.bell import Bell
from dispatcher.web.auth import Auth

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_NONE: Final = Due(0, None)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One metric that may rise and fall, with its samples by their labels."""

    name: str
    help: str
    samples: Iterable[tuple[Mapping[str, str], float]]


class Metrics:
    """Tells numbers."""

    def __init__(self, ledger: Ledger, bell: Bell, auth: Auth) -> None:
        self._ledger = ledger
        self._bell = bell
        self._auth = auth

    async def show(self, request: Request) -> Response:
        """Gauges for Prometheus; needs a token with the scope `read`, as everything that tells of mail."""
        await self._auth.require("read", request.headers.raw)
        return Response(written(gauges(await look(self._ledger, self._bell))), media_type=CONTENT_TYPE)


def written(found: Iterable[Gauge]) -> str:
    """Metrics in Prometheus' text format."""
    return "".join(f"{line}\n" for gauge in found for line in _lines(gauge))


def gauges(report: Report) -> Iterator[Gauge]:
    """What a report comes to in numbers."""
    at, due = report.at, {lane: report.backlog.due.get(lane, _NONE) for lane in Lane}
    yield _one("up", "1 while the ledger answers.", 1)
    yield _one("well", "1 while nothing needs attention.", not report.problems)
    yield _one("workers", "Worker processes that are alive.", len(report.workers))
    yield _one("redis_up", "1 while Redis answers.", not report.redis)
    yield _one("relays_shut", "SMTP servers that take nothing.", len(report.shut))
    yield Gauge(
        "deliveries_due",
        "Deliveries that are due, by lane.",
        [({"lane": lane.value}, one.deliveries) for lane, one in due.items()],
    )
    yield Gauge(
        "deliveries_due_oldest_seconds",
        "How long the delivery has waited that has waited longest, by lane.",
        [({"lane": lane.value}, age(one.oldest, at) or 0) for lane, one in due.items()],
    )
    yield Gauge(
        "deliveries_per_second",
        "Messages a second that the SMTP servers took in the last minute, by lane.",
        [({"lane": lane.value}, rate) for lane, rate in report.rates.items()],
    )
    yield _one("deliveries_sending", "Deliveries that are on their way.", report.backlog.sending)
    yield _one("deliveries_later", "Deliveries that wait for a later try.", report.backlog.later)
    yield Gauge(
        "deliveries_trouble",
        "Deliveries by status, of those statuses that may need a person.",
        [({"status": status.value}, count) for status, count in sorted(report.backlog.trouble.items())],
    )
    yield _one("events_waiting", "Events that are to be expanded.", report.backlog.events)
    yield _one("webhooks_waiting", "Messages to upstream that have a next try.", report.webhooks.pending)
    yield _one("webhooks_failed", "Messages to upstream that were given up.", report.webhooks.failed)
    yield from _owed(report)


def _owed(report: Report) -> Iterator[Gauge]:
    late = overdue(report.owed, report.at)
    types = sorted({one.owes for one in report.owed})
    yield _one("incidents_open", "Incidents that are not over.", len(report.extent))
    yield _one("incidents_instances", "Instances that open incidents affect.", sum(report.extent.values()))
    yield Gauge(
        "obligations_owed",
        "Mails that customers are owed, by communication type.",
        [({"type": type_}, sum(one.owes == type_ for one in report.owed)) for type_ in types],
    )
    yield Gauge(
        "obligations_overdue",
        "Of those, the ones that are late.",
        [({"type": type_}, sum(one.owes == type_ for one in late)) for type_ in types],
    )
    longest = age(late[0].due_at, report.at) if late else 0
    yield _one("obligations_overdue_oldest_seconds", "How late the latest of them is.", longest or 0)


def _one(name: str, help_: str, value: int) -> Gauge:
    return Gauge(name, help_, [({}, value)])


def _lines(gauge: Gauge) -> Iterator[str]:
    name = f"dispatcher_{gauge.name}"
    yield f"# HELP {name} {gauge.help}"
    yield f"# TYPE {name} gauge"
    for labels, value in gauge.samples:
        said = ",".join(f'{key}="{word.translate(_ESCAPES)}"' for key, word in labels.items())
        number = round(value, 2)
        yield f"{name}{{{said}}} {number}" if said else f"{name} {number}"
