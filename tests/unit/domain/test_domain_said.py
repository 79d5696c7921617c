from __future__ import annotations

from typing import Any

from domain_examples import type_with

from dispatcher.domain.fields import parse_fields, said_fields
from dispatcher.domain.said import PerLanguage, Said, said_to


def heard(language: str, fields: dict[str, Any], **given: Any) -> dict[str, Any]:
    spec = type_with(fields)
    values, problems = parse_fields(spec, given)
    assert not problems
    return said_fields(spec, values, language)


def test_a_reader_gets_their_language_else_english_else_the_first() -> None:
    """What was not given in the reader's language comes in English, or as it was given first."""
    both, foreign = {"ja": "停止", "en": "Outage"}, {"it": "Guasto", "de": "Ausfall"}

    for language, value, said in (
        ("ja", both, ("停止", "ja")),
        ("fr", both, ("Outage", "en")),
        ("fr", foreign, ("Guasto", "it")),
        ("fr", "Plain", ("Plain", "en")),
    ):
        found = heard(language, {"what": {}}, what=value)["what"]

        assert (found, found.language) == said
        assert isinstance(found, Said)


def test_every_text_knows_its_language() -> None:
    """Paragraphs, entries and cells each say what they are in; numbers and choices are what they were."""
    fields = {
        "body": {"kind": "paragraphs"},
        "steps": {"kind": "list"},
        "rows": {"kind": "table", "columns": {"at": {"label": "At", "kind": "date"}, "area": {"label": "A"}}},
        "state": {"kind": "choice", "choices": {"a": "A"}},
        "gone": {},
    }
    given = {
        "body": {"de": "Eins.\n\nZwei."},
        "steps": ["one", {"de": "zwei"}],
        "rows": [{"at": "2027-03-06", "area": {"de": "Verkauf"}}],
        "state": "a",
    }
    said = heard("de", fields, **given)

    assert [text.language for text in said["body"]] == ["de", "de"]
    assert [(text, text.language) for text in said["steps"]] == [("one", "en"), ("zwei", "de")]
    assert said["rows"][0]["area"].language == "de"
    assert (type(said["state"]), said["gone"]) == (str, None)


def test_what_names_something_names_it_the_same_for_all() -> None:
    """As plain text a value per language is the English one, whoever reads it."""
    assert str(PerLanguage({"de": "Zug", "en": "Train"})) == "Train"
    assert str(PerLanguage({"de": "Zug"})) == "Zug"
    assert said_to("de", 5) == 5
