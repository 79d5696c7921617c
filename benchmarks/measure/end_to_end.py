"""One event to a crowd in 9 languages and 20 time zones, against the recipe, peers and a C load generator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.harness import roots, sinks
from benchmarks.harness.figures import Goal, Row, Section
from benchmarks.measure.runs import Plan, crowd, mail_size
from benchmarks.peers import django_project, recipe, smtp_source

#: Settings of arq at which the processor, not arq, is the limit of the recipe.
_JOBS, _POLL = 100, 0.01
#: What must be known where we are compared with it.
_SESSIONS = "over 12 sessions; 4 of our 16 are kept for urgent mail"


def peers(bench: Bench) -> Section:
    """Messages per second of others, into the same kind of sink."""
    section = Section()
    number, size = bench.options.peers, mail_size(bench)
    with bench.place("peers") as folder, sinks.fastest(folder) as sink:
        roots.lay_out(folder / "root")
        few = max(50, number // 10)

        def add(key: str, what: str, measure: Callable[[], float | None], note: str = "") -> None:
            found = measure()
            if found is not None:
                bench.figures[key] = section.data[key] = found
                section.rows.append(Row(what, found, "messages/s", note=note))

        add(
            "smtp-source",
            f"smtp-source -d -s {smtp_source.SESSIONS}, {size:,.0f} bytes each",
            lambda: smtp_source.rate(sink, max(10_000, number * 20), size),
            f"C, makes and remembers nothing; into {sink.name}",
        )
        add(
            "recipe",
            f"the recipe: arq, one job a recipient, {number:,}",
            lambda: recipe.rate(folder, sink, number, jobs=_JOBS, poll=_POLL),
            f"two processes, max_jobs {_JOBS}, poll_delay {_POLL} s",
        )
        add(
            "recipe, arq's defaults",
            f"the recipe, {few:,}",
            lambda: recipe.rate(folder, sink, few),
            "two processes, arq's defaults",
        )
        add("post_office", f"django-post_office, {number:,}", _django("post_office", folder, sink, number))
        add("django_mailer", f"django-mailer, {number:,}", _django("django_mailer", folder, sink, number))
    section.data["mail_bytes"] = size
    return section


def _django(peer: str, folder: Path, sink: sinks.Sink, number: int) -> Callable[[], float]:
    return lambda: django_project.rate(peer, folder, sink, number)


def end_to_end(bench: Bench) -> Section:
    """Event to last 250 with two workers, on SQLite and on PostgreSQL."""
    section = Section()
    number = bench.options.recipients
    plan = Plan(number)
    run = crowd(bench, plan)
    what = f"one event, {number:,} recipients, two workers, SQLite"
    section.rows += [
        _compared(bench, what, run.rate, "recipe", 25.0),
        _compared(bench, what, run.rate, "smtp-source", 0.6, _SESSIONS),
        _compared(bench, what, run.rate, "post_office"),
        _compared(bench, what, run.rate, "django_mailer"),
        Row("accepted → first 250 of it", run.first * 1000, "ms", note="seen by a look every 5 ms"),
        Row("CPU of all its processes a message", run.cpu / number * 1e6, "us"),
    ]
    if bench.options.postgres:
        for database, name in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
            run = crowd(bench, Plan(bench.options.postgres, database=database))
            what = f"the same with {run.recipients:,} on {name}"
            section.rows.append(_compared(bench, what, run.rate, "recipe"))
    return section


def _compared(
    bench: Bench, what: str, rate: float, peer: str, bound: float | None = None, note: str = ""
) -> Row:
    baseline = bench.figures.get(peer)
    goal = Goal(bound, of="ratio") if bound else None
    note = note if baseline else f"{peer} was not measured in this run"
    return Row(what, rate, "messages/s", baseline, peer if baseline else "", goal, note)
