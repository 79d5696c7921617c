"""The shipped catalogue, and small catalogues to break, for tests of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import settings

from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.files.catalogue_file import load_catalogue

_SHIPPED = Path(__file__).parent.parent / "catalogue.yaml"

_TYPE: Mapping[str, Any] = {
    "title": "Note",
    "banner": "awareness",
    "audience": {"roles": ["admins"]},
    "subject": "Note: {summary}",
    "template": "note",
    "fields": {"summary": {"kind": "text", "label": "Summary", "required": True, "example": "Something"}},
}
_CATALOGUE: Mapping[str, Any] = {
    "version": 1,
    "service": {"name": "Example Cloud"},
    "senders": {"default": {"address": "notices@example.com", "name": "Example Cloud"}},
    "banners": {
        "awareness": {
            "label": "For your information",
            "background": "#BFDDF5",
            "text": "#242424",
            "dark": {"background": "#112D42", "text": "#BFDDF5"},
            "cue": "●",
        }
    },
    "types": {"note": _TYPE},
}


@cache
def shipped() -> Catalogue:
    """``catalogue.yaml`` as it comes with the product."""
    return load_catalogue(_SHIPPED)


def plain_catalogue() -> dict[str, Any]:
    """A right catalogue with one type, ``note``, as data that a test may change."""
    return deepcopy(dict(_CATALOGUE))


def type_with(fields: Mapping[str, Any]) -> CommunicationType:
    """A type with these fields, each given by what differs from an optional text."""
    specs = {key: {"kind": "text", "label": key.title()} | spec for key, spec in fields.items()}
    return CommunicationType.model_validate({**_TYPE, "subject": "Note", "fields": specs})


#: For tests by hypothesis: the same examples on every run, however busy the machine.
steady = settings(deadline=None, derandomize=True)
