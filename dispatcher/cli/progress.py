"""How far a long send is: a bar on a terminal, a line now and then where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from dispatcher.cli import output
from dispatcher.cli.status import rate, span
from dispatcher.domain.pace import Pace

#: Seconds between two lines where nobody watches: a log of an hour's send stays readable.
LINE_SECONDS = 10.0
_WORD = "Sending"
#: Columns of a terminal that there must be for a count of millions, for rate and time left, for the bar.
_FOR_COUNT, _FOR_FIGURES, _FOR_BAR = 24, 42, 56


class Shown(Protocol):
    """What tells how far it is."""

    def update(self, total: int, ended: int) -> None:
        """So many of so many are done; a `total` of 0 is not known yet."""

    def warn(self, text: str) -> None:
        """Say something beside it."""


@contextmanager
def shown(*, quiet: bool, monotonic: Callable[[], float] = time.monotonic) -> Iterator[Shown]:
    """Tell on standard error, as long as the block lasts; of the bar nothing is left then.

    Args:
        quiet: Whether to tell nothing but warnings.
        monotonic: Seconds that only ever rise.
    """
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield _Silent()
    elif console.is_terminal and not console.is_dumb_terminal:
        with Progress(*_columns(console.width), console=console, transient=True) as progress:
            yield _Bar(progress)
    else:
        yield _Lines(monotonic)


def _columns(width: int) -> Iterable[ProgressColumn]:
    """What there is room for: a figure is whole or not there, and the bar gives way before any does."""
    whole = Column(no_wrap=True)
    if width < _FOR_COUNT:
        return [TaskProgressColumn(table_column=whole)]
    if width < _FOR_FIGURES:
        return [_Count(whole)]
    figures = [_Count(whole), _Rate(whole), TimeRemainingColumn(table_column=whole)]
    if width < _FOR_BAR:
        return figures
    return [TextColumn(_WORD, table_column=whole), BarColumn(), *figures]


class _Silent:
    def update(self, total: int, ended: int) -> None:
        pass

    def warn(self, text: str) -> None:
        output.warn(text)


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task(_WORD, total=None)

    def update(self, total: int, ended: int) -> None:
        self._progress.update(self._task, total=total or None, completed=ended)

    def warn(self, text: str) -> None:
        self._progress.console.print(Text(f"Warning: {text}", style="yellow"), soft_wrap=True)


class _Count(ProgressColumn):
    """``12,000 of 100,000``."""

    def render(self, task: Task) -> Text:
        return Text(_count(task.total, task.completed))


class _Rate(ProgressColumn):
    """``1,530/s``."""

    def render(self, task: Task) -> Text:
        return Text(rate(task.speed or 0.0))


@dataclass
class _Lines:
    monotonic: Callable[[], float]

    def __post_init__(self) -> None:
        self._pace = Pace[str](self.monotonic)
        self._pace.read({})
        self._said_at = self.monotonic()

    def update(self, total: int, ended: int) -> None:
        if self.monotonic() < self._said_at + LINE_SECONDS:
            return
        self._said_at = self.monotonic()
        speed = self._pace.read({_WORD: ended}).get(_WORD, 0.0)
        left = f"{span(round((total - ended) / speed))} left" if speed and total else ""
        said = filter(None, (_count(total, ended), rate(speed), left))
        output.say(f"{_WORD}: {', '.join(said) or 'nothing yet'}")

    def warn(self, text: str) -> None:
        output.warn(text)


def _count(total: float | None, ended: float) -> str:
    return f"{ended:,.0f} of {total:,.0f}" if total else ""
