"""What was last read of the recipient files, kept in the state folder for the next process.

A line of JSON about the whole; for each file a line of facts, a line with the outline of its last good
version, and that version, compressed; then a digest of it all. It is written and read file by file, so that
it never is in memory beside what is kept of it. The cache is never a condition of anything: one that is
missing, damaged, foreign or cannot be written costs some seconds, except that a file which is broken just
then has no earlier version to fall back on.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from dispatcher import __version__
from dispatcher.files.folder import NEVER, Stat, stat_of
from dispatcher.files.recipient_form import Version

#: Raise it when `Instance`, or what is kept of one, changes its meaning within a version.
FORMAT = 3
#: No line is longer, in bytes; in a damaged file one may be.
_LINE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cached:
    """One file as it was last read.

    Attributes:
        stat: The file's stat then; `NEVER` if it was broken, so that it is read anew for its problems.
    """

    stat: Stat
    version: Version


class RecipientCache:
    """The cache file; None for `path` keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = NEVER

    def load(self) -> Mapping[str, Cached]:
        """Each file's last good version, by path; empty if the cache cannot be used."""
        return self._load(None)

    def load_if_changed(self, names: Collection[str]) -> Mapping[str, Cached]:
        """What another process has written of these files since, if any has."""
        try:
            if not names or self._path is None or stat_of(self._path.stat()) == self._seen:
                return {}
        except OSError:
            return {}
        return self._load(names)

    def save(self, files: Mapping[str, Cached]) -> None:
        """Put `files` in the cache's place, whole or not at all; silently nothing if that cannot be."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._seen = _replace(self._path, _encoded(files))
        except OSError:
            return

    def _load(self, names: Collection[str] | None) -> Mapping[str, Cached]:
        if self._path is None:
            return {}
        try:
            with self._path.open("rb") as file:
                self._seen = stat_of(os.fstat(file.fileno()))
                found = _decoded(_Reader(file))
                return {name: cached for name, cached in found if names is None or name in names}
        except (OSError, ValueError, TypeError, KeyError):
            return {}


class _Reader:
    """Reads a file from its beginning, and knows the digest of what was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = _hash()

    def line(self) -> bytes:
        line = self._file.readline(_LINE)
        self._hash.update(line)
        return line

    def bytes(self, count: int) -> bytes:
        """So many bytes.

        Raises:
            ValueError: There are fewer.
        """
        some = self._file.read(count)
        self._hash.update(some)
        if count < 0 or len(some) != count:
            raise ValueError("the file ends early")
        return some

    def digest(self) -> str:
        return self._hash.hexdigest()


def _replace(path: Path, lines: Iterable[bytes]) -> Stat:
    """Write a new file beside `path` and rename it; readers see the old one or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(lines)
            file.flush()
            # Without this a power cut can leave an empty file under the new name.
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return stat_of(path.stat())


def _encoded(files: Mapping[str, Cached]) -> Iterator[bytes]:
    digest = _hash()
    for part in _parts(files):
        digest.update(part)
        yield part
    yield digest.hexdigest().encode()


def _parts(files: Mapping[str, Cached]) -> Iterator[bytes]:
    yield orjson.dumps({"format": FORMAT, "version": __version__}) + b"\n"
    for name, cached in files.items():
        version = cached.version
        facts = (
            name,
            cached.stat,
            version.instance,
            version.region,
            version.sandbox_of,
            version.changed,
            version.people,
            version.words,
            len(version.form),
        )
        yield orjson.dumps(facts) + b"\n"
        yield version.outline + b"\n"
        yield version.form
    # An empty line: no more files.
    yield b"\n"


def _decoded(reader: _Reader) -> Iterator[tuple[str, Cached]]:
    """Each file with its path; whoever takes them must take them all before any counts.

    Raises:
        ValueError: It is of another format or version, or it is damaged.
    """
    if orjson.loads(reader.line()) != {"format": FORMAT, "version": __version__}:
        raise ValueError("another version wrote it")
    while (line := reader.line()) != b"\n":
        name, stat, instance, region, sandbox_of, changed, people, words, length = orjson.loads(line)
        outline = reader.line().removesuffix(b"\n")
        form = reader.bytes(length)
        version = Version(instance, region, sandbox_of, changed, people, tuple(words), outline, form)
        yield name, Cached((stat[0], stat[1], stat[2], stat[3]), version)
    digest = reader.digest()
    if reader.line() != digest.encode():
        raise ValueError("it is damaged")


def _hash() -> hashlib.blake2b:
    """Finds damage, not forgery: who may write the state folder may write the ledger."""
    return hashlib.blake2b(digest_size=16)
