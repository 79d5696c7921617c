"""What a storm prints."""

from __future__ import annotations

import statistics
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from chaos.options import Options
from chaos.verdict import Verdict

#: How many broken promises are shown.
SHOWN = 20
#: Of each lane at most so many deliveries are claimed by a worker at a time, and there are three lanes.
WINDOW, LANES = 200, 3


@dataclass(slots=True)
class Report:
    """All that is known of a storm once it is over.

    Attributes:
        seconds: From the first fault to the calm, and from there until nothing waited any more.
        flow: Messages kept in each tenth of the storm, and after it.
        injected: Faults by kind.
        deeds: What the SMTP server did to messages, by kind.
        recoveries: Kind and seconds of each recovery.
        idle: Faults that met no work that they could have delayed.
        unrecovered: Kinds of faults from which nothing recovered.
        gone: How many workers were killed, stopped or ended.
        lost_answers: Messages that the SMTP server kept without letting the client know.
        cut_sessions: SMTP sessions that faults of the network ended.
        robbed_alive: Rows that were taken over from a worker that was alive all the time.
        doubled_alive: Those of them that were sent twice.
        complaints: What went wrong besides the count: answers, exit codes.
        remarks: What is ugly and breaks no promise.
        waiting: What was not done when the patience ended.
        released: Deliveries that were held as poison and released by hand.
    """

    options: Options
    verdict: Verdict
    seconds: tuple[float, float] = (0.0, 0.0)
    flow: list[int] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    idle: int = 0
    unrecovered: list[str] = field(default_factory=list)
    gone: int = 0
    lost_answers: int = 0
    cut_sessions: int = 0
    robbed_alive: int = 0
    doubled_alive: int = 0
    complaints: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    waiting: int = 0
    released: int = 0

    @property
    def bound(self) -> int:
        """At most so many second copies can have arrived."""
        return self.lost_answers + self.cut_sessions + self.gone * self.per_worker

    @property
    def per_worker(self) -> int:
        """At most so many second copies after one worker went away."""
        return WINDOW * LANES + self.options.connections

    @property
    def broken(self) -> list[str]:
        """Every promise that was broken, with what shows it; empty if all is well."""
        found = [f"{one.promise}: {one.evidence}" for one in self.verdict.broken]
        if self.verdict.duplicates > self.bound:
            found.append(f"at most {self.bound} second copies: there are {self.verdict.duplicates}")
        found += [
            f"at most {self.per_worker} second copies after worker {worker}: there are {number}"
            for worker, number in self.verdict.robbed.items()
            if number > self.per_worker
        ]
        if self.robbed_alive:
            what = f"{self.robbed_alive} were, and {self.doubled_alive} of them were sent twice"
            found.append(f"nothing is taken from a worker that lives: {what}")
        if self.waiting:
            found.append(f"all is done within {self.options.calm_seconds:g} s of calm: {self.waiting} wait")
        found += [f"recovery by itself: never after {kind}" for kind in self.unrecovered]
        return found + self.complaints

    def text(self) -> str:
        """The report for people."""
        verdict, broken = self.verdict, self.broken
        *tenths, late = self.flow or [0]
        flow = " ".join(map(str, tenths))
        lines = [
            self._head(),
            _line("accepted events", verdict.events, f"answers: {_counted(self.answers)}"),
            _line("deliveries", verdict.deliveries, _counted(verdict.statuses)),
            _line("messages kept", verdict.kept, f"by tenths of the storm {flow}, and {late} after it"),
            _line("missing", verdict.missing, f"must be 0; {verdict.hollow} of them `sent` in the ledger"),
            _line("duplicates", verdict.duplicates, self._doubling()),
            _line("unmarked", verdict.unflagged, "must be 0: duplicates that the ledger does not mark"),
            _line("released by hand", self.released, "they were held as poison"),
            _line("faults", self.injected.total(), _counted(self.injected)),
            _line("mishaps in SMTP", self.deeds.total(), _counted(self.deeds)),
            *self._recovery(),
            *(f"  remark: {remark}" for remark in self.remarks),
            self._again(),
            f"  BROKEN PROMISES: {len(broken)}" if broken else "  Every promise was kept.",
        ]
        return "\n".join(lines + [f"    - {one}" for one in broken[:SHOWN]])

    def _head(self) -> str:
        storm, calm = self.seconds
        return (
            f"Storm on {self.options.database}: {storm:.0f} s of faults, {self.options.workers} workers; "
            f"then {calm:.0f} s until nothing waited"
        )

    def _again(self) -> str:
        return (
            f"  Again with CHAOS_SEED={self.options.seed}: the same faults at the same times, and the same "
            "mishap to each try of each message."
        )

    def _doubling(self) -> str:
        most = max(self.verdict.robbed.values(), default=0)
        return (
            f"at most {self.bound}: {self.lost_answers} messages kept without an answer, {self.cut_sessions} "
            f"sessions cut, {self.gone} workers gone with {self.per_worker} each (the worst left {most}). "
            f"They followed {_counted(self.verdict.doubts) or 'nothing'}"
        )

    def _recovery(self) -> list[str]:
        by_kind: dict[str, list[float]] = defaultdict(list)
        for kind, seconds in self.recoveries:
            by_kind[kind].append(seconds)
        every = _percentiles([seconds for _, seconds in self.recoveries])
        how = (
            f"{every}; {self.idle} more met no work. From an outage's end to the next outcome, from the "
            "signal to a worker until nothing is `sending` under it, from the kill of the intake until it "
            "answers"
        )
        lines = [_line("recoveries", len(self.recoveries), how)]
        return lines + [
            f"    {kind:<16} {len(values):>7}  {_percentiles(values)}"
            for kind, values in sorted(by_kind.items())
        ]


def _line(name: str, number: int, more: str = "") -> str:
    text = f"  {name:<18} {number:>7}  {more}".rstrip()
    return textwrap.fill(text, 110, subsequent_indent=" " * 29, break_on_hyphens=False)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counter.items()))


def _percentiles(values: Sequence[float]) -> str:
    if not values:
        return "none"
    # With one value there is nothing to interpolate between.
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    return f"p50 {cuts[49]:.1f} s, p99 {cuts[98]:.1f} s"
