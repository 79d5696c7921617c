"""`gallery` and `preview` as a user types them."""

from __future__ import annotations

import shutil
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from program import SECONDS, dispatcher, started


def test_a_gallery_is_written_and_written_again(root: Path, tmp_path: Path) -> None:
    """The second run takes the folder that the first one made, and only the types asked for are left."""
    folder = tmp_path / "gallery"
    first = dispatcher(root, "gallery", "--out", str(folder), "--type", "post-incident-report")
    arguments = ("--type", "planned-maintenance", "--language", "de", "--language", "en")
    second = dispatcher(root, "gallery", "--out", str(folder), *arguments, "--instance", "contoso-prod")

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "Wrote 1 mail. Look" in first.err
    assert f"Look at {folder / 'index.html'}" in second.err
    assert sorted(path.name for path in folder.iterdir()) == [
        "gallery.json",
        "index.html",
        "planned-maintenance",
    ]
    assert "Contoso Production" in (folder / "planned-maintenance/de/mail.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--type", "planned-maintenence"), "planned-maintenance"),
        (("--language", "nl"), "give one of en, ja"),
        (("--instance", "contoso"), "contoso-prod"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(
    root: Path, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    """A wrong type, language or instance ends with 2, names what there is, and writes nothing."""
    done = dispatcher(root, "gallery", "--out", str(tmp_path / "gallery"), *arguments)

    assert done.code == 2
    assert told.casefold() in done.err.casefold()
    assert not (tmp_path / "gallery").exists()


def test_a_folder_of_somebody_else_is_refused(root: Path, tmp_path: Path) -> None:
    """What lies in it stays."""
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    done = dispatcher(root, "gallery", "--out", str(tmp_path))

    assert done.code == 2
    assert "no gallery" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_broken_template_leaves_the_last_gallery_as_it_was(root: Path, tmp_path: Path) -> None:
    """Everything is rendered before anything is written."""
    broken = tmp_path / "root"
    shutil.copytree(root, broken, ignore=shutil.ignore_patterns(".dispatcher"))
    folder = tmp_path / "gallery"
    arguments = ("--out", str(folder), "--type", "planned-maintenance", "--language", "en")
    dispatcher(broken, "gallery", *arguments)
    before = (folder / "planned-maintenance/en/mail.eml").read_bytes()
    (broken / "templates" / "maintenance.txt.j2").write_text("{{ nope }}\n", encoding="utf-8")
    done = dispatcher(broken, "gallery", *arguments)

    assert done.code == 2
    assert "templates/maintenance.txt.j2:1" in done.err
    assert (folder / "planned-maintenance/en/mail.eml").read_bytes() == before


def test_the_preview_is_served_until_it_is_interrupted(root: Path) -> None:
    """Its address is the first line; Ctrl-C ends it with 0 and without a traceback."""
    process = started(root, "preview", "--type", "planned-maintenance")
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{url}/planned-maintenance/ja/index.html", timeout=SECONDS) as answer:
            page = answer.read().decode()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        code = process.wait(timeout=SECONDS)
    finally:
        process.kill()
        process.stdout.close()

    assert url.startswith("http://127.0.0.1:")
    assert "Asia/Tokyo" in page
    assert code == 0
    assert "Traceback" not in rest


def test_a_preview_without_a_catalogue_starts_and_says_what_is_wrong(root: Path, tmp_path: Path) -> None:
    """Whoever begins with a broken catalogue mends it with the preview open."""
    process = started(tmp_path, "preview")
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split()[-1]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/index.html", timeout=SECONDS)
        process.terminate()
        process.stdout.read()
        code = process.wait(timeout=SECONDS)
    finally:
        process.kill()
        process.stdout.close()

    with refused.value as page:
        assert "catalogue.yaml" in page.read().decode()
    assert code == 0
