"""The gallery as files: whole, self-contained, and careful with the folder it is written to."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag

import pytest
from program import PROJECT

from dispatcher import environment
from dispatcher.app import open_project
from dispatcher.cli.gallery import render_all, site_of
from dispatcher.cli.gallery_folder import MARKER, write_gallery
from dispatcher.errors import InvalidInput
from dispatcher.flow.gallery import Exhibit, Gallery, figures
from dispatcher.mail.lint import Finding, Measures

NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
TYPES = ("planned-maintenance", "post-incident-report")
VOID = {"meta", "br"}
BARS = Measures(
    html_bytes=30_000,
    style_bytes=8_000,
    message_bytes=60_000,
    longest_line=78,
    contrast_light=4.5,
    contrast_dark=4.5,
    contrast_inverted=4.5,
    gaps=30,
)


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    project = open_project(environment.load(PROJECT), cached=False)
    return Gallery(project.catalogue, project.renderer, NOW)


@pytest.fixture(scope="module")
def site(gallery: Gallery) -> dict[str, bytes]:
    """Two types, one of them in one language only."""
    return site_of(gallery, render_all(gallery, list(gallery.rooms(TYPES, ("en", "de")))), "Fabrikam")


class Page(HTMLParser):
    """A page's links and frames, and whether every element is closed where it must be."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.frames: list[dict[str, str | None]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.targets += [value for name in ("href", "src") if (value := found.get(name))]
        self.ids += [value] if (value := found.get("id")) else []
        self.frames += [found] if tag == "iframe" else []
        assert tag not in {"script", "link", "img"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass  # closed already

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _pages(site: dict[str, bytes]) -> Iterator[tuple[str, Page]]:
    for name, content in site.items():
        if name.endswith("index.html"):
            yield name, Page(content.decode())


def test_every_link_leads_to_a_file_of_the_gallery(site: dict[str, bytes]) -> None:
    """All links and frames are relative and lead to what is there, fragments included."""
    pages = dict(_pages(site))

    assert len(pages) == 4
    for name, page in pages.items():
        for target in page.targets:
            path, fragment = urldefrag(target)
            found = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            assert found in site, f"{name}: {target}"
            assert not fragment or fragment in pages[found].ids


def test_pages_are_well_formed_and_load_nothing_from_outside(site: dict[str, bytes]) -> None:
    """Elements nest, ids are single, frames are sandboxed and named, no script is needed."""
    for _, page in _pages(site):
        assert page.open == []
        assert len(page.ids) == len(set(page.ids))
        assert all(frame["sandbox"] == "" and frame["title"] for frame in page.frames)
    assert "default-src &#39;none&#39;" in site["index.html"].decode()


def test_a_mail_is_shown_in_every_way(site: dict[str, bytes]) -> None:
    """Beside its page lie the mail as sent, its copies, its text and its source."""
    folder = "planned-maintenance/de/"
    files = {name.removeprefix(folder) for name in site if name.startswith(folder)}
    page = site[f"{folder}index.html"].decode()

    assert files >= {"index.html", "light.html", "dark.html", "inverted.html", "lightness.html"}
    assert files >= {"mail.html", "mail.txt", "mail.eml"}
    assert "MIME-Version: 1.0" in page
    assert "Europe/Berlin" in page
    assert "≤ 30,000 B" in page


def test_the_calendar_attachment_is_shown(gallery: Gallery) -> None:
    """A window's invitation can be read beside the mail that carries it."""
    [room] = gallery.rooms(("planned-maintenance",), ("en",))
    mail = gallery.exhibit(room, "en")

    [(name, content)] = mail.attachments.items()
    assert name.endswith(".ics")
    assert content.startswith("BEGIN:VCALENDAR\n")


def test_the_index_filters_without_a_script(site: dict[str, bytes]) -> None:
    """Each type and language that is shown can be chosen, and a rule hides the others."""
    index = site["index.html"].decode()

    assert '#language option[value="de"]:checked) [data-language]:not([data-language="de"])' in index
    assert '#type option[value="post-incident-report"]:checked)' in index
    assert '<option value="ja">' not in index


def test_types_that_nobody_is_mailed_are_named_and_not_shown(gallery: Gallery) -> None:
    """They are shown only when asked for; the index says why nobody gets them."""
    shown = [room.key for room in gallery.rooms()]
    unmailed = gallery.unmailed()

    assert "update-confirmed" not in shown
    assert unmailed["update-confirmed"].startswith("an approved date")
    assert [room.key for room in gallery.rooms(("update-confirmed",))] == ["update-confirmed"]
    assert {*shown, *unmailed} >= {"planned-maintenance", "security-update"}


def test_figures_at_their_bar_are_kept_and_beyond_it_are_not() -> None:
    """Every figure of email-quality.md has its mark, and 4.499 is less than 4.5."""
    beyond = Measures(30_001, 8_001, 60_001, 79, 4.499, 4.4, 1.0, 31)

    assert all(figure.kept for figure in figures(BARS))
    assert not any(figure.kept for figure in figures(beyond))
    assert [figure.value for figure in figures(beyond)][4] == "4.49"


def test_faults_are_marked(gallery: Gallery) -> None:
    """What misses a figure or a check says so in the index and on its page, in words as well as in colour."""
    [room] = gallery.rooms(("planned-maintenance",), ("en",))
    good = gallery.exhibit(room, "en")
    finding = Finding("contrast", "<b> reads badly", "darken #AAAAAA", ("#AAAAAA",))
    bad = Exhibit(**{name: getattr(good, name) for name in Exhibit.__slots__} | {"findings": (finding,)})
    site = site_of(gallery, [(room, [bad])], "Fabrikam")

    assert "to mend</p>" in site["index.html"].decode()
    assert "&lt;b&gt; reads badly." in site["planned-maintenance/en/index.html"].decode()


def test_a_gallery_is_written_anew_over_an_older_one(tmp_path: Path) -> None:
    """What the older one had and this one has not is removed; what somebody put beside it stays."""
    folder = tmp_path / "gallery"
    write_gallery(folder, {"old/de/index.html": b"old", "index.html": b"old"})
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    write_gallery(folder, {"new/de/index.html": b"new", "index.html": b"new"})

    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == [MARKER, "index.html", "new/de/index.html", "notes.txt"]
    assert not (folder / "old").exists()
    assert (folder / "index.html").read_bytes() == b"new"


@pytest.mark.parametrize("marker", [None, "[]", "{", '{"made_by": "somebody else", "files": []}'])
def test_a_folder_that_is_no_gallery_is_left_alone(tmp_path: Path, marker: str | None) -> None:
    """Nothing is written where somebody keeps something else."""
    (tmp_path / "thesis.html").write_text("mine", encoding="utf-8")
    if marker is not None:
        (tmp_path / MARKER).write_text(marker, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"not empty, and no gallery. Name a new folder"):
        write_gallery(tmp_path, {"index.html": b""})

    assert not (tmp_path / "index.html").exists()


def test_a_marker_cannot_have_files_elsewhere_removed(tmp_path: Path) -> None:
    """A gallery's list names files of the gallery; a path that leads out is passed over."""
    outside = tmp_path / "keep.txt"
    outside.write_text("mine", encoding="utf-8")
    folder = tmp_path / "gallery"
    folder.mkdir()
    listed = {"made_by": "dispatcher gallery", "files": ["../keep.txt", str(outside)]}
    (folder / MARKER).write_text(json.dumps(listed), encoding="utf-8")
    write_gallery(folder, {"index.html": b"new"})

    assert outside.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file in the way is an error that says where and what to do."""
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(InvalidInput, match=r"file.*is no folder"):
        write_gallery(tmp_path / "file", {"index.html": b""})
    with pytest.raises(InvalidInput, match=r"cannot be written.*Choose another --out"):
        write_gallery(tmp_path / "file" / "below", {"index.html": b""})
