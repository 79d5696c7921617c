from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from domain_examples import steady
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.catalogue import Column, FieldSpec
from dispatcher.domain.said import PerLanguage
from dispatcher.domain.values import ValueInvalid, expected, parse_value


def field(kind: str, **more: Any) -> FieldSpec:
    return FieldSpec.model_validate({"kind": kind, "label": "Label"} | more)


CHOICE = field("choice", choices={"A": "critical", "b-2": "minor"})
TABLE = field(
    "table", columns={"area": {"label": "Area"}, "at": {"label": "At", "kind": "date", "required": False}}
)
DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]

RIGHT = (
    (field("text"), "  Storage is replaced \n", "Storage is replaced"),
    (field("text"), "x" * 500, "x" * 500),
    (field("text"), "<b>{{ 7*7 }}</b> ✓ 漢字", "<b>{{ 7*7 }}</b> ✓ 漢字"),
    (field("paragraphs"), "One\nline.\n\nTwo.", ("One line.", "Two.")),
    (field("paragraphs"), "One.\r\n \r\n\r\n\tTwo  words.\n", ("One.", "Two words.")),
    (field("paragraphs"), "Attention\u00a0: non", ("Attention\u00a0: non",)),
    (field("paragraphs"), "x" * 20_000, ("x" * 20_000,)),
    (field("datetime"), "2027-03-06T22:00+01:00", datetime(2027, 3, 6, 21, tzinfo=UTC)),
    (field("date"), "2028-02-29", date(2028, 2, 29)),
    (field("date"), " 1970-01-01 ", date(1970, 1, 1)),
    (field("duration"), "PT2H30M", timedelta(hours=2, minutes=30)),
    (field("duration"), "2h 30m", timedelta(hours=2, minutes=30)),
    (field("url"), " https://example.com/a?b=c#d ", "https://example.com/a?b=c#d"),
    (field("url"), "http://[2001:db8::1]:8080/", "http://[2001:db8::1]:8080/"),
    (field("url"), "https://xn--bcher-kva.example/ü", "https://xn--bcher-kva.example/ü"),
    (field("integer"), -(2**63) + 1, -(2**63) + 1),
    (field("integer"), 0, 0),
    (field("boolean"), False, False),
    (field("boolean"), True, True),
    (field("address"), " Ops@Example.COM ", "Ops@example.com"),
    (CHOICE, "b-2", "b-2"),
    (field("list"), ["one", " two "], ("one", "two")),
    (field("list"), ["x"] * 200, ("x",) * 200),
    (field("list", items="date"), ["2027-03-06"], (date(2027, 3, 6),)),
    (field("list", items="url"), ["https://example.com"], ("https://example.com",)),
    (field("list", items="datetime"), ["2027-03-06T22:00Z"], (datetime(2027, 3, 6, 22, tzinfo=UTC),)),
    (TABLE, [{"area": "Sales", "at": "2027-03-06"}], ({"area": "Sales", "at": date(2027, 3, 6)},)),
    (TABLE, [{"area": "Sales"}], ({"area": "Sales", "at": None},)),
    (TABLE, [{"area": "HR", "at": None}], ({"area": "HR", "at": None},)),
)  # fmt: skip

COMMA = "holds a comma or a semicolon; write several addresses as several entries"
CONTROL = "has a line break or another control character; write one address on one line"
WRONG: tuple[tuple[FieldSpec, Any, str], ...] = (
    (field("text"), 10.0, "is a number, not text"),
    (field("text"), True, "is true or false, not text"),
    (field("text"), ["a"], "is a list, not text"),
    (field("text"), {"a": "x"}, "is given in 'a', which is none of the nine languages"),
    (field("text"), {"en": "x", "jp": "x"}, "is given in 'jp', which is none of the nine languages"),
    (field("text"), {}, "is an object without a language"),
    (field("text"), {"en": "x", "ja": ""}, "ja: is empty"),
    (field("text"), {"en": {"en": "x"}}, "en: is an object, not text"),
    (field("paragraphs"), {"de": "x" * 20_001}, "de: is 20001 characters long"),
    (field("url"), {"de": "seite"}, "de: 'seite' is no web address"),
    (field("list"), {"de": ["x", 5]}, "de: entry 2: is a number, not text"),
    (field("list"), ["x", {"at": "x"}], "entry 2: is given in 'at', which is none of the nine languages"),
    (field("list", items="date"), {"en": ["2027-03-06"]}, "is an object, not a list"),
    (field("integer"), {"en": 1}, "an object is no whole number"),
    (field("date"), {"en": "2027-03-06"}, "an object is no date"),
    (CHOICE, {"en": "A"}, "an object is none of the choices"),
    (TABLE, [{"area": {"xx": "y"}}], "entry 1: area: is given in 'xx', which is none of the nine languages"),
    (field("text"), date(2027, 1, 1), "is a date, not text"),
    (field("text"), " \n ", "is empty"),
    (field("text"), "x" * 501, "is 501 characters long"),
    (field("text"), "one\ntwo", "holds a line break or another control character"),
    (field("text"), "one\x1b[31mtwo", "holds a line break or another control character"),
    (field("text"), "one\u2028two", "holds a line break or another control character"),
    (field("text"), "one\ud800two", "holds a line break or another control character"),
    (field("paragraphs"), 5, "is a number, not text"),
    (field("paragraphs"), "\n\n \n", "is empty"),
    (field("paragraphs"), "x" * 20_001, "is 20001 characters long"),
    (field("text"), "one\ufffetwo", "holds a line break or another control character"),
    (field("paragraphs"), "one\x00two", "holds control characters"),
    (field("paragraphs"), "one\uffff", "holds control characters"),
    (field("paragraphs"), "one\udfff", "holds control characters"),
    (field("datetime"), "2027-03-06T22:00", "'2027-03-06T22:00' has no offset from UTC"),
    (field("datetime"), "0001-01-01T00:00Z", "'0001-01-01T00:00Z' is not in the years 1970 to 9000"),
    (field("datetime"), "next week", "'next week' is no date and time"),
    (field("datetime"), 1_800_000_000, "1800000000 is no date and time"),
    (field("datetime"), DEEP, "a list is no date and time"),
    (field("date"), "2027-02-29", "'2027-02-29' is no date"),
    (field("date"), "2027-W10-6", "'2027-W10-6' is no date"),
    (field("date"), "20270306", "'20270306' is no date"),
    (field("date"), "2027-03-06T22:00Z", "'2027-03-06T22:00Z' is no date"),
    (field("date"), "0001-01-01", "'0001-01-01' is not in the years 1970 to 9000"),
    (field("date"), "９０00-01-01", "'９０00-01-01' is no date"),
    (field("date"), 20270306, "20270306 is no date"),
    (field("duration"), "soon", "'soon' is no duration up to ten years"),
    (field("duration"), 90, "90 is no duration up to ten years"),
    (field("duration"), "P4000D", "'P4000D' is no duration up to ten years"),
    (field("url"), "example.com", "'example.com' is no web address"),
    (field("url"), "javascript:alert(1)", "'javascript:alert(1)' is no web address"),
    (field("url"), "https:///path", "'https:///path' is no web address"),
    (field("url"), "https://user@example.com", "'https://user@example.com' is no web address"),
    (field("url"), "https://@example.com", "'https://@example.com' is no web address"),
    (field("url"), "https://:p@example.com", "'https://:p@example.com' is no web address"),
    (field("url"), "https://example.com:99999", "'https://example.com:99999' is no web address"),
    (field("url"), "https://example.com:x", "'https://example.com:x' is no web address"),
    (field("url"), "https://[::1", "'https://[::1' is no web address"),
    (field("url"), "https://example.com/a b", "'https://example.com/a b' is no web address"),
    (field("url"), 'https://example.com/"', "'https://example.com/\"' is no web address"),
    (field("url"), "https://example.com/\ud800", r"'https://example.com/\ud800' is no web address"),
    (field("url"), "https://example.com/\nx", r"'https://example.com/\nx' is no web address"),
    (field("url"), "https://e.com/" + "x" * 2000, "'https://e.com/" + "x" * 42 + "… is no web address"),
    (field("url"), 5, "5 is no web address"),
    (field("integer"), 1.0, "1.0 is no whole number"),
    (field("integer"), "1", "'1' is no whole number"),
    (field("integer"), True, "true is no whole number"),
    (field("integer"), 2**63, "9223372036854775808 is no whole number"),
    (field("integer"), 10**5000, "a number of more than 50 digits is no whole number"),
    (field("integer"), float("nan"), "nan is no whole number"),
    (field("boolean"), "true", "'true' is neither true nor false"),
    (field("boolean"), 1, "1 is neither true nor false"),
    (field("address"), 5, "is a number, not a mail address"),
    (field("address"), "ops", "'ops' is not of the form name@example.com"),
    (field("address"), "a b@example.com", "'a b@example.com' holds a blank; an address has none"),
    (field("address"), "a@b.c, d@e.f", f"'a@b.c, d@e.f' {COMMA}"),
    (field("address"), "a\n@b.c", rf"'a\n@b.c' {CONTROL}"),
    (CHOICE, "C", "'C' is none of the choices"),
    (CHOICE, "a", "'a' is none of the choices"),
    (CHOICE, ["A"], "a list is none of the choices"),
    (field("list"), "one", "is text, not a list"),
    (field("list"), [], "has 0 entries"),
    (field("list"), ["x"] * 201, "has 201 entries"),
    (field("list"), ["one", ""], "entry 2: is empty"),
    (field("list"), [None], "entry 1: is nothing, not text"),
    (field("list"), [DEEP], "entry 1: is a list, not text"),
    (field("list", items="date"), ["2027-03-06", "x"], "entry 2: 'x' is no date"),
    (TABLE, {"area": "Sales"}, "is an object, not a list"),
    (TABLE, [], "has 0 entries"),
    (TABLE, ["Sales"], "entry 1: is text, not an object"),
    (TABLE, [{"area": "Sales", "are": "x", 1: 2}], "entry 1: has no column '1'"),
    (TABLE, [{"area": "Sales"}, {}], "entry 2: lacks 'area'"),
    (TABLE, [{"area": "Sales", "at": "soon"}], "entry 1: at: 'soon' is no date"),
)  # fmt: skip


PER_LANGUAGE = (
    (field("text"), {"en": " Disk ", "ja": "ディスク"}, {"en": "Disk", "ja": "ディスク"}),
    (field("paragraphs"), {"de": "Eins.\n\nZwei."}, {"de": ("Eins.", "Zwei.")}),
    (field("url"), {"fr": "https://example.com/fr"}, {"fr": "https://example.com/fr"}),
    (field("list"), {"en": ["one"], "it": ["uno"]}, {"en": ("one",), "it": ("uno",)}),
)


@pytest.mark.parametrize(("spec", "value", "values"), PER_LANGUAGE)
def test_words_may_be_given_per_language(spec: FieldSpec, value: Any, values: dict[str, Any]) -> None:
    """Text, paragraphs, a link and a list of them may be an object by language."""
    assert parse_value(spec, value) == PerLanguage(values)


def test_an_entry_and_a_cell_may_be_given_per_language() -> None:
    """Within a list or a table some words may be given per language, and others once."""
    assert parse_value(field("list"), ["a", {"de": "b"}]) == ("a", PerLanguage({"de": "b"}))
    assert parse_value(TABLE, [{"area": {"de": "Verkauf"}}])[0]["area"] == PerLanguage({"de": "Verkauf"})


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        ("jp", "did you mean ja"),
        ("JA", "did you mean ja"),
        ("pt-BR", "did you mean pt"),
        ("zh_CN", "did you mean zh-Hans"),
        ("zh", "did you mean zh-Hans or zh-Hant"),
        ("zh-hant", "did you mean zh-Hant"),
        ("xx", "use en, ja, es, fr, de, it, pt, zh-Hant, zh-Hans"),
    ],
)
def test_a_wrong_language_names_the_one_that_was_meant(code: str, fix: str) -> None:
    """Codes of countries and other spellings lead to the language that was meant."""
    with pytest.raises(ValueInvalid) as refused:
        parse_value(field("text"), {code: "x"})

    assert refused.value.args[1] == fix


@pytest.mark.parametrize(("spec", "value", "parsed"), RIGHT, ids=lambda value: getattr(value, "kind", None))
def test_a_right_value_becomes_its_type(spec: FieldSpec, value: Any, parsed: Any) -> None:
    """A plain JSON value becomes the type that its kind says."""
    result = parse_value(spec, value)

    assert result == parsed
    assert type(result) is type(parsed)


@pytest.mark.parametrize(
    ("spec", "value", "message"), WRONG, ids=[f"{spec.kind}-{n}" for n, (spec, _, _) in enumerate(WRONG)]
)
def test_a_wrong_value_is_refused_with_what_is_wrong(spec: FieldSpec, value: Any, message: str) -> None:
    """The refusal says in words what is wrong, quoting little and nothing that could break a terminal."""
    with pytest.raises(ValueInvalid) as refused:
        parse_value(spec, value)

    assert refused.value.args[0] == message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("spec", "value", "fix"),
    [
        (field("list", items="date"), ["x"], "give a date like 2027-03-06"),
        (field("list", items="url"), ["x"], "give an address that begins with https:// or http://"),
        (TABLE, [{"area": "a", "at": "x"}], "give a date like 2027-03-06"),
        (TABLE, [{}], "give text on one line, at most 500 characters"),
        (TABLE, [{"x": 1}], "the columns are area, at"),
        (TABLE, ["x"], "give a list of 1 to 200 objects with area, at"),
    ],
)
def test_a_wrong_entry_says_what_an_entry_should_be(spec: FieldSpec, value: Any, fix: str) -> None:
    """Within a list or table the advice is about the entry, not about the list."""
    with pytest.raises(ValueInvalid) as refused:
        parse_value(spec, value)

    assert refused.value.args[1] == fix


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (field("text"), "give text on one line, at most 500 characters"),
        (field("paragraphs"), "give text, at most 20000 characters, paragraphs parted by a blank line"),
        (
            field("datetime"),
            "give a date and time with offset, like 2027-03-06T22:00+01:00 or 2027-03-06T21:00Z",
        ),
        (field("date"), "give a date like 2027-03-06"),
        (field("duration"), "give a duration like PT2H30M or 2h 30m"),
        (field("url"), "give an address that begins with https:// or http://"),
        (field("integer"), "give a whole number"),
        (field("boolean"), "give true or false"),
        (field("list"), "give a list of 1 to 200 entries"),
        (field("address"), "give one mail address, like name@example.com"),
        (CHOICE, "give one of A, b-2"),
        (TABLE, "give a list of 1 to 200 objects with area, at"),
        (Column(label="At", kind="date"), "give a date like 2027-03-06"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_every_kind_says_what_it_expects(spec: FieldSpec | Column, text: str) -> None:
    """Each kind has a sentence on what would be right."""
    assert expected(spec) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SPECS = [spec for spec, _, _ in RIGHT]


@steady
@given(st.sampled_from(SPECS), JSON)
def test_any_json_is_parsed_or_refused(spec: FieldSpec, value: Any) -> None:
    """Whatever comes, it is a value or a `ValueInvalid` with a short sentence, never another error."""
    message = "accepted"
    try:
        parse_value(spec, value)
    except ValueInvalid as error:
        message = error.args[0]

    assert 0 < len(message) < 250
    assert message.isprintable()


def test_text_in_too_many_paragraphs_is_refused() -> None:
    """A thousand paragraphs take seconds to lay out, and nobody reads them."""
    with pytest.raises(ValueInvalid, match="has 101 paragraphs"):
        parse_value(field("paragraphs"), "\n\n".join("a" * 101))
