"""What libyaml and the UTF-8 decoder complain of, in words that say what to do."""

from __future__ import annotations

import re

import yaml

from dispatcher.errors import Problem

_QUOTES = 'write text with such a character in quotes: "…"'
#: A part of libyaml's complaint, what it means, and what to do.
_MEANINGS = (
    ("tab character", "a tab stands where blanks belong", "indent with blanks"),
    (
        "mapping values are not allowed",
        "a colon stands where no key can be",
        'check the indentation, and write text that holds ": " in quotes',
    ),
    ("expected ',' or ']'", "a list in [brackets] lacks a comma or its end", "write [one, two]"),
    ("expected ',' or '}'", "a mapping in {braces} lacks a comma or its end", "write {one: 1, two: 2}"),
    ("expected '-' indicator", "a list ends without a sign", "indent each entry alike, with - before it"),
    ("expected key", "no key begins here", "write key: value, indented like the lines around it"),
    ("could not find expected ':'", "a key has no colon", "write key: value"),
    ("unexpected end of stream", "a quote is opened and never closed", "close it"),
    ("escape c", "a backslash starts nothing known", "write text with backslashes in 'single' quotes"),
    ("cannot start any token", "no value begins with this character", _QUOTES),
    ("block sequence entries", "a list entry cannot stand here", "begin it on a line of its own"),
    ("node content", "a bracket or brace is closed that was never opened", _QUOTES),
    ("control characters are not allowed", "a control character stands here", "remove it"),
)  # fmt: skip


def not_unicode(raw: bytes, position: int, name: str) -> Problem:
    """The byte at `position` is not UTF-8."""
    what = f"byte {position + 1} of the file, 0x{raw[position]:02X}, is not UTF-8"
    return Problem(_where(raw, position, name), what, "save the file as UTF-8")


def rejected(raw: bytes, error: yaml.YAMLError, name: str) -> Problem:
    """Why libyaml read no further, and where."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark, complaint = error.problem_mark, error.problem or ""
        where = f"{name}:{mark.line + 1}:{mark.column + 1}"
        return _reworded(where, complaint, _character(raw, mark.line, mark.column), _began(error))
    position = getattr(error, "position", None) or 0
    return _reworded(_where(raw, position, name), getattr(error, "reason", None) or str(error), "", "")


def _reworded(where: str, complaint: str, character: str, began: str) -> Problem:
    if character == "\t":
        complaint = "tab character"
    for part, what, fix in _MEANINGS:
        if part in complaint:
            shown = f" ({character})" if part == "cannot start any token" else ""
            return Problem(where, f"{what}{shown}{began}", fix)
    return Problem(where, f"this is no YAML: {complaint}{began}", "mend the text at this place")


def _began(error: yaml.MarkedYAMLError) -> str:
    """Where a bracket, brace or quote was opened that is not closed, if on an earlier line."""
    start, end = error.context_mark, error.problem_mark
    whole = "expected ','" in (error.problem or "") or "end of stream" in (error.problem or "")
    if not whole or start is None or end is None or start.line == end.line:
        return ""
    return f"; it begins in line {start.line + 1}"


def _character(raw: bytes, line: int, column: int) -> str:
    lines = re.split(r"\r\n|[\r\n\x85\u2028\u2029]", raw.decode("utf-8", "replace"))
    return lines[line][column : column + 1] if line < len(lines) else ""


def _where(raw: bytes, position: int, name: str) -> str:
    before = raw[:position]
    column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace"))
    return f"{name}:{before.count(bytes([10])) + 1}:{column + 1}"
