from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.mail.wrap import wrap


def test_lines_end_between_words_and_keep_their_indent() -> None:
    """A long line is broken between words; what follows stands under the text of its bullet."""
    text = "  - " + "word " * 20

    assert wrap(text, 30).splitlines() == [
        "  - word word word word word",
        *["    word word word word word"] * 3,
    ]


def test_wide_characters_count_twice_and_may_be_parted() -> None:
    """Japanese has no spaces, so a line may end between any two wide characters."""
    assert wrap("保" * 25, 20).splitlines() == ["保" * 10, "保" * 10, "保" * 5]


def test_a_full_stop_never_begins_a_line() -> None:
    """Closing punctuation stays with the word before it."""
    assert wrap("保" * 10 + "。" + "保" * 4, 20).splitlines() == ["保" * 9, "保。" + "保" * 4]


def test_an_address_is_never_broken() -> None:
    """A URL that is too long stands whole on a line of its own."""
    url = "https://status.fabrikam.example/" + "x" * 80

    assert wrap(f"See {url} now", 40).splitlines() == ["See", url, "now"]


def test_blank_lines_are_never_two() -> None:
    """Blank lines come one at a time, and none at the ends."""
    assert wrap("\n\na  \n\n\n \nb\n\n") == "a\n\nb\n"


@given(st.text(alphabet="ab 保。(-1. ", max_size=300))
def test_nothing_is_lost(text: str) -> None:
    """Wrapping moves white space only."""
    assert "".join(wrap(text, 20).split()) == "".join(text.split())
