"""JSON Schemas of the two kinds of file, made from their models, for editors that complete and check."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.instance import Instance

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def catalogue_schema() -> dict[str, Any]:
    """The schema of ``catalogue.yaml``."""
    return _schema(Catalogue, "Dispatcher catalogue")


def recipients_schema() -> dict[str, Any]:
    """The schema of a file under ``recipients/``."""
    return _schema(Instance, "Dispatcher recipients of one instance")


#: Each schema's maker by its file under ``docs/schemas``.
SCHEMAS = {
    "catalogue.schema.json": catalogue_schema,
    "recipients.schema.json": recipients_schema,
}


def schema_text(schema: Mapping[str, Any]) -> bytes:
    """A schema as it stands in its file."""
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def write_schemas(folder: Path) -> None:
    """Write every schema into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in SCHEMAS.items():
        (folder / name).write_bytes(schema_text(make()))


class _Plain(GenerateJsonSchema):
    """Without a title for each key, which would only repeat it."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Plain)
    models = {found.__name__: found for found in _models(BaseModel)}
    for name, part in [(model.__name__, schema), *schema.get("$defs", {}).items()]:
        if name in models:
            _describe(part, models[name])
    _close(schema)
    return {"$schema": DIALECT, **schema, "title": title}


def _close(part: Any) -> None:
    """Where keys must match a pattern, others are refused; pydantic leaves that open."""
    if isinstance(part, dict) and "patternProperties" in part:
        part["additionalProperties"] = False
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _close(inner)


def _models(base: type[BaseModel]) -> list[type[BaseModel]]:
    return [found for child in base.__subclasses__() for found in (child, *_models(child))]


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Give an object and its keys the words of the model's docstrings."""
    schema.pop("title", None)
    schema["description"] = _joined(inspect.getdoc(model) or "").partition("\n")[0].replace("``", "`")
    words = {name: text for kind in reversed(model.__mro__) for name, text in _attributes(kind).items()}
    for name, info in model.model_fields.items():
        if name in words and _key(name, info) in schema["properties"]:
            schema["properties"][_key(name, info)]["description"] = words[name]


def _key(name: str, info: FieldInfo) -> str:
    return info.alias or name


def _attributes(kind: type) -> dict[str, str]:
    """The section ``Attributes:`` of a docstring, by attribute."""
    section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", section, re.MULTILINE)
    return {name: _joined(text).replace("``", "`") for name, text in entries}


def _joined(text: str) -> str:
    """Each paragraph on one line."""
    return "\n".join(" ".join(part.split()) for part in text.split("\n\n"))
