"""How far a send is, on a terminal and where there is none."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress

from dispatcher.cli.progress import _columns, shown


class Watch:
    """Monotonic seconds that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """Every ten seconds, with count, rate and time left; a short send leaves no line."""
    watch = Watch()
    with shown(quiet=False, monotonic=watch) as show:
        for total, ended in ((0, 0), (100_000, 2_000), (100_000, 20_000), (100_000, 30_000)):
            watch.now += 6
            show.update(total, ended)
        told = capsys.readouterr()

    assert told.err.splitlines() == [
        "Sending: 2,000 of 100,000, 167/s, 9 min 48 s left",
        "Sending: 30,000 of 100,000, 1,250/s, 56 s left",
    ]
    assert told.out == ""


def test_before_anything_is_made_a_line_says_only_that(capsys: pytest.CaptureFixture[str]) -> None:
    """No count, no rate and no end are made up."""
    watch = Watch()
    with shown(quiet=False, monotonic=watch) as show:
        watch.now += 10
        show.update(0, 0)

    assert capsys.readouterr().err == "Sending: nothing yet\n"


def test_the_quiet_are_only_warned(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` nothing is said of how far it is."""
    watch = Watch()
    with shown(quiet=True, monotonic=watch) as show:
        watch.now += 60
        show.update(100, 50)
        show.warn("the server takes nothing")

    assert capsys.readouterr().err == "Warning: the server takes nothing\n"


@pytest.mark.parametrize(
    ("width", "told"),
    [(20, "2%"), (40, "18,750 of 1,000,000"), (50, "18,750 of 1,000,000  -:--:--")],
)
def test_a_narrow_terminal_has_fewer_figures_and_each_whole(width: int, told: str) -> None:
    """What there is no room for is left out, one thing after the other; nothing is cut or wrapped."""
    assert bar(width) == told


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_wide_terminal_has_a_bar(width: int) -> None:
    """It takes what the figures leave."""
    line = bar(width)

    assert line.startswith("Sending ")
    assert line.endswith(" 18,750 of 1,000,000  -:--:--")
    assert len(line) <= width


def bar(width: int) -> str:
    """What a terminal of so many columns shows; it is one line."""
    console = Console(file=StringIO(), force_terminal=True, width=width, color_system=None)
    progress = Progress(*_columns(width), console=console)
    progress.add_task("", total=1_000_000, completed=18_750)
    with console.capture() as captured:
        console.print(progress)
    [line] = captured.get().splitlines()
    return line.strip()
