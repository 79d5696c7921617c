"""The YAML files below a folder: found without opening them, links out of the root refused."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.errors import Problem
from dispatcher.files.recipient_files import unreadable

SUFFIXES = (".yaml", ".yml")
#: What must be the same for a file to count as unread: a change moves the change time even where a copy
#: brings its old modification time along.
Stat = tuple[int, int, int, int]
#: The stat of a file that was never read.
NEVER: Stat = (0, 0, 0, 0)


@dataclass(slots=True)
class Listing:
    """What a folder holds.

    Attributes:
        files: Each file's stat, by its path relative to the root.
        problems: What could not be looked at, by path.
        hidden: Folders whose files could not be seen, each with a slash at its end; what was known of
            them still counts.
    """

    files: dict[str, Stat] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)


def stat_of(result: os.stat_result) -> Stat:
    """Modification time and change time in nanoseconds, size in bytes, inode."""
    return (result.st_mtime_ns, result.st_ctime_ns, result.st_size, result.st_ino)


def list_folder(root: Path, name: str) -> Listing:
    """Every YAML file below ``root/name``, subfolders included, hidden ones not."""
    listing = Listing()
    real = os.path.realpath(root)
    if not _within(os.path.realpath(root / name), real):
        listing.problems[name] = _outside(name)
        listing.hidden.append(f"{name}/")
        return listing
    folders = [name]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        _take(entry, f"{folder}/{entry.name}", real, listing, folders)
        except FileNotFoundError:
            if folder == name:
                what = "the folder does not exist"
                listing.problems[name] = Problem(name, what, "make it, with one file for each instance")
        except OSError as error:
            listing.problems[folder] = unreadable(folder, error)
            listing.hidden.append(f"{folder}/")
    return listing


def _take(entry: os.DirEntry[str], name: str, real_root: str, listing: Listing, folders: list[str]) -> None:
    """Note one entry of a folder: a file, a subfolder, or a problem."""
    link = entry.is_symlink()
    if not link and entry.is_dir():
        folders.append(name)
        return
    if not name.lower().endswith(SUFFIXES):
        return
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        listing.problems[shown] = Problem(shown, "the file's name is not UTF-8", "rename it")
        return
    try:
        if link and not _within(os.path.realpath(entry.path), real_root):
            listing.problems[name] = _outside(name)
        elif entry.is_file():
            listing.files[name] = stat_of(entry.stat())
        else:
            what = "this is a link to no file" if link else "this is no file"
            listing.problems[name] = Problem(name, what, "remove it, or put a regular file in its place")
    except FileNotFoundError:
        pass  # It was deleted just now.
    except OSError as error:
        listing.problems[name] = unreadable(name, error)
        listing.hidden.append(name)


def _within(path: str, real_root: str) -> bool:
    return path == real_root or path.startswith(real_root.rstrip(os.sep) + os.sep)


def _outside(name: str) -> Problem:
    return Problem(name, "this is a link that leads out of the root", "put the file itself here")
