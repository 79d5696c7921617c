"""SQLite's ledger is kept off network file systems, by what the kernel says of its mounts."""

from __future__ import annotations

from pathlib import Path

import pytest
from clock import Clock

from dispatcher.errors import SettingsInvalid
from dispatcher.ledger.engine import Database
from dispatcher.ledger.local_disk import refuse_network

ROOT = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"


def listed(folder: Path, *mounts: str) -> Path:
    """A list of mounts, the root's among them, as the kernel writes it; the root need not come first."""
    path = folder / "mountinfo"
    path.write_text("\n".join([*mounts[:1], ROOT, *mounts[1:], ""]), encoding="utf-8")
    return path


def mount(number: int, point: str, kind: str, parent: int = 27) -> str:
    return f"{number} {parent} 0:{number} / {point} rw,noatime shared:7 master:1 - {kind} server:/data rw"


def refused(path: str, mountinfo: Path) -> str:
    """Why it is; empty if it is not."""
    try:
        refuse_network(path, mountinfo)
    except SettingsInvalid as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs"]
)
def test_a_file_on_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    """The text names the file, the mount, its kind, and what would do."""
    text = refused("/no-such/state/ledger.db", listed(tmp_path, mount(30, "/no-such", kind)))

    assert text == (
        "DISPATCHER_DATABASE_URL: puts the ledger /no-such/state/ledger.db on /no-such, a network file "
        f"system ({kind}), on which SQLite can lose what was written. Name a file on a local disk, like "
        "sqlite:////var/lib/dispatcher/ledger.db, or PostgreSQL, like postgresql://user:password@host/name."
    )


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "9p", "virtiofs", "fuse"]
)
def test_a_file_on_a_disk_of_this_machine_is_accepted(tmp_path: Path, kind: str) -> None:
    """Neither disks nor what sandboxes and virtual machines reach their host by are refused."""
    assert refused("/no-such/ledger.db", listed(tmp_path, mount(30, "/no-such", kind))) == ""


MOUNTS = {
    "the mount beneath": (["/m nfs 30 27", "/m/disk ext4 31 30"], "/m/disk/ledger.db", False),
    "the mount above": (["/m ext4 30 27", "/m/net nfs 31 30"], "/m/net/ledger.db", True),
    "a name that only begins alike": (["/m nfs 30 27"], "/more/ledger.db", False),
    "the mount point itself": (["/m/ledger.db nfs 30 27"], "/m/ledger.db", True),
    "a later mount over the same place": (["/m nfs 30 27", "/m ext4 31 30"], "/m/ledger.db", False),
    "an earlier mount that another covers": (
        ["/m/net nfs 30 27", "/m ext4 31 27"],
        "/m/net/ledger.db",
        False,
    ),
    "a mount over one that had a mount": (["/m/a ext4 30 27", "/m nfs 31 27"], "/m/a/ledger.db", True),
    "two at one place": (["/m nfs 30 27", "/m ext4 31 27"], "/m/ledger.db", False),
    "nothing but the root": ([], "/m/ledger.db", False),
    "a blank": (["/m\\040y nfs 30 27"], "/m y/ledger.db", True),
    "a backslash": (["/m\\134040y nfs 30 27"], "/m\\040y/ledger.db", True),
    "bytes above ASCII": (["/münze nfs 30 27"], "/münze/ledger.db", True),
}


@pytest.mark.parametrize(("mounts", "path", "network"), MOUNTS.values(), ids=MOUNTS)
def test_the_mount_is_the_one_that_the_kernel_comes_to(
    tmp_path: Path, mounts: list[str], path: str, network: bool
) -> None:
    """Mounts beneath, above and over each other are told apart, odd names among them."""
    rows = [one.split(" ") for one in mounts]
    lines = [mount(int(number), point, kind, int(parent)) for point, kind, number, parent in rows]

    assert bool(refused(path, listed(tmp_path, *lines))) is network


def test_a_link_is_followed(tmp_path: Path) -> None:
    """What counts is where the file really lies."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    mounts = listed(tmp_path, mount(30, f"{tmp_path}/real", "nfs4"))

    assert refused(f"{tmp_path}/link/ledger.db", mounts)
    assert not refused(f"{tmp_path}/other/ledger.db", mounts)


@pytest.mark.parametrize("text", ["", "\n", "rubbish\n", "1 2 3 - nfs\n", "x y 0:1 / / rw - nfs a b\n"])
def test_where_nothing_is_known_nothing_is_refused(tmp_path: Path, text: str) -> None:
    """A list that says nothing, or none at all, as on other systems, refuses no file."""
    (tmp_path / "mountinfo").write_text(text, encoding="utf-8")

    assert not refused("/m/ledger.db", tmp_path / "mountinfo")
    assert not refused("/m/ledger.db", tmp_path / "no-such-file")


def test_the_list_of_this_machine_can_be_read(tmp_path: Path) -> None:
    """The folder of the tests is on a disk, and the kernel's own list says nothing else."""
    refuse_network(str(tmp_path / "ledger.db"))


def test_the_ledger_is_refused_before_it_is_touched(tmp_path: Path, clock: Clock) -> None:
    """Nothing is made where the file would have been."""
    (tmp_path / "net").mkdir()
    mounts = listed(tmp_path, mount(30, f"{tmp_path}/net", "nfs4"))
    with pytest.raises(SettingsInvalid, match="network file system"):
        Database(f"sqlite:///{tmp_path}/net/ledger.db", clock=clock, token=str, mountinfo=mounts)

    assert list((tmp_path / "net").iterdir()) == []
