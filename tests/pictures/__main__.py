"""Write docs/images anew. The moment is fixed, so that a picture changes only with what it shows."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from dispatcher import environment
from dispatcher.app import open_project
from dispatcher.cli.gallery import render_all, site_of
from dispatcher.cli.gallery_folder import write_gallery
from dispatcher.flow.gallery import Gallery
from pictures.browser import NoChromiumError, shot
from pictures.png import read, write

PROJECT = Path(__file__).resolve().parents[2]
IMAGES = PROJECT / "docs" / "images"
NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
#: Bytes; larger ones make a clone slow and a page wait.
MAX_BYTES, MAX_ALL = 60_000, 600_000
#: Taller than any mail; what is left over is cut off.
_TALL = 2400


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.

    Attributes:
        name: Its file in docs/images.
        page: What is shown, within the gallery.
        width: The window's width in pixels.
        height: Its height; 0 for as much as there is.
    """

    name: str
    page: str
    width: int
    height: int = 0


SHOTS = (
    Shot("planned-maintenance", "planned-maintenance/en/light.html", 648),
    Shot("planned-maintenance-dark", "planned-maintenance/en/dark.html", 648),
    Shot("planned-maintenance-phone", "planned-maintenance/en/light.html", 360),
    Shot("update-reminder-de", "update-reminder/de/light.html", 648),
    Shot("major-service-incident-ja", "major-service-incident/ja/light.html", 648),
    Shot("gallery", "index.html", 940, 720),
    Shot("gallery-mail", "update-reminder/de/index.html", 1500, 700),
)


def main() -> int:
    """Take every picture; 1 if one is too large."""
    with TemporaryDirectory() as folder:
        site = Path(folder)
        _lay_out(site)
        sizes = {one.name: _take(site, one) for one in SHOTS}
    for name, size in sizes.items():
        sys.stdout.write(f"docs/images/{name}.png {size:,} B\n")
    large = [name for name, size in sizes.items() if size > MAX_BYTES]
    if large or sum(sizes.values()) > MAX_ALL:
        sys.stderr.write(f"Too large: {', '.join(large) or 'all together'}. Choose a smaller window.\n")
        return 1
    return 0


def _lay_out(folder: Path) -> None:
    project = open_project(environment.load(PROJECT), cached=False)
    gallery = Gallery(project.catalogue, project.renderer, NOW)
    wings = render_all(gallery, list(gallery.rooms()))
    write_gallery(folder, site_of(gallery, wings, project.catalogue.service.name))


def _take(site: Path, wanted: Shot) -> int:
    picture = read(shot(site / wanted.page, wanted.width, wanted.height or _TALL))
    content = write(picture if wanted.height else picture.trimmed())
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / f"{wanted.name}.png").write_bytes(content)
    return len(content)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NoChromiumError as error:
        sys.exit(str(error))
