"""What a sender is told of an event about many instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dispatcher.errors import Problem

#: Refusals and warnings of one event that are told; an event about thousands of instances may have as many.
TOLD = 20


def apart(overtaken: Mapping[str, str]) -> Iterator[Problem]:
    """That one event cannot be told to some instances and be kept from others."""
    for name, reason in list(overtaken.items())[:TOLD]:
        fix = "send it for the others alone"
        yield Problem("instances", f"at {name} it counts no more: {reason}", fix, "instances")


def first_of(problems: Sequence[Problem]) -> Sequence[Problem]:
    """The first of many problems, and how many there are."""
    if len(problems) <= TOLD:
        return problems
    rest = Problem("instances", f"{len(problems) - TOLD} more are refused", "correct them all", "instances")
    return [*problems[:TOLD], rest]


def shortened(warnings: Sequence[str]) -> tuple[str, ...]:
    """Each warning once; of many the first, and how many there are."""
    unique = list(dict.fromkeys(warnings))
    more = [f"{len(unique) - TOLD} more warnings; `dispatcher plan list` has them"]
    return tuple(unique if len(unique) <= TOLD else unique[:TOLD] + more)
