"""The gallery's pages under the same checkers as mails, and what Chromium makes of its copies."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pictures.browser import NAMES, shot
from pictures.png import read
from program import PROJECT

from dispatcher import environment
from dispatcher.app import open_project
from dispatcher.cli.gallery import render_all, site_of
from dispatcher.cli.gallery_folder import write_gallery
from dispatcher.flow.gallery import Gallery
from mail.checkers import browser, validator
from mail.tools import program

KEY = "planned-maintenance"
NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
#: What the system of the viewer prefers, as Chromium's own switch.
PREFERS = {
    "dark": "--blink-settings=preferredColorScheme=0",
    "light": "--blink-settings=preferredColorScheme=1",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of one type in two languages."""
    folder = tmp_path_factory.mktemp("gallery")
    project = open_project(environment.load(PROJECT), cached=False)
    gallery = Gallery(project.catalogue, project.renderer, NOW)
    wings = render_all(gallery, list(gallery.rooms((KEY,), ("en", "ja"))))
    write_gallery(folder, site_of(gallery, wings, project.catalogue.service.name))
    return folder


@pytest.fixture(scope="module")
def pages(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index and a mail's page in one folder, as the checkers want them."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "index.html").write_bytes((site / "index.html").read_bytes())
    (folder / "mail.html").write_bytes((site / KEY / "ja" / "index.html").read_bytes())
    return folder


@pytest.fixture(scope="module")
def chromium() -> str:
    """The path of Chromium; the tests that need it say so here."""
    return program(*NAMES)


@pytest.mark.debian
@pytest.mark.parametrize("system", PREFERS)
def test_copies_look_the_same_on_every_system(site: Path, chromium: str, system: str) -> None:
    """The dark copy is dark and the light one light, whatever the viewer's system prefers."""
    seen = {
        shade: read(shot(site / KEY / "en" / f"{shade}.html", 640, 500, PREFERS[system])).lightness
        for shade in ("light", "dark", "inverted", "lightness")
    }

    assert seen["light"] > 0.8
    assert seen["dark"] < 0.3
    assert seen["inverted"] < 0.3
    assert seen["lightness"] < 0.3


@pytest.mark.debian
def test_the_system_decides_where_nobody_decided_for_it(site: Path, chromium: str) -> None:
    """The mail as sent follows the system: the control of the test above."""
    seen = {
        system: read(shot(site / KEY / "en" / "mail.html", 640, 500, switch)).lightness
        for system, switch in PREFERS.items()
    }

    assert seen["dark"] < 0.3 < 0.8 < seen["light"]


@pytest.mark.debian
def test_a_page_shows_its_mail_from_a_folder(site: Path, chromium: str) -> None:
    """Without a server and under its own policy a page shows the mail that it frames."""
    project = open_project(environment.load(PROJECT), cached=False)
    banner = int(project.catalogue.banners["maintenance"].background.removeprefix("#"), 16)
    picture = read(shot(site / KEY / "en" / "index.html", 1200, 700))

    assert sum(row.count(banner) for row in picture.rows) > 20_000


@pytest.mark.debian
def test_the_pages_are_accessible(pages: Path, chromium: str) -> None:
    """No violation of WCAG A and AA and nothing that scrolls sideways, in light and dark, wide and narrow."""
    looks = browser(pages)

    assert {name: look["violations"] for name, look in looks.items()} == {"index.html": [], "mail.html": []}
    assert {name: look["overflow"] for name, look in looks.items()} == {"index.html": 0, "mail.html": 0}


def test_the_pages_are_valid(pages: Path) -> None:
    """The W3C's validator finds no error."""
    assert validator(pages) == {"index.html": [], "mail.html": []}
