"""Which instances an event is about, checked against the recipient lists."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from dispatcher.domain.catalogue import CommunicationType
from dispatcher.domain.event import Selection
from dispatcher.errors import Problem
from dispatcher.files.recipient_store import RecipientStore

#: Unknown instances of one event that get a suggestion each, and names listed in one message.
SUGGESTED, NAMED = 3, 30


def targets(
    recipients: RecipientStore, selection: Selection | None, thread: str | None, spec: CommunicationType
) -> tuple[Selection, list[Problem]]:
    """The selection as it may be committed, and what is wrong with it.

    Args:
        recipients: The lists, as they were at their last refresh.
        selection: What was asked for; None only where the thread can tell.
        thread: The event's.
        spec: The type that the event is treated as.
    """
    if selection is None:
        if spec.audience.told and thread:
            return Selection("thread"), []
        fix = 'give a list of ids like ["contoso-prod"], {"region": "emea"} or "all"'
        return Selection("instances"), [Problem("instances", "is missing", fix, "instances")]
    if selection.kind == "instances" and not selection.values:
        return selection, [Problem("instances", "names none", "name at least one instance", "instances")]
    if selection.kind == "instances":
        return selection, [
            *_strangers(selection.values, recipients.ids()),
            *(_set_aside(recipients) if not set(selection.values) <= recipients.ids() else ()),
        ]
    if selection.kind == "region" and not recipients.ids_of(selection):
        what = f"no instance is in region {selection.values[0]!r}"
        return selection, [Problem("region", what, "see recipients/", "region")]
    if not recipients.ids():
        fix = "add a file under recipients/"
        return selection, [Problem("instances", "there are no instances at all", fix, "instances")]
    return selection, []


def unknown(where: str, word: str, there: Mapping[str, Any] | AbstractSet[str]) -> Problem:
    """That there is no such thing, and what may have been meant."""
    close = difflib.get_close_matches(word, list(there), n=3)
    names = f"use one of {', '.join(sorted(there)[:NAMED])}{'…' if len(there) > NAMED else ''}"
    fix = f"did you mean {' or '.join(close)}" if close else names
    return Problem(where, f"{word[:80]!r} is not known", fix, where)


def _set_aside(recipients: RecipientStore) -> list[Problem]:
    """Files that may hold the instance that was asked for."""
    return [
        Problem("instances", f"{broken.file} is set aside: {broken.problems[0]}", "mend it", "instances")
        for broken in recipients.lost()[:SUGGESTED]
    ]


def _strangers(names: Sequence[str], there: AbstractSet[str]) -> list[Problem]:
    """The instances that there are not; to look for near misses takes long, so only the first get theirs."""
    missing = [name for name in dict.fromkeys(names) if name not in there]
    problems = [unknown("instances", name, there) for name in missing[:SUGGESTED]]
    if rest := missing[SUGGESTED:]:
        more = ", ".join(repr(name[:80]) for name in rest[:NAMED])
        what = f"{len(rest)} more are not there: {more}{'…' if len(rest) > NAMED else ''}"
        problems.append(Problem("instances", what, "correct them all", "instances"))
    return problems
