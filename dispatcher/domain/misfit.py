"""How it is said that entries of a catalogue do not fit together."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from dispatcher.domain.catalogue import CommunicationType
from dispatcher.errors import Problem


def at(path: str, what: str, fix: str) -> Problem:
    """What is wrong with the entry at a dotted path, and what to do."""
    return Problem(where=path, what=what, fix=fix, key=path)


def unknown(path: str, word: str, known: Collection[str], what: str) -> Problem:
    """That there is no `what` of that name, with the one that may be meant."""
    close = difflib.get_close_matches(word, known, n=1)
    others = f"use one of {', '.join(sorted(known))}" if known else f"add a {what}"
    fix = f"did you mean {close[0]}" if close else others
    return at(path, f"{word!r} is no {what}", fix)


def names_field(
    path: str, spec: CommunicationType, key: str, kinds: Collection[str] = ()
) -> Iterator[Problem]:
    """What is wrong with the name of a field: the type has none, or it is of another kind."""
    if key not in spec.fields:
        yield unknown(path, key, spec.fields, "field of this type")
    elif kinds and spec.fields[key].kind not in kinds:
        fix = f"name a field of kind {' or '.join(kinds)}"
        yield at(path, f"{key!r} is of kind {spec.fields[key].kind}", fix)
