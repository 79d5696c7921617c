"""``python -m chaos.entry PATH SLOT ARGUMENTS…``: the program, with a fast clock passed in."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from chaos.fastclock import FastClock
from dispatcher.app import open_app
from dispatcher.cli import run
from dispatcher.cli.main import main


def start() -> None:
    """Run ``dispatcher ARGUMENTS…`` by the clock of that file and slot."""
    path, slot = sys.argv[1:3]
    sys.argv[1:3] = []
    vars(run)["open_app"] = partial(open_app, clock=FastClock(Path(path), int(slot)))
    main()


if __name__ == "__main__":
    start()
