"""The table on the screen, and ``results.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.harness.figures import Row, Section, short

#: Rises when a reader of the file must read it otherwise.
SCHEMA = 1
_VERDICTS = {True: Text("met", "green"), False: Text("not met", "red"), None: Text("")}


def as_json(
    sections: Mapping[str, Section], machine: Mapping[str, Any], options: Mapping[str, Any], began: str
) -> dict[str, Any]:
    """The whole run as plain JSON.

    Args:
        sections: What each measurement came to.
        machine: From `benchmarks.harness.machine.describe`.
        options: The sizes of this run.
        began: When it began, in ISO 8601.
    """
    return {
        "schema": SCHEMA,
        "began": began,
        "seconds": round(sum(section.seconds for section in sections.values()), 1),
        "machine": dict(machine),
        "options": dict(options),
        "measurements": {name: section.as_json() for name, section in sections.items()},
    }


def problems(results: Mapping[str, Any]) -> list[str]:
    """What is wrong with the form of a run's JSON; empty if nothing is."""
    found = [f"{key} is missing" for key in ("began", "machine", "options") if not results.get(key)]
    if results.get("schema") != SCHEMA:
        found.append(f"schema is {results.get('schema')!r}, not {SCHEMA}")
    keys = {"what", "figure", "unit", "baseline", "against", "ratio", "goal", "met", "note"}
    for name, section in results.get("measurements", {}).items():
        for row in section.get("rows", []):
            found += [f"{name}: {row.get('what')}: {key} is missing" for key in sorted(keys - row.keys())]
    return found


def table(sections: Mapping[str, Section]) -> Table:
    """All rows; a section's rows stand together."""
    shown = Table(box=None, pad_edge=False, header_style="bold", row_styles=[""])
    shown.add_column("MEASURED", overflow="fold", ratio=4)
    for name in ("FIGURE", "RATIO", "GOAL", ""):
        shown.add_column(name, justify="left" if not name else "right", no_wrap=True)
    shown.add_column("NOTE", overflow="fold", ratio=3, style="dim")
    for name, section in sections.items():
        if not section.rows and not section.failure:
            continue
        shown.add_row(Text(name, "bold"))
        for row in section.rows:
            shown.add_row(*_cells(row))
        if section.failure:
            shown.add_row(Text(f"  failed: {section.failure}", "red"))
    return shown


def _cells(row: Row) -> tuple[str | Text, ...]:
    ratio = f"{short(row.ratio)} ×" if row.ratio is not None else ""
    goal = row.goal.text(row.unit) if row.goal else ""
    note = "; ".join(part for part in (row.against and f"× {row.against}", row.note) if part)
    return (f"  {row.what}", f"{short(row.figure)} {row.unit}", ratio, goal, _VERDICTS[row.met], note)


def show(sections: Mapping[str, Section], machine: Mapping[str, Any]) -> None:
    """Print everything."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=180)
    console.print(table(sections))
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
        f"{machine['disk']}, Python {machine['python']}, SQLite {machine['sqlite']}, "
        f"{', '.join(machine['tools'])}; load before: {machine['load_before']}",
        style="dim",
    )
