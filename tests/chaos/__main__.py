"""``make chaos``: the storms that the variables of `chaos.options` ask for, one after the other."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import uvloop

from chaos.options import Options, from_environment
from chaos.report import Report
from chaos.storm import storm


def main() -> int:
    """Run the storms and print their reports; 1 if a promise was broken, 2 for a wrong variable."""
    try:
        wanted = from_environment()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return max([_one(options) for options in wanted], default=0)


def _one(options: Options) -> int:
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    report: Report | None = None
    try:
        report = uvloop.run(storm(options, folder))
        sys.stdout.write(f"{report.text()}\n\n")
        sys.stdout.flush()
    finally:
        if report is None or report.broken:
            if report is not None:
                (folder / "broken.txt").write_text("\n".join(report.broken), encoding="utf-8")
            sys.stderr.write(f"The ledger and the logs of this storm are kept in {folder}.\n")
        else:
            shutil.rmtree(folder)
    return int(bool(report.broken))


if __name__ == "__main__":
    sys.exit(main())
