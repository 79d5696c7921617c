from __future__ import annotations

from typing import Any

import pytest
from domain_examples import plain_catalogue, shipped
from pydantic import ValidationError

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.delivery import Lane, OnUncertain


def changed(path: str, value: Any) -> Catalogue:
    """The small catalogue with one value, at a dotted path, replaced or added."""
    data = plain_catalogue()
    *parts, last = path.split(".")
    place: Any = data
    for part in parts:
        place = place[part]
    place[last] = value
    return Catalogue.model_validate(data)


WRONG: tuple[tuple[str, Any], ...] = (
    ("version", 2),
    ("unknown", 1),
    ("senders.others", {"address": "a@example.com", "name": "Others"}),
    ("senders.default.address", "Ann <a@example.com>"),
    ("senders.default.name", "One\nTwo"),
    ("senders.default.name", ""),
    ("senders.default.name", "x" * 301),
    ("banners.Awareness", {}),
    ("banners.awareness.background", "#FFF"),
    ("banners.awareness.background", "BFDDF5"),
    ("banners.awareness.background", "#BFDDF5\n"),
    ("banners.awareness.background", "#GGGGGG"),
    ("banners.awareness.cue", ""),
    ("banners.awareness.cue", "abc"),
    ("types.Note", {}),
    ("types.note.title", "One\x1b[2J"),
    ("types.note.title", "One\u2028Two"),
    ("types.note.subject", "One\r\nBcc: all@example.com"),
    ("types.note.template", "../secret"),
    ("types.note.template", "note.html"),
    ("types.note.audience", {"roles": ["everybody"]}),
    ("types.note.audience", {"roles": ["global_admins"]}),
    ("types.note.lane", "fast"),
    ("types.note.languages", []),
    ("types.note.languages", ["zh"]),
    ("types.note.group_by", "region"),
    ("types.note.channels", ["sms"]),
    ("types.note.fields.summary.kind", "html"),
    ("types.note.fields.Summary", {"kind": "text", "label": "x"}),
    ("types.note.fields.class-name", {"kind": "text", "label": "x"}),
    ("types.note.fields.summary.columns", {"a": {"label": "A", "kind": "table"}}),
    ("types.note.fields.summary.unknown", 1),
)


@pytest.mark.parametrize(("path", "value"), WRONG)
def test_an_entry_that_is_wrong_by_itself_is_refused(path: str, value: Any) -> None:
    """The refusal points at the entry."""
    with pytest.raises(ValidationError) as refused:
        changed(path, value)

    found = [".".join(map(str, error["loc"])) for error in refused.value.errors()]
    assert any(place.startswith(path) for place in found)


def test_a_type_has_careful_defaults() -> None:
    """What an entry leaves out is the ordinary: sent in turn, in all languages, again when in doubt."""
    spec = Catalogue.model_validate(plain_catalogue()).types["note"]

    assert (spec.lane, spec.on_uncertain) == (Lane.NORMAL, OnUncertain.RESEND)
    assert (spec.optional, spec.group_by, spec.becomes, spec.mail_when) == (False, "instance", None, None)
    assert len(spec.languages) == 9


@pytest.mark.parametrize(
    ("wanted", "language"), [("de", "de"), ("zh-Hant", "zh-Hant"), ("nl", "en"), ("", "en")]
)
def test_a_reader_gets_their_language_or_the_first(wanted: str, language: str) -> None:
    """A language that the type is not written in falls back to the type's first."""
    assert shipped().types["planned-maintenance"].language_for(wanted) == language


def test_a_report_is_english_for_everybody() -> None:
    """A type with one language is written in that one."""
    assert shipped().types["post-incident-report"].language_for("ja") == "en"


def test_an_entry_may_be_narrowed_to_types_and_banners() -> None:
    """`only` and `except` take the keys of both."""
    assert Catalogue.model_validate(plain_catalogue()).audience_keys == {"note", "awareness"}


def test_a_catalogue_cannot_be_changed() -> None:
    """What is in force stays as it was read."""
    with pytest.raises(ValidationError, match="frozen"):
        shipped().types["planned-maintenance"].title = "x"  # type: ignore[misc]
