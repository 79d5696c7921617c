"""The store of recipient files, on a real file system."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dispatcher.domain.event import Selection
from dispatcher.files.folder import stat_of
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.files.recipient_version import SETTLE_NS

KEYS = frozenset({"maintenance", "incident"})
LONG_AGO = 1_700_000_000


class Root:
    """A root with recipient files, and stores over it as processes would open them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cache = path / "state" / "recipients.cache"
        self._age = 0
        (path / "recipients").mkdir()

    def write(self, name: str, text: str) -> Path:
        """Write a file, each time with another modification time."""
        path = self.path / "recipients" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self._age += 1
        os.utime(path, (LONG_AGO + self._age, LONG_AGO + self._age))
        return path

    def instance(self, name: str, instance: str, admin: str = "admin@a.example", more: str = "") -> Path:
        return self.write(name, f"instance: {instance}\nadmins: [{admin}]\n{more}")

    def open(self, keys: frozenset[str] = KEYS) -> RecipientStore:
        return RecipientStore(self.path, cache=self.cache, audience_keys=keys)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """A root whose files count as settled however young they are."""
    monkeypatch.setattr("dispatcher.files.recipient_version.SETTLE_NS", -1)
    return Root(tmp_path)


def admin(store: RecipientStore, instance: str) -> str | None:
    found = store.get(instance)
    return found.admins[0].address if found else None


def test_every_file_of_the_folder_and_its_subfolders_counts(root: Root) -> None:
    """Both endings count, hidden files and folders and other files do not; ids are sorted."""
    root.instance("z.yaml", "a-last-file")
    root.instance("emea/b.yml", "b")
    root.instance("emea/de/C.YAML", "c", more="region: emea\n")
    root.instance(".hidden.yaml", "d")
    root.instance(".git/e.yaml", "e")
    root.instance("notes.txt", "f")
    store = root.open()

    assert store.refresh() == []
    assert list(store.ids()) == [one.id for one in store.all()] == ["a-last-file", "b", "c"]
    assert [one.id for one in store.by_region("emea")] == ["c"]
    assert [one.file for one in store.by_region("emea")] == ["recipients/emea/de/C.YAML"]
    assert store.by_region("japan") == []
    assert store.get("d") is None


def test_a_changed_file_counts_at_once_and_a_deleted_one_no_longer(root: Root) -> None:
    """Files are added, changed and removed without a restart."""
    root.instance("a.yaml", "a", "one@a.example")
    store = root.open()
    before = store.get("a")
    root.instance("a.yaml", "a", "two@a.example")
    root.instance("b.yaml", "b")

    assert store.refresh() == []
    assert admin(store, "a") == "two@a.example"
    assert before is not None
    assert before.admins[0].address == "one@a.example"
    assert list(store.ids()) == ["a", "b"]
    (root.path / "recipients" / "a.yaml").unlink()

    assert store.refresh() == []
    assert list(store.ids()) == ["b"]
    assert list(root.open().ids()) == ["b"]


def test_a_change_that_keeps_size_and_modification_time_is_seen(root: Root) -> None:
    """A copy that brings its old time along still moves the change time."""
    path = root.instance("a.yaml", "a", "one@a.example")
    times = path.stat()
    store = root.open()
    path.write_text(path.read_text().replace("one", "two"))
    while path.stat().st_ctime_ns == times.st_ctime_ns or path.stat().st_mtime_ns != times.st_mtime_ns:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    store.refresh()

    assert path.stat().st_size == times.st_size
    assert admin(store, "a") == "two@a.example"


def test_an_unchanged_file_keeps_its_instance(root: Root) -> None:
    """What did not change is not made again."""
    root.instance("a.yaml", "a")
    root.instance("b.yaml", "b")
    store = root.open()
    first = store.get("a")
    root.instance("b.yaml", "b", "two@a.example")
    store.refresh()

    assert store.get("a") is first


def test_a_broken_file_is_set_aside_and_its_last_good_version_stays(root: Root) -> None:
    """A slip costs nobody a mail; the others go on; mending it needs no restart."""
    root.instance("a.yaml", "a", "one@a.example")
    root.instance("b.yaml", "b")
    store = root.open()
    root.write("a.yaml", "instance: a\nadmins: [one@a.example\n")
    problems = store.refresh()

    assert [(one.file, one.in_force) for one in problems] == [("recipients/a.yaml", "a")]
    assert str(problems[0]) == (
        "recipients/a.yaml:3:1: a list in [brackets] lacks a comma or its end; it begins in line 2. "
        "Write [one, two].\nThe file is set aside; the last good version of a stays in force."
    )
    assert admin(store, "a") == "one@a.example"
    assert store.refresh() == problems
    root.instance("a.yaml", "a", "two@a.example")

    assert store.refresh() == []
    assert admin(store, "a") == "two@a.example"


def test_a_file_that_was_never_good_names_nobody(root: Root) -> None:
    """Without an earlier version there is nothing to fall back on, and the problem says so."""
    root.write("a.yaml", "instance: a\n")
    store = root.open()

    assert list(store.ids()) == []
    assert [one.in_force for one in store.refresh()] == [None]
    assert str(store.refresh()[0]).endswith("The file is set aside; nothing of it is in force.")


def test_the_last_good_version_outlives_the_process(root: Root) -> None:
    """A restart while a file is broken changes nothing, however often."""
    root.instance("a.yaml", "a", "one@a.example", "name: A\n")
    root.open()
    root.write("a.yaml", "nonsense")
    for _ in range(3):
        store = root.open()
        found = store.get("a")

        assert found is not None
        assert (found.admins[0].address, found.admins[0].line, found.name) == ("one@a.example", 2, "A")
        assert found.file == "recipients/a.yaml"
        assert [one.in_force for one in store.refresh()] == ["a"]
    root.instance("a.yaml", "a", "two@a.example")

    assert admin(root.open(), "a") == "two@a.example"


def test_a_version_that_only_another_process_saw_is_fallen_back_on(root: Root) -> None:
    """Two processes agree on the last good version of a file that is broken now."""
    root.instance("a.yaml", "a", "one@a.example")
    slow, quick = root.open(), root.open()
    root.instance("a.yaml", "a", "two@a.example")
    quick.refresh()
    root.write("a.yaml", "nonsense")
    slow.refresh()

    assert admin(slow, "a") == "two@a.example"
    assert admin(root.open(), "a") == "two@a.example"


def test_an_older_version_of_another_process_is_not_taken_back(root: Root) -> None:
    """What a slower process wrote last does not undo what this one has seen."""
    root.instance("a.yaml", "a", "one@a.example")
    quick = root.open()
    old = root.cache.read_bytes()
    root.instance("a.yaml", "a", "two@a.example")
    quick.refresh()
    root.write("a.yaml", "nonsense")
    quick.refresh()
    root.cache.write_bytes(old)
    root.instance("b.yaml", "b")
    quick.refresh()

    assert admin(quick, "a") == "two@a.example"


def test_an_empty_folder_after_a_restart_leaves_nothing(root: Root) -> None:
    """The cache brings no deleted file back."""
    root.instance("a.yaml", "a")
    root.open()
    (root.path / "recipients" / "a.yaml").unlink()

    assert list(root.open().ids()) == []


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\x00\xff\n",
        b"null\n",
        b'{"format": 1}\n',
        b'{"format":0,"version":"0.0.0","digest":"cae66941d9efbd404e4d88758ea67670"}\n',
    ],
)
def test_a_cache_that_cannot_be_used_is_ignored_and_written_anew(root: Root, damage: bytes) -> None:
    """Damaged, foreign or of another version: the files are read as if there were none."""
    root.instance("a.yaml", "a")
    root.open()
    good = root.cache.read_bytes()
    root.cache.write_bytes(damage)
    store = root.open()

    assert list(store.ids()) == ["a"]
    assert store.refresh() == []
    assert root.cache.read_bytes() == good


def test_a_cache_with_one_wrong_byte_is_ignored(root: Root) -> None:
    """Wherever it is: a damaged version of a file is never put in force, though there is no other."""
    root.instance("a.yaml", "a", "one@a.example")
    root.open()
    whole = root.cache.read_bytes()
    root.write("a.yaml", "nonsense")
    for place in range(len(whole)):
        root.cache.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])

        assert admin(root.open(), "a") is None
    root.cache.write_bytes(whole)

    assert admin(root.open(), "a") == "one@a.example"


def test_a_cache_that_ends_early_is_ignored(root: Root) -> None:
    """At whichever byte it was cut off."""
    root.instance("a.yaml", "a")
    root.instance("b.yaml", "b")
    root.open()
    whole = root.cache.read_bytes()
    root.write("a.yaml", "nonsense")
    for length in range(len(whole)):
        root.cache.write_bytes(whole[:length])

        assert list(root.open().ids()) == ["b"]


def test_a_state_folder_that_cannot_be_written_is_no_hindrance(root: Root) -> None:
    """Without a cache everything works, but for what outlives the process."""
    root.cache.parent.write_text("a file where the folder should be")
    root.instance("a.yaml", "a", "one@a.example")
    store = root.open()
    root.write("a.yaml", "nonsense")
    store.refresh()

    assert admin(store, "a") == "one@a.example"


def test_the_cache_is_private_and_whole(root: Root) -> None:
    """It names people: its owner alone reads it. Nothing unfinished is left beside it."""
    root.instance("a.yaml", "a")
    root.open()

    assert root.cache.stat().st_mode & 0o077 == 0
    assert [path.name for path in root.cache.parent.iterdir()] == ["recipients.cache"]


def test_nothing_is_written_when_nothing_changed(root: Root) -> None:
    """A second process that finds everything as it was leaves the cache alone."""
    root.instance("a.yaml", "a")
    root.open()
    before = root.cache.stat().st_mtime_ns, root.cache.stat().st_ino
    store = root.open()
    store.refresh()

    assert (root.cache.stat().st_mtime_ns, root.cache.stat().st_ino) == before


def test_two_files_for_one_instance_leave_it_with_the_first_by_path(root: Root) -> None:
    """The other is set aside, and its problem names the first and the line."""
    root.write("b.yaml", "# second\ninstance: x\nadmins: [b@b.example]\n")
    root.instance("a.yaml", "x", "a@a.example")
    store = root.open()
    (problem,) = store.refresh()

    assert admin(store, "x") == "a@a.example"
    assert str(problem.problems[0]) == (
        "recipients/b.yaml:2:11: instance: recipients/a.yaml has the instance 'x' already. "
        "Give this file an id of its own, or delete it."
    )


def test_who_has_an_instance_keeps_it_from_a_newcomer(root: Root) -> None:
    """A new file that comes first by path takes nothing away, also after a restart, until the other goes."""
    root.instance("b.yaml", "x", "b@b.example")
    store = root.open()
    root.instance("a.yaml", "x", "a@a.example")

    assert [one.file for one in store.refresh()] == ["recipients/a.yaml"]
    assert admin(store, "x") == "b@b.example"
    assert admin(root.open(), "x") == "b@b.example"
    (root.path / "recipients" / "b.yaml").unlink()

    assert store.refresh() == []
    assert admin(store, "x") == "a@a.example"


def test_a_file_that_takes_anothers_id_keeps_its_own(root: Root) -> None:
    """An id changed to one that is taken: the file's last good version stays in force under the old id."""
    root.instance("a.yaml", "a", "a@a.example")
    root.instance("b.yaml", "b", "b@b.example")
    store = root.open()
    root.instance("b.yaml", "a", "b2@b.example")
    problems = store.refresh()

    assert [(one.file, one.in_force) for one in problems] == [("recipients/b.yaml", "b")]
    assert (admin(store, "a"), admin(store, "b")) == ("a@a.example", "b@b.example")
    assert (admin(root.open(), "a"), admin(root.open(), "b")) == ("a@a.example", "b@b.example")


def test_ids_may_be_swapped_between_files(root: Root) -> None:
    """What is no clash at the end is no clash."""
    root.instance("a.yaml", "a", "a@a.example")
    root.instance("b.yaml", "b", "b@b.example")
    store = root.open()
    root.instance("a.yaml", "b", "a@a.example")
    root.instance("b.yaml", "a", "b@b.example")

    assert store.refresh() == []
    assert (admin(store, "a"), admin(store, "b")) == ("b@b.example", "a@a.example")


def test_a_word_that_left_the_catalogue_sets_its_files_aside(root: Root) -> None:
    """After a change of the catalogue what was read before is checked again, and nobody is lost meanwhile."""
    root.instance("a.yaml", "a", more="recipients:\n  - {address: b@b.example, only: [incident]}\n")
    root.instance("b.yaml", "b")
    root.open()
    store = root.open(frozenset({"maintenance"}))

    assert [(one.file, one.in_force) for one in store.refresh()] == [("recipients/a.yaml", "a")]
    assert "'incident' is no communication type and no banner" in str(store.refresh()[0])
    assert list(store.ids()) == ["a", "b"]
    assert root.open().refresh() == []


def test_links_within_the_root_count_and_links_out_of_it_do_not(
    root: Root, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Mounted configuration is linked from hidden folders; a link elsewhere could show any file at all."""
    outside = tmp_path_factory.mktemp("outside") / "x.yaml"
    outside.write_text("instance: x\nadmins: [x@x.example]\n")
    folder = root.path / "recipients"
    root.instance("..data/a.yaml", "a")
    (folder / "a.yaml").symlink_to("..data/a.yaml")
    (folder / "out.yaml").symlink_to(outside)
    (folder / "dangling.yaml").symlink_to("nowhere.yaml")
    (folder / "loop").symlink_to(folder)
    store = root.open()

    assert list(store.ids()) == ["a"]
    assert [str(one.problems[0]) for one in store.refresh()] == [
        "recipients/dangling.yaml: this is a link to no file. Remove it, or put a regular file in its place.",
        "recipients/out.yaml: this is a link that leads out of the root. Put the file itself here.",
    ]


def test_a_folder_that_is_a_link_out_of_the_root_is_refused(
    root: Root, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The rule for files holds for the folder too."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x.yaml").write_text("instance: x\nadmins: [x@x.example]\n")
    (root.path / "recipients").rmdir()
    (root.path / "recipients").symlink_to(outside)
    store = root.open()

    assert list(store.ids()) == []
    assert [one.file for one in store.refresh()] == ["recipients"]


def test_what_is_no_file_is_not_opened(root: Root) -> None:
    """A pipe with the name of a recipient file would block whoever opens it."""
    os.mkfifo(root.path / "recipients" / "pipe.yaml")
    store = root.open()

    assert [str(one.problems[0]) for one in store.refresh()] == [
        "recipients/pipe.yaml: this is no file. Remove it, or put a regular file in its place."
    ]


def test_a_missing_folder_is_a_problem_and_no_crash(root: Root) -> None:
    """A root without recipients has no instances, and says what to do."""
    (root.path / "recipients").rmdir()
    store = root.open()

    assert list(store.ids()) == []
    assert [str(one.problems[0]) for one in store.refresh()] == [
        "recipients: the folder does not exist. Make it, with one file for each instance."
    ]


def test_a_file_name_outside_utf_8_is_a_problem_and_no_crash(root: Root) -> None:
    """Such a name could not be logged, stored or shown."""
    name = os.fsencode(root.path / "recipients") + b"/caf\xe9.yaml"
    with open(name, "w") as file:  # noqa: PTH123 - a path of bytes
        file.write("instance: x\nadmins: [x@x.example]\n")
    store = root.open()

    assert [one.file for one in store.refresh()] == ["recipients/caf\\xe9.yaml"]


def test_a_file_that_changed_just_now_is_read_once_more(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two changes within one tick of the file system's clock are both seen."""
    monkeypatch.setattr("dispatcher.files.recipient_version.SETTLE_NS", SETTLE_NS)
    path = root.instance("a.yaml", "a", "one@a.example")
    stat = path.stat()
    same = stat_of(stat)
    monkeypatch.setattr(time, "time_ns", lambda: stat.st_ctime_ns)
    monkeypatch.setattr("dispatcher.files.recipient_version.stat_of", lambda _: same)
    monkeypatch.setattr("dispatcher.files.folder.stat_of", lambda _: same)
    store = root.open()
    path.write_text(path.read_text().replace("one", "two"))
    store.refresh()

    assert admin(store, "a") == "two@a.example"


WRITER = """
import sys
from pathlib import Path
from dispatcher.files.recipient_store import RecipientStore
root = Path(sys.argv[1])
for number in range(20):
    (root / "state" / "recipients.cache").unlink(missing_ok=True)
    store = RecipientStore(root, cache=root / "state" / "recipients.cache", audience_keys=frozenset())
    assert len(store.ids()) == 30 and not store.refresh(), store.refresh()
"""


def test_processes_that_write_at_once_do_no_harm(root: Root) -> None:
    """Several processes open the same root again and again; each sees all, and the cache stays whole."""
    for number in range(30):
        root.instance(f"i{number}.yaml", f"i{number}")
    root.open()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root.path)], env={"PYTHONPATH": os.pathsep.join(sys.path)}
        )
        for _ in range(3)
    ]

    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert len(root.open().ids()) == 30
    assert [path.name for path in root.cache.parent.iterdir()] == ["recipients.cache"]


def test_those_who_name_an_address_are_found(root: Root) -> None:
    """In whichever role and spelling, as whole addresses; more than the limit are counted."""
    root.instance("a.yaml", "a", "Kim@A.example")
    root.instance("b.yaml", "b", more="users: [{address: kim@a.EXAMPLE, name: Kim}]\n")
    root.instance("c.yaml", "c", "akim@a.example", more="name: kim@a.example.org\n")
    root.instance("d.yaml", "d", "other@d.example", more="partners: [kim@a.example]\n")
    store = root.open()

    found, total = store.naming("KIM@a.example", 2)
    assert ([one.id for one in found], total) == (["a", "b"], 3)
    assert store.naming("nobody@a.example", 2) == ([], 0)


def test_what_a_selection_names_is_told_without_making_it(root: Root) -> None:
    """Ids of instances by name, region or all, each once, in force only; of a thread none."""
    root.instance("a.yaml", "a", more="region: emea\n")
    root.instance("b.yaml", "b")
    root.instance("c.yaml", "c", more="region: emea\n")
    store = root.open()

    assert list(store.ids_of(Selection("all"))) == ["a", "b", "c"]
    assert list(store.ids_of(Selection("region", ("emea",)))) == ["a", "c"]
    assert list(store.ids_of(Selection("instances", ("c", "gone", "a", "c")))) == ["c", "a"]
    assert list(store.ids_of(Selection("thread"))) == []
    for selection in (Selection("all"), Selection("region", ("emea",)), Selection("instances", ("c", "a"))):
        assert [one.id for one in store.selected(selection)] == list(store.ids_of(selection))
        assert [one.id for one in store.outlines(selection)] == list(store.ids_of(selection))


def test_an_outline_is_the_instance_without_its_people(root: Root) -> None:
    """All that a file says of the instance itself, also after a restart."""
    more = "region: emea\ntime_zone: Asia/Tokyo\nversion: '9.10'\nholidays: [JP]\nusers: [u@a.example]\n"
    root.instance("a.yaml", "a", more=f"{more}kind: sandbox\nsandbox_of: b\n")
    for store in (root.open(), root.open()):
        full, outline = store.get("a"), store.outline("a")

        assert full is not None
        assert outline == full.model_copy(update={"admins": [], "users": []})
        assert store.outline("gone") is None


def test_sandboxes_follow_the_files(root: Root) -> None:
    """Which instances say they are whose sandboxes is known without making any, and changes with them."""
    root.instance("a.yaml", "a")
    root.instance("b.yaml", "b", more="kind: sandbox\nsandbox_of: a\n")
    store = root.open()

    assert list(store.sandboxes_of("a")) == ["b"]
    assert list(root.open().sandboxes_of("a")) == ["b"]
    root.instance("b.yaml", "b")
    store.refresh()

    assert list(store.sandboxes_of("a")) == []


def test_threads_may_ask_while_files_change(root: Root) -> None:
    """Each gets a whole instance of some version, and nobody fails."""
    for number in range(20):
        root.instance(f"{number}.yaml", f"i{number}", "v0@a.example")
    store = root.open()
    stop = threading.Event()

    def ask() -> set[str | None]:
        seen = set[str | None]()
        while not stop.is_set():
            seen.update(admin(store, name) for name in store.ids())
        return seen

    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask) for _ in range(2)]
        for version in range(1, 6):
            for number in range(20):
                root.instance(f"{number}.yaml", f"i{number}", f"v{version}@a.example")
            store.refresh()
        stop.set()
        seen = asked[0].result(10) | asked[1].result(10)

    assert seen <= {f"v{version}@a.example" for version in range(6)}
    assert {admin(store, name) for name in store.ids()} == {"v5@a.example"}


def test_a_file_of_thousands_is_kept_in_little_room(root: Root) -> None:
    """Fewer than thirty bytes for each person, in memory as in the cache."""
    zones = ("Europe/Berlin", "America/New_York", "Asia/Tokyo")
    people = "".join(
        f"  - {{address: p{number * 7919 % 99991:x}.{number}@a.example, time_zone: {zones[number % 3]}}}\n"
        for number in range(5000)
    )
    root.instance("a.yaml", "a", more=f"recipients:\n{people}")
    store = root.open()
    found = store.get("a")

    assert found is not None
    assert len(found.recipients) == 5000
    assert root.cache.stat().st_size < 5000 * 30
