"""Plain text in lines that fit: 76 columns, as mail programs and terminals show them."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

COLUMNS = 76  # RFC 5322 recommends 78; two are left for the "> " of a reply
# Characters that may not begin a line of Chinese or Japanese.
_NEVER_FIRST = frozenset("、。，．：；？！）」』】〉》”’…ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.:;?!)%")
_NEVER_LAST = frozenset("（「『【〈《“‘(")
_KNOWN = 20_000  # characters whose columns are kept; Unicode has ten times as many
_BULLET = re.compile(r"[ ]*(?:- |\d+\. )?")


def wrap(text: str, columns: int = COLUMNS) -> str:
    """Every line of `text` broken to at most `columns`, blank lines never more than one in a row.

    A line keeps its indent, and what follows a bullet is indented to its text. Wide characters (Chinese,
    Japanese) count as two columns and may be parted from each other (UAX 11 and 14, in short). A word
    that is too long, such as a URL, stands on a line of its own and is not broken.
    """
    lines: list[str] = []
    for line in text.splitlines():
        lines += _wrapped(line.rstrip(), columns) if line.strip() else [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"


def width(text: str) -> int:
    """Columns that `text` takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


class _Columns(dict[str, int]):
    """Columns of a character, looked up once: what people write has some thousands of different ones."""

    def __missing__(self, char: str) -> int:
        columns = 2 if unicodedata.east_asian_width(char) in "WF" else 1
        columns = 0 if unicodedata.combining(char) else columns
        if len(self) < _KNOWN:
            self[char] = columns
        return columns


_COLUMNS = _Columns()
_columns = _COLUMNS.__getitem__


def _wrapped(line: str, columns: int) -> list[str]:
    if len(line) * 2 <= columns or width(line) <= columns:
        return [line]
    match = _BULLET.match(line)
    head = match[0] if match else ""
    lines, current, used = [], head, len(head)
    for word in _words(line[len(head) :]):
        size = width(word)
        seen = width(word.rstrip()) if word[-1:].isspace() else size
        if used > len(head) and used + seen > columns:
            lines.append(current.rstrip())
            current, used = " " * len(head), len(head)
        current, used = current + word, used + size
    return [*lines, current.rstrip()]


def _words(text: str) -> list[str]:
    """`text` cut wherever a line may end: after a space, and between wide characters."""
    words: list[str] = []
    for word in re.findall(r"\S+\s*", text):
        if word.isascii() or max(map(_columns, word)) < 2:
            words.append(word)
            continue
        piece = word[0]
        for before, char in pairwise(word):
            if _may_part(before, char):
                words.append(piece)
                piece = ""
            piece += char
        words.append(piece)
    return words


def _may_part(before: str, char: str) -> bool:
    if char in _NEVER_FIRST or before in _NEVER_LAST or char.isspace():
        return False
    return _columns(before) == 2 or _columns(char) == 2
