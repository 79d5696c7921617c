"""axe-core, sideways scrolling and contrast in Chromium: light and dark, 800 and 360 pixels wide."""

from __future__ import annotations

from pathlib import Path

import pytest

from mail.checkers import Look, browser

LEAST = 4.5
LEAST_BODY = 7.0
KINDS = {"light", "dark", "negative", "lightness"}

pytestmark = [pytest.mark.debian, pytest.mark.timeout(560)]


@pytest.fixture(scope="module")
def looks(folder: Path) -> dict[str, Look]:
    return browser(folder)


@pytest.fixture(scope="module")
def poor_look(poor: Path) -> Look:
    return browser(poor)["poor.html"]


def test_axe_finds_nothing(looks: dict[str, Look]) -> None:
    """No violation of WCAG 2.0 to 2.2, A and AA."""
    assert {name: look["violations"] for name, look in looks.items() if look["violations"]} == {}


def test_nothing_scrolls_sideways(looks: dict[str, Look]) -> None:
    """No mail is wider than the window."""
    assert {name: look["overflow"] for name, look in looks.items() if look["overflow"]} == {}


def test_all_text_can_be_read(looks: dict[str, Look]) -> None:
    """4.5 to 1 everywhere, 7 to 1 outside banner, links and footer: light, dark, inverted both ways."""
    weak = [
        (name, kind, part, shade)
        for name, look in looks.items()
        for kind, parts in look["contrast"].items()
        for part, shade in parts.items()
        if shade["ratio"] < (LEAST_BODY if part == "body" else LEAST)
    ]

    assert weak == []
    assert all(look["contrast"].keys() == KINDS for look in looks.values())


def test_axe_sees_a_poor_mail(poor_look: Look) -> None:
    """The control breaks several rules in each of the four views."""
    rules = {one["rule"] for one in poor_look["violations"]}
    views = {(one["scheme"], one["width"]) for one in poor_look["violations"]}

    assert {"color-contrast", "html-has-lang", "image-alt", "link-name"} <= rules
    assert len(views) == 4


def test_a_poor_mail_scrolls_and_cannot_be_read(poor_look: Look) -> None:
    """The control is too wide, and too pale in each kind of view."""
    assert poor_look["overflow"] > 100
    assert {kind for kind, parts in poor_look["contrast"].items() if parts["all"]["ratio"] < LEAST} == KINDS
