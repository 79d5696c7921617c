from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dispatcher.errors import SettingsInvalid
from dispatcher.ledger.engine import Database
from dispatcher.settings import Secret


def database(url: str) -> Database:
    return Database(url, clock=lambda: datetime.now(UTC), token=lambda n: "0" * 2 * n)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hunter2",
        "mysql://dispatcher:hunter2@db/ledger",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////tmp/ledger.db?mode=ro",
        "postgresql://dispatcher:hunter2@db:port/ledger",
    ],
)
def test_an_unusable_url_is_refused(url: str) -> None:
    """The refusal names the setting and what would be right, and shows nothing of a password."""
    with pytest.raises(SettingsInvalid) as refused:
        database(url)

    assert refused.value.problems[0].where == "DISPATCHER_DATABASE_URL"
    assert "postgresql://" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://me:hunter2@db.example.com:6432/ledger", "at db.example.com:6432/ledger"),
        ("postgres://me:hunter2@db.example.com/ledger", "at db.example.com/ledger"),
        ("postgresql+asyncpg://me:hunter2@db.example.com/ledger", "at db.example.com/ledger"),
        ("postgresql://me:hunter2@/ledger?host=/run/postgresql", "at /run/postgresql/ledger"),
        ("postgresql:///ledger", "at localhost/ledger"),
    ],
)
def test_a_place_is_named_without_its_password(url: str, place: str) -> None:
    """Messages say which server is meant, and never how to log in."""
    assert database(url).place == place
    assert "hunter2" not in repr(database(url).engine)


def test_a_masked_url_is_understood() -> None:
    """A `Secret` is opened here, where its text is needed."""
    assert database(Secret("postgresql://me:hunter2@db/ledger")).place == "at db/ledger"
