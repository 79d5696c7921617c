from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import sqlite

from dispatcher.ledger.columns import Moment, storable

DIALECT = sqlite.dialect()


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 29, 3, 30, 0, 1, tzinfo=timezone(timedelta(hours=2))),
        datetime(9000, 1, 1, tzinfo=UTC),
    ],
)
def test_a_moment_comes_back_to_the_microsecond(moment: datetime) -> None:
    """A moment comes back as the same one, in UTC."""
    kept = Moment().process_bind_param(moment, DIALECT)
    back = Moment().process_result_value(kept, DIALECT)

    assert back == moment
    assert back is not None
    assert back.tzinfo is UTC


def test_a_moment_without_an_offset_is_refused() -> None:
    """A naive datetime cannot slip in as if it were UTC."""
    with pytest.raises(TypeError):
        Moment().process_bind_param(datetime(2026, 3, 1), DIALECT)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "kept"),
    [("Größe ■ 😀", "Größe ■ 😀"), ("a\x00b", "a\ufffdb"), ("a\udc80b", "a?b"), ("", "")],
)
def test_what_no_database_takes_is_replaced(text: str, kept: str) -> None:
    """NUL and lone surrogates are replaced, anything else stays."""
    assert storable(text) == kept
