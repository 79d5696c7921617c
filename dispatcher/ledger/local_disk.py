"""Which mount a file lies on; SQLite's ledger is refused on a network file system.

SQLite's write-ahead log keeps its index in memory that all its processes share, which processes on two
machines cannot, and file locks over a network are promised more often than kept. The file works until the
day it does not (https://sqlite.org/wal.html, https://sqlite.org/howtocorrupt.html).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from dispatcher.errors import Problem, SettingsInvalid

#: The mounts as this process sees them (proc_pid_mountinfo(5)); only Linux has it.
MOUNTINFO = Path("/proc/self/mountinfo")

#: File systems whose bytes lie on another machine. Left out on purpose: 9p and virtiofs, by which sandboxes
#: and virtual machines reach the disk of their own host, often as the root, so that one kernel sees every
#: lock; and plain ``fuse``, which says nothing of what is behind it. To refuse those that work is worse.
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "glusterfs"}
    | {"lustre", "beegfs", "gpfs", "orangefs", "pvfs2", "wekafs", "panfs"}
    | {"fuse.sshfs", "fuse.smbnetfs", "fuse.curlftpfs", "fuse.davfs", "fuse.davfs2", "fuse.rclone"}
    | {"fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.juicefs", "fuse.seaweedfs"}
    | {"fuse.mfs", "fuse.moosefs", "fuse.lizardfs", "fuse.beegfs"}
    | {"fuse.s3fs", "fuse.goofys", "fuse.mountpoint-s3", "fuse.gcsfuse", "fuse.blobfuse", "fuse.blobfuse2"}
)


class Mount(NamedTuple):
    """One line of mountinfo."""

    id: int
    parent: int
    point: str
    kind: str


def refuse_network(path: str, mountinfo: Path = MOUNTINFO) -> None:
    """Refuse an SQLite file that would lie on a network file system; where nothing is known, let it be.

    Args:
        path: The file, which need not be there yet.
        mountinfo: The list of mounts.

    Raises:
        SettingsInvalid: It would; the text names the mount and the kind of file system.
    """
    real = os.path.realpath(path)  # before the list is read: the look may mount what it finds
    mount = _mount_of(real, _mounts(mountinfo))
    if mount is None or mount.kind not in _NETWORK:
        return
    what = (
        f"puts the ledger {path} on {mount.point}, a network file system ({mount.kind}), on which SQLite can "
        "lose what was written"
    )
    fix = (
        "name a file on a local disk, like sqlite:////var/lib/dispatcher/ledger.db, or PostgreSQL, like "
        "postgresql://user:password@host/name"
    )
    raise SettingsInvalid(Problem("DISPATCHER_DATABASE_URL", what, fix))


def _mounts(mountinfo: Path) -> list[Mount]:
    """Every mount; none where there is no list."""
    try:
        text = mountinfo.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [mount for line in text.split("\n") if (mount := _mount(line)) is not None]


def _mount(line: str) -> Mount | None:
    """``36 35 98:0 /root /point options [more…] - kind source options``; None if it is something else."""
    head, _, tail = line.partition(" - ")
    fields, kind = head.split(" "), tail.partition(" ")[0]
    if len(fields) < 6 or not kind or not (fields[0].isdecimal() and fields[1].isdecimal()):
        return None
    return Mount(int(fields[0]), int(fields[1]), _plain(fields[4]), _plain(kind))


def _plain(text: str) -> str:
    r"""The kernel writes blanks, line ends and backslashes as ``\040``, byte by byte."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _mount_of(path: str, mounts: list[Mount]) -> Mount | None:
    """Where the kernel arrives on its way down `path`.

    The longest mount point alone will not do: a mount over ``/srv`` hides an older one at ``/srv/data``.
    So one goes from each mount to the first that stands on it, as the kernel does.
    """
    known = {mount.id for mount in mounts}
    found: Mount | None = None
    here = [mount for mount in mounts if mount.parent not in known or mount.parent == mount.id]
    while ahead := [mount for mount in here if _holds(mount.point, path)]:
        shortest = min(len(mount.point) for mount in ahead)
        found = [mount for mount in ahead if len(mount.point) == shortest][-1]  # the last hides the others
        here = [mount for mount in mounts if mount.parent == found.id != mount.id]
    return found


def _holds(point: str, path: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")
