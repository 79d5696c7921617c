"""What commands print: data on standard output, words about it on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Nobody cuts lines for a file or a pipe, so nothing is folded or shortened there.
_UNBOUNDED = 1_000


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _UNBOUNDED
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=not stream.isatty())


def print_json(value: Any) -> None:
    """Print JSON, indented."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


class JsonRows:
    """A JSON list printed row by row, so that a million rows need no more memory than one."""

    def __init__(self) -> None:
        self._separator = "\n  "
        sys.stdout.write("[")

    def add(self, row: Any) -> None:
        """Print one row."""
        sys.stdout.write(self._separator + orjson.dumps(row).decode())
        self._separator = ",\n  "

    def close(self) -> None:
        """End the list."""
        sys.stdout.write("\n]\n" if self._separator.startswith(",") else "]\n")


def say(text: str) -> None:
    """Words for a person, on standard error, so that data on standard output stays clean."""
    _console(stderr=True).print(Text(text))


def warn(text: str) -> None:
    """A warning for a person."""
    _console(stderr=True).print(Text(f"Warning: {text}", style="yellow"))


def fail(text: str) -> None:
    """An error for a person."""
    _console(stderr=True).print(Text(text, style="red"))


def mute_outages() -> None:
    """Let the log say nothing of a Redis that is away; what its user should know of it, the command says."""
    logging.getLogger("dispatcher.queue.outage").setLevel(logging.ERROR)


def show(text: str) -> None:
    """Data or a story for a person, on standard output."""
    _console(stderr=False).print(Text(text))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table on standard output."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console(stderr=False).print(table)


def moment(value: datetime | None) -> str:
    """A moment as tables show it, in UTC."""
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}Z"
