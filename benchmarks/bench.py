"""What all measurements of one run share: sizes, a folder, and runs that several of them read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.measure.runs import Plan, Run


@dataclass(frozen=True, slots=True)
class Options:
    """The sizes of a run; `benchmarks.__main__` says what each is for."""

    recipients: int = 100_000
    postgres: int = 20_000
    peers: int = 1_000
    events: int = 2_000
    small: int = 1_500
    idle: int = 100
    files: int = 10_000
    million: bool = False
    only: tuple[str, ...] = ()


@dataclass(slots=True)
class Bench:
    """One run of the bench.

    Attributes:
        options: The sizes.
        folder: For everything that is written; gone at the end.
        runs: Runs of one event to a crowd, by their plans: done once, read by several measurements.
        figures: Figures of one measurement that others compare with: messages per second, bytes.
    """

    options: Options
    folder: Path
    runs: dict[Plan, Run] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    _number: int = 0

    @contextmanager
    def place(self, name: str) -> Iterator[Path]:
        """A new folder, removed at the end of the block; the sink, which is somebody else, may enter it."""
        self._number += 1
        folder = self.folder / f"{self._number}-{name}"
        folder.mkdir()
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
