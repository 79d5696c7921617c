"""The W3C's validator (vnu) over every mail's HTML."""

from __future__ import annotations

from pathlib import Path

from mail.checkers import validator


def test_html_is_valid(folder: Path) -> None:
    """No type has an error in any language."""
    found = validator(folder)

    assert {name: errors for name, errors in found.items() if errors} == {}


def test_the_validator_sees_a_poor_mail(poor: Path) -> None:
    """The control has errors, or nothing was checked."""
    assert len(validator(poor)["poor.html"]) >= 3
