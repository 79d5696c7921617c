"""YAML text to plain data with places."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.files.source import dotted, parse, resolve

TEXT = ("no", "yes", "on", "off", "12:30", "2027-03-31", "1.2.3", "1_000", "0b1", "1e", "+", ".", "nul",
        ".inf", ".nan", "-.inf", "9" * 20, "True story", "=", "<<", "0o8", "0xg", "e5")  # fmt: skip
OTHER = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "FALSE": False,
    "0": 0, "-7": -7, "+7": 7, "007": 7, "0o17": 15, "0x1F": 31,
    "1.5": 1.5, "-.5": -0.5, "1.": 1.0, "1e3": 1000.0, "6.02E+23": 6.02e23,
}  # fmt: skip

_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcdefghij -:#", min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("text", TEXT)
def test_what_looks_like_text_is_text(text: str) -> None:
    """No country becomes false, no time a number, no date an object."""
    assert resolve(text) == text


@pytest.mark.parametrize("text", OTHER)
def test_plain_scalars_follow_yaml_1_2(text: str) -> None:
    """Null, booleans and numbers are those of YAML 1.2's core schema."""
    value = resolve(text)

    assert value == OTHER[text]
    assert type(value) is type(OTHER[text])


@pytest.mark.parametrize("text", ["9.1", "true", "null", "~", ""])
def test_what_is_quoted_is_text(text: str) -> None:
    """Quotes, single or double, and blocks make text of anything."""
    document = parse(f"- \"{text}\"\n- '{text}'\n- |-\n  {text or 'x'}\n".encode(), "x.yaml")

    assert document.data == [text, text, text or "x"]


@given(_JSON)
@settings(max_examples=150, deadline=None)
def test_json_is_read_as_itself(value: Any) -> None:
    """Any JSON text is YAML that means the same."""
    document = parse(json.dumps(value, ensure_ascii=False).encode(), "x.json")

    assert document.problems == []
    assert document.data == value


@given(st.binary(max_size=200) | st.text("a:-[]{}&*!|>'\"# \n\t?,%@`~", max_size=60).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_the_reader_raise(raw: bytes) -> None:
    """Whatever the bytes, there is data or there are problems with a place, never an exception."""
    document = parse(raw, "x.yaml")

    assert document.complete or document.problems
    assert all(problem.where.startswith("x.yaml:") and problem.what for problem in document.problems)


def test_every_key_and_value_has_its_place() -> None:
    """Lines and columns count from 1; what is not there is placed with what would hold it."""
    document = parse("# ü\nadmins:\n  - ü@x.example\n  - {address: a, name: b}\n".encode(), "r/x.yaml")

    assert document.where(()) == "r/x.yaml:2:1"
    assert document.where(("admins",), key=True) == "r/x.yaml:2:1"
    assert document.where(("admins",)) == "r/x.yaml:3:3"
    assert document.where(("admins", 0)) == "r/x.yaml:3:5"
    assert document.where(("admins", 1, "name"), key=True) == "r/x.yaml:4:18"
    assert document.where(("admins", 1, "name")) == "r/x.yaml:4:24"
    assert document.where(("admins", 1, "line"), key=True) == "r/x.yaml:4:5"
    assert document.where(("users", 5, "x")) == "r/x.yaml:2:1"


def test_a_number_remembers_how_it_was_written() -> None:
    """9.10 is 9.1 as a number; the message must quote what stands there."""
    document = parse(b"version: 9.10\n", "x.yaml")

    assert document.data == {"version": 9.1}
    assert document.plain == {("version",): "9.10"}


def test_the_first_of_two_equal_keys_counts_and_the_second_is_still_read() -> None:
    """A fault within the value of a repeated key is found in the same run."""
    document = parse(b"a: 1\na: {b: 1, b: 2}\nc: 3\n", "x.yaml")

    assert document.data == {"a": 1, "c": 3}
    assert [problem.where for problem in document.problems] == ["x.yaml:2:1", "x.yaml:2:11"]


def test_a_byte_order_mark_is_no_fault() -> None:
    """Some editors begin a UTF-8 file with one."""
    document = parse(b"\xef\xbb\xbfinstance: x\n", "x.yaml")

    assert (document.problems, document.data) == ([], {"instance": "x"})


def test_paths_are_written_as_people_write_them() -> None:
    """Indexes stand in brackets, keys behind dots, odd keys in quotes."""
    assert dotted(("recipients", 0, "only", 1)) == "recipients[0].only[1]"
    assert dotted(("types", "Bad key")) == "types.'Bad key'"
    assert dotted(()) == ""
