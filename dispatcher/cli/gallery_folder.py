"""The gallery's folder: whole files only, and nothing touched that is not the gallery's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from dispatcher.errors import InvalidInput, Problem

#: Tells a gallery from any other folder, and which files are its own.
MARKER = "gallery.json"


def refuse_other(folder: Path) -> None:
    """Refuse a folder whose files somebody may want to keep.

    Raises:
        InvalidInput: `folder` is no folder, or holds something and is no gallery.
    """
    fix = "name a new folder, or one that `dispatcher gallery` wrote"
    try:
        if folder.exists() and not folder.is_dir():
            raise InvalidInput(Problem(str(folder), "is no folder", fix))
        if folder.is_dir() and any(folder.iterdir()) and _listed(folder) is None:
            raise InvalidInput(Problem(str(folder), "is there, not empty, and no gallery", fix))
    except OSError as error:
        raise _unusable(folder, error) from None


def write_gallery(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files`, each whole or not at all, and remove what an earlier gallery wrote and this one has not.

    Args:
        folder: Where to; made if it is not there.
        files: Contents by path relative to `folder`; the first to open comes last.

    Raises:
        InvalidInput: The folder is not ours, or cannot be written.
    """
    refuse_other(folder)
    try:
        old = _listed(folder) or frozenset()
        folder.mkdir(parents=True, exist_ok=True)
        # First of all, so that a gallery that was cut off is still known as one.
        _mark(folder, old | files.keys())
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, content)
        for name in old - files.keys():
            _remove(folder, name)
        _mark(folder, files.keys())
    except OSError as error:
        raise _unusable(folder, error) from None


def _listed(folder: Path) -> frozenset[str] | None:
    """The files that the gallery in `folder` is made of; None if it is none."""
    try:
        content: Any = orjson.loads((folder / MARKER).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    if not isinstance(content, dict) or content.get("made_by") != "dispatcher gallery":
        return None
    files = content.get("files")
    return frozenset(name for name in files if isinstance(name, str)) if isinstance(files, list) else None


def _mark(folder: Path, names: Iterable[str]) -> None:
    content = {"made_by": "dispatcher gallery", "files": sorted(names)}
    _replace(folder / MARKER, orjson.dumps(content, option=orjson.OPT_INDENT_2))


def _replace(path: Path, content: bytes) -> None:
    whole = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        whole.write_bytes(content)
        whole.replace(path)
    except OSError:
        with suppress(OSError):
            whole.unlink()
        raise


def _remove(folder: Path, name: str) -> None:
    """Remove a file of an earlier gallery, and its folder once that is empty."""
    path = folder / name
    # The list lies in a file that anybody may have written: it must not lead out of the folder.
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        return
    path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent == folder or any(parent.iterdir()):
            break
        parent.rmdir()


def _unusable(folder: Path, error: OSError) -> InvalidInput:
    return InvalidInput(Problem(str(folder), f"cannot be written: {error.strerror}", "choose another --out"))
