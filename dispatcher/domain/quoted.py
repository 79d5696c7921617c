"""A value that is wrong, as an error may quote it."""

from __future__ import annotations

from typing import Any


def kind_of(value: Any) -> str:
    """What kind of plain JSON value it is, in words."""
    if isinstance(value, bool):
        return "true or false"
    kinds = ((str, "text"), ((int, float), "a number"), (dict, "an object"), (list, "a list"))
    other = "nothing" if value is None else f"a {type(value).__name__}"
    return next((name for kind, name in kinds if isinstance(value, kind)), other)


def shown(value: Any) -> str:
    """The value as an error may quote it: short, and with its control characters escaped."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**50:
        return "a number of more than 50 digits"
    if not isinstance(value, (str, int, float)):
        return kind_of(value)  # the text of a list could be of any length, its depth more than `repr` stands
    text = repr(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:57]}…"
