"""What was last read of the recipient files, kept in the state folder for the next process.

A line of JSON about the whole, then for each file a line of facts and a line with its last good version. Only
the facts are parsed at a start; a version is parsed when somebody asks for its instance. The cache is never a
condition of anything: one that is missing, damaged, foreign or cannot be written costs some seconds, except
that a file which is broken just then has no earlier version to fall back on.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from dispatcher import __version__
from dispatcher.files.folder import NEVER, Stat, stat_of

#: Raise it when `Instance`, or what is kept of one, changes its meaning within a version.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Version:
    """One good version of a recipient file.

    Attributes:
        changed: When the file last changed, by its file system: nanoseconds since 1970.
        words: What its ``only`` and ``except`` name, each once.
        form: What `Instance` is made from, as JSON.
    """

    instance: str
    region: str | None
    changed: int
    words: tuple[str, ...]
    form: bytes


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
        if self._path is None:
            return {}
        try:
            with self._path.open("rb") as file:
                self._seen = stat_of(os.fstat(file.fileno()))
                return _decoded(file.read())
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def load_if_changed(self) -> Mapping[str, Cached]:
        """What another process has written since, if any has."""
        try:
            if self._path is None or stat_of(self._path.stat()) == self._seen:
                return {}
        except OSError:
            return {}
        return self.load()

    def save(self, files: Mapping[str, Cached]) -> None:
        """Put `files` in the cache's place, whole or not at all; silently nothing if that cannot be."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._seen = _replace(self._path, _encoded(files))
        except OSError:
            return


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


def _encoded(files: Mapping[str, Cached]) -> list[bytes]:
    body: list[bytes] = []
    for name, cached in files.items():
        version = cached.version
        facts = (name, cached.stat, version.instance, version.region, version.changed, version.words)
        body += (orjson.dumps(facts), b"\n", version.form, b"\n")
    head = {"format": FORMAT, "version": __version__, "digest": _digest(b"".join(body))}
    return [orjson.dumps(head), b"\n", *body]


def _decoded(raw: bytes) -> dict[str, Cached]:
    head, _, body = raw.partition(b"\n")
    facts = orjson.loads(head)
    if facts != {"format": FORMAT, "version": __version__, "digest": _digest(body)}:
        return {}
    lines = body.split(b"\n")
    files = {}
    for index in range(0, len(lines) - 1, 2):
        name, stat, instance, region, changed, words = orjson.loads(lines[index])
        version = Version(instance, region, changed, tuple(words), lines[index + 1])
        files[name] = Cached((stat[0], stat[1], stat[2], stat[3]), version)
    return files


def _digest(body: bytes) -> str:
    """Finds damage, not forgery: who may write the state folder may write the ledger."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()
