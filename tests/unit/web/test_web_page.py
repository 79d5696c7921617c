"""The pages behind links in mails: their language, their words, and what a log may hold of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from choice_pages import write_pages

from dispatcher.domain.language import LANGUAGES
from dispatcher.web.guard import loggable
from dispatcher.web.page import asked_language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("de", "de"),
        ("de-AT, en;q=0.8", "de"),
        ("en;q=0.5, FR-ca;q=0.9", "fr"),
        ("nl, it;q=0.1", "it"),
        ("zh-TW", "zh-Hant"),
        ("zh-Hant-HK", "zh-Hant"),
        ("zh-CN,zh;q=0.9", "zh-Hans"),
        ("zh", "zh-Hans"),
        ("de;q=0", "en"),
        ("*", "en"),
        ("nl, tlh", "en"),
        ("de;q=high, ja", "ja"),
        ("x" * 10_000 + ", ja", "en"),
    ],
)
def test_a_browser_asks_for_a_language(header: str | None, language: str) -> None:
    """The best of the nine is taken, by weight, then by order; English where none is asked for."""
    assert asked_language(header) == language


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/events", "/v1/events"),
        ("/choices/1.eyJhIjoiYSJ9.mac", "/choices/1.eyJhIj…"),
        ("/choices/", "/choices/…"),
        ("/v1/" + "x" * 500, "/v1/" + "x" * 196),
    ],
)
def test_a_log_holds_no_whole_link(path: str, shown: str) -> None:
    """Of a link there is enough to find it again, and too little to use it."""
    assert loggable(path) == shown


def test_every_page_stands_on_its_own(tmp_path: Path) -> None:
    """Each page in each language says which it is in, and loads nothing from anywhere."""
    paths = write_pages(tmp_path)

    assert len(paths) == 7 * len(LANGUAGES)
    for path in paths:
        html = path.read_text(encoding="utf-8")
        language = path.name.split(".")[1]
        assert re.search(rf'<html lang="({language}|en)" dir="ltr">', html)
        assert len(re.findall("<h1>[^<]+</h1>", html)) == 1
        assert not re.search(r"<script|<link|<img|src=|url\(|@import|style=", html)
        assert "{{" not in html
