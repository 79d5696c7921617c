"""``dispatcher status``: whether all is well, and if not, what needs attention."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import typer

from dispatcher.app import redis_url
from dispatcher.cli import output
from dispatcher.cli.choices import Json
from dispatcher.cli.inspect import with_ledger
from dispatcher.cli.main import cli, settings_of
from dispatcher.domain.delivery import Lane
from dispatcher.flow.owed import overdue
from dispatcher.flow.plans_ahead import ahead_facts
from dispatcher.flow.spans import number
from dispatcher.flow.status import Report, age, look, status_json
from dispatcher.ledger.backlog import Due
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.workers import Heartbeat
from dispatcher.queue.bell import Bell

#: Something needs a person, though the command itself did what it was asked.
EXIT_ATTENTION = 1
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


@cli.command(epilog="Example: dispatcher status --json")
def status(ctx: typer.Context, json: Json = False) -> None:
    """Say whether all is well, what waits and how fast it leaves; exit 1 if something needs attention."""
    settings = settings_of(ctx)

    async def work(ledger: Ledger) -> None:
        bell = Bell(redis_url(settings), token=secrets.token_hex)
        try:
            report = await look(ledger, bell)
        finally:
            await bell.close()
        if json:
            output.print_json(status_json(report))
        else:
            _show(report)
        if report.problems:
            raise typer.Exit(EXIT_ATTENTION)

    with_ledger(ctx, work)


def _show(report: Report) -> None:
    for line in report.problems or ["All is well."]:
        output.show(line)
    output.show("")
    output.show_table(("LANE", "DUE", "OLDEST DUE", "WAITS", "JOBS", "RATE", "LEFT"), _lanes(report))
    output.show("")
    for line in _facts(report):
        output.show(line)
    if report.backlog.trouble:
        output.show("")
        rows = (
            (status.value, f"{count:,}", f"dispatcher deliveries --status {status}")
            for status, count in sorted(report.backlog.trouble.items())
        )
        output.show_table(("STATUS", "DELIVERIES", "LISTED BY"), rows)
    if report.workers:
        output.show("")
        columns = ("WORKER", "HOST", "PID", "VERSION", "STARTED", "SEEN", "REFUSED", "SMTP SERVER")
        output.show_table(columns, map(_worker, report.workers))


def _lanes(report: Report) -> Iterator[tuple[str, ...]]:
    for lane in Lane:
        due = report.backlog.due.get(lane, Due(0, None))
        waits = span(age(due.oldest, report.at))
        jobs = str(report.jobs.get(lane, "?"))
        pace = rate(report.rates[lane]), span(report.left(lane))
        yield (lane.value, f"{due.deliveries:,}", output.moment(due.oldest), waits, jobs, *pace)


def _facts(report: Report) -> Iterator[str]:
    backlog = report.backlog
    waits = span(age(backlog.oldest_event, report.at))
    oldest = f"; the oldest came in at {output.moment(backlog.oldest_event)}, {waits} ago" if waits else ""
    begun = f" ({len(backlog.begun):,} begun)" if backlog.begun else ""
    yield f"To be expanded: {number(backlog.events, 'event')}{begun}{oldest}"
    yield f"On their way: {number(backlog.sending, 'delivery', 'deliveries')}"
    due = f"; the next is due at {output.moment(backlog.next_try_at)}" if backlog.next_try_at else ""
    yield f"For a later try: {number(backlog.later, 'delivery', 'deliveries')}{due}"
    if report.extent:
        affected = number(sum(report.extent.values()), "instance")
        yield f"Open incidents: {', '.join(sorted(report.extent))}; {affected} affected"
    if report.owed:
        late = len(overdue(report.owed, report.at))
        first = output.moment(report.owed[0].due_at)
        told = f"{late:,} overdue, see above" if late else f"the next by {first}"
        yield f"Owed to customers: {number(len(report.owed), 'mail')}; {told}"
    yield from ahead_facts(report.ahead)
    if report.webhooks.pending:
        oldest = output.moment(report.webhooks.oldest)
        yield f"To be told to upstream: {number(report.webhooks.pending, 'message')}; the oldest of {oldest}"
    away = "away, see above" if report.workers else report.redis
    yield f"Redis: {away if report.redis else 'answers'}"


def _worker(worker: Heartbeat) -> tuple[str, ...]:
    relay = worker.relay or {}
    circuit = f"circuit {relay['circuit']}" if relay.get("circuit") else ""
    return (
        worker.id,
        worker.host,
        str(worker.pid),
        worker.version,
        output.moment(worker.started_at),
        output.moment(worker.seen_at),
        str(worker.stale),
        ", ".join(filter(None, (str(relay.get("address", "")), circuit))),
    )


def rate(messages: float) -> str:
    """Messages a second: ``1,204/s``, ``0.4/s``; nothing for none."""
    if not messages:
        return ""
    return f"{messages:,.0f}/s" if messages >= 10 else f"{max(0.1, messages):.1f}/s"


def span(seconds: int | None) -> str:
    """A length of time in its two largest units: ``2 h 5 min``; nothing for None."""
    if seconds is None:
        return ""
    parts = []
    for unit, length in _UNITS:
        whole, seconds = divmod(seconds, length)
        if whole:
            parts.append(f"{whole} {unit}")
    return " ".join(parts[:2]) or "0 s"
