"""What a measurement gives: rows for the table, and the raw figures behind them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal


class Mismatch(Exception):  # noqa: N818 - as the errors of the program, it is named for what is wrong
    """What the sink took, what the ledger says and what should have been sent are not the same."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure, or its ratio, is held to.

    Attributes:
        bound: The limit.
        kind: Whether it must be reached or not exceeded.
        of: Whether the figure or its ratio to the baseline is meant.
    """

    bound: float
    kind: Literal["at least", "at most"] = "at least"
    of: Literal["figure", "ratio"] = "figure"

    def met(self, value: float) -> bool:
        """Whether `value` keeps it."""
        return value >= self.bound if self.kind == "at least" else value <= self.bound

    def text(self, unit: str) -> str:
        """As the table shows it."""
        sign = "≥" if self.kind == "at least" else "≤"
        return f"{sign} {self.bound:g} ×" if self.of == "ratio" else f"{sign} {short(self.bound)} {unit}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was measured, with its size.
        figure: The figure.
        unit: Its unit.
        baseline: What it is compared with, in the same unit and the same run; None if with nothing.
        against: What that is.
        goal: What it is held to, if anything.
        note: What a reader must know to read it rightly.
    """

    what: str
    figure: float
    unit: str
    baseline: float | None = None
    against: str = ""
    goal: Goal | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The figure over its baseline."""
        return self.figure / self.baseline if self.baseline else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none, or nothing to compare with."""
        value = self.figure if self.goal is None or self.goal.of == "figure" else self.ratio
        return None if self.goal is None or value is None else self.goal.met(value)

    def as_json(self) -> dict[str, Any]:
        """All of it, ratio and verdict too."""
        goal = self.goal.text(self.unit) if self.goal else None
        return asdict(self) | {"goal": goal, "ratio": self.ratio, "met": self.met}


@dataclass(slots=True)
class Section:
    """All that one measurement came to.

    Attributes:
        rows: For the table.
        data: Raw figures, for the plot and for whoever wants to look closer; plain JSON.
        seconds: How long it took.
        failure: Why it came to nothing, if it failed.
    """

    rows: list[Row] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    failure: str = ""

    def as_json(self) -> dict[str, Any]:
        """As ``results.json`` keeps it."""
        found: dict[str, Any] = {
            "rows": [row.as_json() for row in self.rows],
            "data": self.data,
            "seconds": round(self.seconds, 1),
        }
        return found | ({"failure": self.failure} if self.failure else {})


def short(value: float) -> str:
    """A figure with as many digits as mean something: three, or all before the point."""
    size = abs(value)
    digits = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:,.{digits}f}"
