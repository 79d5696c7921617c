"""YAML as plain data, each value with its place in the file, and every fault of the text itself.

What is understood is what a person reads: YAML 1.2 core scalars (``no`` and ``12:30`` are text), one
document, no anchors, aliases or tags, no duplicate keys. The document is built from libyaml's events: several
times faster than a loader, without a node tree, and nothing can drive it into a recursion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import yaml

from dispatcher.errors import Problem
from dispatcher.files.syntax import not_unicode, rejected

#: Enough for some 20,000 recipients in one file; more is a mistake, and it is read into memory.
MAX_BYTES = 2 * 1024 * 1024
#: A catalogue needs eight levels; more is a mistake or an attack.
MAX_DEPTH = 20
#: A 64-bit number has 19 digits; nothing in these files counts further.
MAX_DIGITS = 19
#: A file that is wrong in more places than this is another kind of file.
MAX_PROBLEMS = 100

KeyPath = tuple[Any, ...]

_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WORD_STARTS = frozenset(word[:1] for word in _WORDS)
_NUMBER_STARTS = frozenset("+-.0123456789")
_WHOLE = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
# Infinity and not-a-number stay text: plain JSON, which values must fit into, has neither.
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")


class Mark(Protocol):
    """A place in a file as libyaml counts it: from 0."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """What a file says.

    Attributes:
        name: What the file is called in messages: its path, relative to the root where it can be.
        data: Mappings, lists, text, numbers, true, false and null; None if nothing could be read.
        keys: For each path, such as ``("recipients", 0, "only")``, where its key stands.
        values: For each path where its value begins.
        plain: The text of each value that is no text: ``9.10``, say, which as a number is 9.1.
        problems: The faults of the text, in their order.
        doubtful: Paths whose value is not known because of such a fault.
        complete: Whether the text could be read to its end.
    """

    name: str
    data: Any = None
    keys: dict[KeyPath, Mark] = field(default_factory=dict)
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    plain: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    doubtful: set[KeyPath] = field(default_factory=set)
    complete: bool = False

    def place(self, path: KeyPath, *, key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of a value or its key; of what holds it where it is not there itself."""
        marks = self.keys if key and path in self.keys else self.values
        while path and path not in marks:
            path, marks = path[:-1], self.values
        mark = marks.get(path)
        return (mark.line + 1, mark.column + 1) if mark else (1, 1)

    def where(self, path: KeyPath, *, key: bool = False) -> str:
        """The place as ``file:line:column``."""
        line, column = self.place(path, key=key)
        return f"{self.name}:{line}:{column}"


def dotted(path: KeyPath) -> str:
    """``("recipients", 0, "only")`` as people write it: ``recipients[0].only``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_quoted(part)}" for part in path)
    return text.removeprefix(".")


def _quoted(part: Any) -> str:
    text = str(part)
    return text if re.fullmatch(r"[\w@.-]{1,60}", text) else repr(text[:60])


def parse(raw: bytes, name: str, *, deep: int = MAX_DEPTH) -> Document:
    """What `raw` says; never raises, for the faults are the document's `problems`.

    Args:
        raw: The file's content.
        name: What it is called in messages.
        deep: Places are kept of paths that are no longer: those of twenty thousand people's entries take
            several times as much memory as what the entries say.
    """
    document = Document(name)
    if len(raw) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES // 1024} KiB"
        document.problems.append(Problem(f"{name}:1:1", what, "split it into smaller files"))
        return document
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        document.problems.append(not_unicode(raw, error.start, name))
        return document
    builder = _Builder(document, deep)
    try:
        parser = yaml.CSafeLoader(raw)
        while (event := parser.get_event()) is not None:
            builder.take(event)
        document.complete = True
    except yaml.YAMLError as error:
        document.problems.append(rejected(raw, error, name))
    except _Stop:
        pass
    return document


class _Stop(Exception):  # noqa: N818
    """There is no sense in reading on; the reason is among the document's problems."""


class _Frame:
    """A mapping or list that is being filled.

    Attributes:
        key: Of a mapping: the key whose value comes next; None if a key comes next.
    """

    __slots__ = ("container", "key", "path")

    def __init__(self, container: dict[str, Any] | list[Any], path: KeyPath) -> None:
        self.container = container
        self.path = path
        self.key: Any = None


class _Builder:
    """Makes a document from events, one `take` after the other."""

    def __init__(self, document: Document, deep: int) -> None:
        self._document = document
        self._deep = deep
        self._frame: _Frame | None = None
        self._outer: list[_Frame | None] = []
        self._documents = 0

    def take(self, event: Any) -> None:
        """The next event."""
        handler = self.HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def _problem(self, mark: Any, what: str, fix: str, path: KeyPath = ()) -> None:
        where = f"{self._document.name}:{mark.line + 1}:{mark.column + 1}"
        self._document.problems.append(Problem(where, what, fix, dotted(path)))
        if len(self._document.problems) >= MAX_PROBLEMS:
            raise _Stop

    def _start(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._problem(event.start_mark, "a second document begins here", "keep one document in a file")
            raise _Stop

    def _scalar(self, event: Any) -> None:
        frame = self._frame
        if event.anchor is not None or event.tag is not None:
            self._decorated(event)
        if frame is not None and frame.key is None and type(frame.container) is dict:
            self._key(frame, event)
            return
        text = event.value
        # Only what is neither quoted nor a block may be anything but text.
        if event.style or (text[:1] not in _WORD_STARTS and text[:1] not in _NUMBER_STARTS):
            self._place(text, event)
            return
        value = resolve(text)
        path = self._place(value, event)
        if value is not text:
            self._document.plain[path] = text

    def _key(self, frame: _Frame, event: Any) -> None:
        key = event.value
        path = (*frame.path, key)
        frame.key = key
        if key in frame.container:
            line, _ = self._document.place(path, key=True)
            self._problem(
                event.start_mark, f"the key stands in line {line} already", "keep one of the two", path
            )
            # Its value is read, for its faults, and thrown away.
            frame.key = object()
            return
        if len(path) <= self._deep:
            self._document.keys[path] = event.start_mark
        if not event.style and type(resolve(key)) is not str:
            what = "this key is no text" if key else "a key is missing before the colon"
            fix = f'write it in quotes: "{key[:40]}":' if key else "write key: value"
            self._problem(event.start_mark, what, fix, path)

    def _place(self, value: Any, event: Any) -> KeyPath:
        """Put a value where it belongs; its path."""
        frame = self._frame
        if frame is None:
            self._document.data = value
            path: KeyPath = ()
        elif isinstance(frame.container, list):
            path = (*frame.path, len(frame.container))
            frame.container.append(value)
        else:
            path = (*frame.path, frame.key)
            if type(frame.key) is str:
                frame.container[frame.key] = value
            frame.key = None
        if len(path) <= self._deep:
            self._document.values[path] = event.start_mark
        return path

    def _open(self, event: Any) -> None:
        frame = self._frame
        if event.anchor is not None or event.tag is not None:
            self._decorated(event)
        if frame is not None and frame.key is None and type(frame.container) is dict:
            self._problem(event.start_mark, "a key is a list or a mapping", "write key: value", frame.path)
            raise _Stop
        if len(self._outer) >= MAX_DEPTH:
            what = f"values are nested more than {MAX_DEPTH} deep"
            self._problem(event.start_mark, what, "write a flatter file")
            raise _Stop
        container: dict[str, Any] | list[Any] = {} if type(event) is yaml.MappingStartEvent else []
        self._outer.append(frame)
        self._frame = _Frame(container, self._place(container, event))

    def _close(self, _: Any) -> None:
        self._frame = self._outer.pop()

    def _alias(self, event: Any) -> None:
        frame = self._frame
        self._problem(
            event.start_mark,
            f"*{event.anchor[:40]} is an alias, which is not understood here",
            "write the value out; text that begins with * goes in quotes",
        )
        if frame is not None and frame.key is None and type(frame.container) is dict:
            raise _Stop
        self._document.doubtful.add(self._place(None, event))

    def _decorated(self, event: Any) -> None:
        if event.anchor is not None:
            word, kind = f"&{event.anchor}", "anchor"
        else:
            word, kind = event.tag.replace("tag:yaml.org,2002:", "!!"), "tag"
        word = word[:40]
        self._problem(
            event.start_mark,
            f"{word} is a YAML {kind}, which is not understood here",
            f"remove it; text that begins with {word[:1]} goes in quotes",
        )

    #: Functions, not bound methods, which would tie each builder into a circle that outlives its file.
    HANDLERS: Mapping[type, Callable[[_Builder, Any], None]] = {
        yaml.ScalarEvent: _scalar,
        yaml.MappingStartEvent: _open,
        yaml.SequenceStartEvent: _open,
        yaml.MappingEndEvent: _close,
        yaml.SequenceEndEvent: _close,
        yaml.AliasEvent: _alias,
        yaml.DocumentStartEvent: _start,
    }


def resolve(text: str) -> Any:
    """A plain scalar by YAML 1.2's core schema (chapter 10.3.2), but for infinity and not-a-number."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS or len(text) > MAX_DIGITS:
        return text
    if _WHOLE.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(text) if _FLOAT.fullmatch(text) else text
