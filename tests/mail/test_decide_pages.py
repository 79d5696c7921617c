"""The pages behind links to decide, in every language, before the same checkers as the mails."""

from __future__ import annotations

from pathlib import Path

import pytest
from decide_pages import write_pages

from mail.checkers import browser, validator


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decide")
    write_pages(folder)
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
