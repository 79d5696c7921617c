"""A real Chromium that looks at one page."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
_QUIET = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--disable-lcd-text",
    "--font-render-hinting=none",
    "--virtual-time-budget=5000",
)
_SECONDS = 60


class NoChromiumError(Exception):
    """There is none on this machine."""


def chromium() -> str:
    """The path of Chromium: the environment variable CHROMIUM, else the first that is found."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise NoChromiumError(
            "No Chromium was found. Install it (Debian: apt-get install chromium fonts-noto-cjk), "
            "or set CHROMIUM to its path."
        )
    return found


def shot(page: Path | str, width: int, height: int, *options: str) -> bytes:
    """A picture of the page as a PNG, one pixel for each of CSS."""
    url = page if isinstance(page, str) else page.absolute().as_uri()
    with TemporaryDirectory() as folder:
        file = Path(folder, "shot.png")
        _run(folder, f"--window-size={width},{height}", f"--screenshot={file}", *options, url)
        return file.read_bytes()


def dom(page: Path | str) -> str:
    """The page's HTML once it was loaded."""
    url = page if isinstance(page, str) else page.absolute().as_uri()
    with TemporaryDirectory() as folder:
        return _run(folder, "--dump-dom", url)


def _run(folder: str, *arguments: str) -> str:
    # Inside a container root has no sandbox to go into; nobody else may do without.
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    done = subprocess.run(
        [chromium(), *_QUIET, *sandbox, f"--user-data-dir={folder}/profile", *arguments],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"Chromium ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
