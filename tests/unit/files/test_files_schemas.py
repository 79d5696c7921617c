"""The JSON Schemas for editors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dispatcher.files.schemas import SCHEMAS, catalogue_schema, recipients_schema, schema_text, write_schemas
from dispatcher.files.source import parse

ROOT = Path(__file__).parents[3]
SAMPLES = [
    *((path, recipients_schema) for path in sorted((ROOT / "recipients").glob("*.yaml"))),
    (ROOT / "catalogue.yaml", catalogue_schema),
]
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "null": type(None),
}  # fmt: skip


def faults(schema: Mapping[str, Any], value: Any, root: Mapping[str, Any], at: str = "$") -> list[str]:
    """What the schema has against the value: the keywords that our schemas use, and no others."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    known = {"$ref", "$schema", "$defs", "title", "description", "default", "format", "type", "anyOf", "enum",
             "const", "pattern", "minLength", "maxLength", "minItems", "items", "properties", "required",
             "additionalProperties", "patternProperties", "propertyNames"}  # fmt: skip
    assert set(schema) <= known, set(schema) - known
    if "anyOf" in schema and all(faults(one, value, root, at) for one in schema["anyOf"]):
        return [f"{at}: none of anyOf"]
    if "type" in schema and not isinstance(value, _TYPES[schema["type"]]):
        return [f"{at}: not {schema['type']}"]
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return [f"{at}: not in enum"]
    if isinstance(value, str):
        return _text(schema, value, at)
    if isinstance(value, list):
        found = [f"{at}: too short"] if len(value) < schema.get("minItems", 0) else []
        return found + [
            fault
            for index, item in enumerate(value)
            for fault in faults(schema.get("items", {}), item, root, f"{at}[{index}]")
        ]
    return _object(schema, value, root, at) if isinstance(value, dict) else []


def _text(schema: Mapping[str, Any], value: str, at: str) -> list[str]:
    fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9)
    return [] if fits and re.search(schema.get("pattern", ""), value) else [f"{at}: text"]


def _object(schema: Mapping[str, Any], value: dict[str, Any], root: Mapping[str, Any], at: str) -> list[str]:
    found = [f"{at}: lacks {key}" for key in schema.get("required", ()) if key not in value]
    for key, item in value.items():
        found += faults(schema.get("propertyNames", {}), key, root, f"{at}.{key}")
        patterns = [
            one for regex, one in schema.get("patternProperties", {}).items() if re.search(regex, key)
        ]
        named = [schema["properties"][key]] if key in schema.get("properties", {}) else patterns
        inner = named[0] if named else schema.get("additionalProperties", {})
        found += [f"{at}: no key {key}"] if inner is False else faults(inner, item, root, f"{at}.{key}")
    return found


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_files_are_those_of_the_models(name: str) -> None:
    """Whoever changes a model writes the schemas anew: `dispatcher.files.schemas.write_schemas`."""
    assert (ROOT / "docs" / "schemas" / name).read_bytes() == schema_text(SCHEMAS[name]())


def test_schemas_can_be_written_anywhere(tmp_path: Path) -> None:
    """The folder is made, and each file is JSON of the dialect it names."""
    write_schemas(tmp_path / "a" / "b")

    for name in SCHEMAS:
        schema = json.loads((tmp_path / "a" / "b" / name).read_text())
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(("path", "make"), SAMPLES, ids=lambda part: getattr(part, "stem", ""))
def test_an_editor_accepts_the_samples(path: Path, make: Any) -> None:
    """No sample is marked as wrong."""
    schema = make()

    assert faults(schema, parse(path.read_bytes(), path.name).data, schema) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"version": 9.1}, "$.version: none of anyOf"),
        ({"admins": []}, "$.admins: too short"),
        ({"regio": "emea"}, "$: no key regio"),
        ({"file": "x"}, "$: no key file"),
        ({"admins": [{"address": "a@b.example", "only": []}]}, "$.admins[0]: none of anyOf"),
        ({"admins": [{"address": "a@b.example", "line": 1}]}, "$.admins[0]: none of anyOf"),
        ({"recipients": [{"address": "a@b.example", "except_": []}]}, "$.recipients[0]: none of anyOf"),
        ({"language": "xx"}, "$.language: not in enum"),
    ],
)
def test_an_editor_marks_what_the_program_refuses(change: dict[str, Any], fault: str) -> None:
    """The schema is as strict as the reader: roles, short form and alias included."""
    schema = recipients_schema()
    good = {
        "instance": "x",
        "admins": ["a@b.example"],
        "recipients": [{"address": "c@d.example", "except": ["a"]}],
    }

    assert faults(schema, good, schema) == []
    assert faults(schema, good | change, schema) == [fault]


def test_keys_are_described_in_the_words_of_the_code() -> None:
    """An editor that hovers over a key says what it means."""
    schema = recipients_schema()

    assert schema["properties"]["instance"]["description"] == "Unique among all files."
    assert "Types or banners" in schema["$defs"]["ListedPerson"]["properties"]["only"]["description"]
    assert "Attributes:" not in json.dumps([schema, catalogue_schema()])


def test_an_editor_marks_a_key_of_the_wrong_form() -> None:
    """Types and fields have keys of a certain form; another is refused."""
    schema = catalogue_schema()
    data = parse((ROOT / "catalogue.yaml").read_bytes(), "catalogue.yaml").data

    assert faults(schema, data | {"types": {"Bad Key": {}}}, schema) == ["$.types: no key Bad Key"]
