"""Whether what lies ahead is what the policy's owner expects, and where not, the difference."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from dispatcher.domain.words import Channel
from dispatcher.errors import Problem
from dispatcher.files.policy_file import LISTS, Expected, PolicyFile, PolicyTest
from dispatcher.files.validation import meant
from dispatcher.flow.foresight.outlook import Fate, Row, row_json
from dispatcher.flow.foresight.rules import Rules

#: So many words of a kind are listed where none is near.
_LISTED = 30
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


def expects(expectations: PolicyFile, row: Row) -> bool:
    """Whether a test of a file asks for a row of that status and type, on whichever day."""
    wanted = [one.wanted for test in expectations.tests for one in test.expected]
    return any(one.get("status") == row.status and one.get("type", row.type) == row.type for one in wanted)


def strangers(name: str, tests: Sequence[PolicyTest], rules: Rules) -> Iterator[Problem]:
    """The words of a file that no row could ever have, so that no slip passes for an expectation that holds.

    Args:
        name: The file's, as problems name it.
        tests: What it expects.
        rules: The catalogue and the instances that it is held against.
    """
    cadences = rules.catalogue.cadences
    there: dict[str, Collection[str]] = {
        "instance": rules.recipients.ids(),
        "type": rules.catalogue.types,
        "status": [fate.value for fate in Fate],
        "channels": get_args(Channel),
        "cadence": cadences,
    }
    for expected in (one for test in tests for one in test.expected):
        of = [cadences[one] for one in cadences if expected.wanted.get("cadence", one) == one]
        known = {**there, "step": {step for cadence in of for step in cadence.steps}}
        for key, value in expected.wanted.items():
            for word in value if isinstance(value, list) else [value]:
                text = str(word).lower() if key in LISTS else str(word)
                # An empty word asks for a row that has none.
                if text and text not in known.get(key, (text,)):
                    yield _stranger(f"{name}:{expected.line}", key, str(word), known[key])


def _stranger(where: str, key: str, word: str, known: Collection[str]) -> Problem:
    many = f"there are {len(known)} of them" if len(known) > _LISTED else ""
    what = f"{word[:80]!r} is no {key.removesuffix('s') if key in LISTS else key} that there is"
    return Problem(where, what, meant(word, known, otherwise=many), key)


def _difference(expected: Expected, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    wanted = _folded(expected.wanted)
    if expected.none:
        yield from (f"+ {_shown(row)}" for row in rows if _breaks(wanted, row))
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
            yield f"  {key}: {_text(key, value)}"
            continue
        yield f"- {key}: {_text(key, value)}"
        yield f"+ {key}: {_text(key, nearest[key])}"
    if not about:
        yield f"+ status: {nearest['status']}, because {nearest['reason']}"
    others = len(rows) - 1
    yield f"  the nearest is {_shown(nearest)}{f', of {others + 1}' if others else ''}"


def _breaks(wanted: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a row is what was not to be: a mail, or whatever status or channel the expectation names."""
    if "status" not in wanted and row["status"] != Fate.WOULD_SEND:
        return False
    if not (row["to"] or "status" in wanted or "channels" in wanted):
        return False
    there = _folded(row)
    # Who is to get nothing gets nothing together with others either.
    return all(
        there[key] & value if key in LISTS and value else there[key] == value for key, value in wanted.items()
    )


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
        key: frozenset(str(one).lower() for one in value) if key in LISTS else value
        for key, value in values.items()
    }


def _text(key: str, value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    return ", ".join(sorted(map(str, value))) or ("nobody" if key == "to" else "none")


def _shown(row: Mapping[str, Any]) -> str:
    parts = [str(row[key]) for key in ("instance", "type", "step", "status") if row.get(key)]
    people = f" to {_text('to', row['to'])}" if row.get("to") else ""
    channels = f" on {_text('channels', row['channels'])}" if row.get("channels") else ""
    return f"{' '.join(parts)}{people}{channels}"
