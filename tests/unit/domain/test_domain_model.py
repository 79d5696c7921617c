from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from dispatcher.domain.model import Model


class Entry(Model):
    """A record with a name that Python keeps for itself."""

    except_: int = Field(alias="except")


def test_a_record_refuses_keys_that_it_does_not_know() -> None:
    """A misspelt key is never passed over."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        Entry.model_validate({"except": 1, "excpet": 2})


def test_a_record_cannot_be_changed() -> None:
    """A change is a copy."""
    entry = Entry.model_validate({"except": 1})

    with pytest.raises(ValidationError, match="frozen"):
        entry.except_ = 2  # type: ignore[misc]
    assert entry.model_copy(update={"except_": 2}).except_ == 2


def test_a_key_has_a_name_in_code() -> None:
    """Code may use the attribute's name where a file uses the key."""
    assert Entry.model_validate({"except_": 1}) == Entry.model_validate({"except": 1})
