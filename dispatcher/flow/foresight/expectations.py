"""Whether what lies ahead is what the policy's owner expects, and where not, the difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dispatcher.files.policy_file import Expected, PolicyTest
from dispatcher.flow.foresight.outlook import Fate, Row, row_json

_LISTS = ("channels", "to")
_TOLD = (Fate.WOULD_SEND.value, Fate.RECORDED.value)


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that does not hold.

    Attributes:
        line: Of the file.
        difference: What was wanted and what is, line by line.
    """

    line: int
    test: PolicyTest
    difference: tuple[str, ...]


def judge(test: PolicyTest, rows: Sequence[Row]) -> Iterator[Failure]:
    """The expectations of a test that the rows of its day do not meet."""
    plain = [row_json(row) for row in rows]
    for expected in test.expected:
        if difference := tuple(_difference(expected, plain)):
            yield Failure(expected.line, test, difference)


def _difference(expected: Expected, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    wanted = _folded(expected.wanted)
    if expected.none:
        for row in rows:
            if row["status"] == Fate.WOULD_SEND and not _misses(wanted, row):
                yield f"+ {_shown(row)}"
        return
    # Unless it asks for what was skipped or refused, an expectation is about what is told.
    about = [row for row in rows if "status" in wanted or row["status"] in _TOLD]
    ranked = sorted(about or rows, key=lambda row: _distance(wanted, row))
    if about and not _misses(wanted, ranked[0]):
        return
    if not ranked:
        yield f"- {_shown(expected.wanted)}"
        yield "+ nothing at all"
        return
    nearest = ranked[0]
    for key, value in expected.wanted.items():
        if key not in _misses(wanted, nearest):
            yield f"  {key}: {_text(value)}"
            continue
        yield f"- {key}: {_text(value)}"
        yield f"+ {key}: {_text(nearest[key])}"
    if not about:
        yield f"+ status: {nearest['status']}, because {nearest['reason']}"
    others = len(rows) - 1
    yield f"  the nearest is {_shown(nearest)}{f', of {others + 1}' if others else ''}"


def _distance(wanted: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[bool, bool, int]:
    """How far a row is from what is wanted: another type is furthest, then another instance."""
    missed = _misses(wanted, row)
    return "type" in missed, "instance" in missed, len(missed)


def _misses(wanted: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    there = _folded(row)
    return [key for key, value in wanted.items() if there.get(key) != value]


def _folded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as sets, addresses without regard to case."""
    return {
        key: frozenset(str(one).lower() for one in value) if key in _LISTS else value
        for key, value in values.items()
    }


def _text(value: Any) -> str:
    return ", ".join(sorted(map(str, value))) or "nobody" if isinstance(value, list) else str(value)


def _shown(row: Mapping[str, Any]) -> str:
    parts = [str(row[key]) for key in ("instance", "type", "step", "status") if row.get(key)]
    people = f" to {_text(row['to'])}" if row.get("to") else ""
    return f"{' '.join(parts)}{people}"
