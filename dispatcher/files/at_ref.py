"""The catalogue and the recipient files of a root as git had them at a commit."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from dispatcher.errors import InvalidInput, Problem

_CATALOGUE, _RECIPIENTS = "catalogue.yaml", "recipients"
_REGULAR = (b"100644", b"100755")
#: Seconds; git reads from this machine's disk.
_PATIENCE = 60


class RefInvalid(InvalidInput):
    """A commit that was named is not there, or the root is under no git."""


@contextmanager
def root_at(root: Path, ref: str) -> Iterator[Path]:
    """A folder with the catalogue and the recipient files of that commit, until the context ends.

    Raises:
        RefInvalid: There is no such commit, no git, or no catalogue in it.
    """
    commit = _commit(root, ref)
    with TemporaryDirectory(prefix="dispatcher-diff-") as folder:
        there = Path(folder)
        files = dict(_files(root, commit))
        if _CATALOGUE not in files:
            raise RefInvalid(Problem("OLD_REF", f"{ref} has no {_CATALOGUE} here", "name a newer commit"))
        for name, content in zip(files, _contents(root, list(files.values())), strict=True):
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (there / name).write_bytes(content)
        (there / _RECIPIENTS).mkdir(exist_ok=True)
        yield there


def _commit(root: Path, ref: str) -> str:
    wanted = f"{ref}^{{commit}}"
    found = _git(root, ["rev-parse", "--verify", "--quiet", "--end-of-options", wanted], allowed=(0, 1, 128))
    commit = found.strip().decode()
    if not commit:
        fix = "name a commit, a branch or a tag, like HEAD or main~3; `git log` lists them"
        raise RefInvalid(Problem("OLD_REF", f"git knows no commit {ref[:80]!r} in {root}", fix))
    return commit


def _files(root: Path, commit: str) -> Iterator[tuple[str, str]]:
    """The regular files, each with the name of its content; paths are relative to the root."""
    listed = _git(root, ["ls-tree", "-r", "-z", commit, "--", _CATALOGUE, f"{_RECIPIENTS}/"])
    for entry in listed.split(b"\0"):
        if not entry:
            continue
        about, _, name = entry.partition(b"\t")
        mode, kind, content = about.split(b" ")
        path = PurePosixPath(name.decode("utf-8", "surrogateescape"))
        if kind == b"blob" and mode in _REGULAR and ".." not in path.parts and not path.is_absolute():
            yield str(path), content.decode()


def _contents(root: Path, names: Sequence[str]) -> Iterator[bytes]:
    raw = _git(root, ["cat-file", "--batch"], given="".join(f"{name}\n" for name in names).encode())
    place = 0
    for _ in names:
        end = raw.index(b"\n", place)
        size = int(raw[place:end].rsplit(b" ", 1)[1])
        yield raw[end + 1 : end + 1 + size]
        place = end + 1 + size + 1


def _git(root: Path, arguments: Sequence[str], *, given: bytes = b"", allowed: Sequence[int] = (0,)) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - what users name is no option
            ["git", "-C", str(root), *arguments],  # noqa: S607 - the git of whoever asks
            input=given,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        raise RefInvalid(Problem("git", "is not installed", "install it, or put it on the PATH")) from None
    except subprocess.TimeoutExpired:
        raise RefInvalid(Problem("git", f"gave no answer within {_PATIENCE} s", "try again")) from None
    said = done.stderr.decode("utf-8", "replace").strip()
    if b"not a git repository" in done.stderr:
        raise RefInvalid(Problem(str(root), "is under no git", "put the root under git, and commit it"))
    if done.returncode not in allowed:
        raise RefInvalid(
            Problem("git", said or f"ended with {done.returncode}", "see that git can read the root")
        )
    return done.stdout
