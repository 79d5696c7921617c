"""The figures of the last run, put into the documentation: a table, the stages, the plot."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.figures import short
from benchmarks.harness.roots import PROJECT

PAGE = PROJECT / "docs" / "performance.md"
PICTURE = PROJECT / "docs" / "images" / "performance.svg"
_VERDICTS = {True: "yes", False: "**no**", None: ""}


def publish(results: Path, part: Path, plot: Path) -> None:
    """Write the last whole run, and the last profile if there is one, between the marks of the page.

    Args:
        results: ``results.json`` of a whole run.
        part: Results of ``--only stages``; may be missing.
        plot: The plot of the whole run.

    Raises:
        SystemExit: There was no such run, or a measurement of it failed.
    """
    if not (results.exists() and plot.exists()):
        raise SystemExit(
            f"there is no whole run to publish: {results} comes from `make bench` without --only"
        )
    found = json.loads(results.read_text(encoding="utf-8"))
    if failed := [name for name, section in found["measurements"].items() if section.get("failure")]:
        raise SystemExit(f"{results.name} is not published: {', '.join(failed)} failed in that run")
    text = replaced(PAGE.read_text(encoding="utf-8"), "figures", figures(found))
    if part.exists():
        whole = json.loads(part.read_text(encoding="utf-8"))
        profiled = whole["measurements"].get("stages")
        if profiled and profiled["rows"]:
            text = replaced(text, "stages", _stages(profiled["rows"], whole["began"][:10], whole["machine"]))
    PAGE.write_text(text, encoding="utf-8")
    shutil.copyfile(plot, PICTURE)


def replaced(page: str, mark: str, block: str) -> str:
    """The page with the block of this mark exchanged.

    Raises:
        ValueError: The page has no such mark.
    """
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no block <!-- {mark} -->")
    return pattern.sub(lambda match: f"{match[1]}{block}\n{match[2]}", page, count=1)


def figures(found: Mapping[str, Any]) -> str:
    """The table of a run in Markdown, after a line that names the machine."""
    machine = found["machine"]
    where = (
        f"Measured on {found['began'][:10]} in {found['seconds']:.0f} s: {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, {machine['disk']}, "
        f"Python {machine['python']}, SQLite {machine['sqlite']}, {', '.join(machine['tools'])}; "
        f"load before {machine['load_before']}, commit {machine['commit'] or 'unknown'}."
    )
    lines = [where, "", "| what | figure | ratio | goal | met |", "|---|---|---|---|---|"]
    for section in found["measurements"].values():
        lines += [_line(row) for row in section["rows"]]
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    ratio = f"{short(row['ratio'])} × {row['against']}" if row["ratio"] is not None else ""
    note = f" ({row['note']})" if row["note"] else ""
    cells = [f"{row['what']}{note}", f"{short(row['figure'])} {row['unit']}", ratio, row["goal"] or ""]
    return f"| {' | '.join(cells)} | {_VERDICTS[row['met']]} |"


def _stages(rows: list[Mapping[str, Any]], day: str, machine: Mapping[str, Any]) -> str:
    where = (
        f"Profiled on {day}: {machine['processor']}, {machine['cores']} cores, commit {machine['commit']}."
    )
    lines = [where, "", "| stage | CPU a message | share |", "|---|---|---|"]
    for row in rows:
        name = row["what"].removeprefix("CPU a message: ")
        lines.append(f"| {name} | {short(row['figure'])} {row['unit']} | {row['note']} |")
    return "\n".join(lines)
