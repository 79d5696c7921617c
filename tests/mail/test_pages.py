"""The pages behind the links of mails, in every language, before the same checkers as the mails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import choice_pages
import decide_pages
import pytest

from mail.checkers import browser, validator


@pytest.fixture(
    scope="module", params=[choice_pages.write_pages, decide_pages.write_pages], ids=["choices", "decide"]
)
def pages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of the links to opt out, and those of the links to decide."""
    folder = tmp_path_factory.mktemp("pages")
    write: Callable[[Path], object] = request.param
    write(folder)
    return folder


@pytest.mark.debian
@pytest.mark.timeout(560)
def test_the_pages_are_accessible(pages: Path) -> None:
    """No violation of WCAG A and AA and nothing that scrolls sideways, in light and dark, wide and narrow."""
    looks = browser(pages)

    assert len(looks) == len(list(pages.glob("*.html")))
    assert {name: look["violations"] for name, look in looks.items() if look["violations"]} == {}
    assert {name: look["overflow"] for name, look in looks.items() if look["overflow"]} == {}


def test_the_pages_are_valid(pages: Path) -> None:
    """The W3C's validator finds no error."""
    assert {name: found for name, found in validator(pages).items() if found} == {}
