"""Column types that mean the same in SQLite and in PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: A number that the database gives out. SQLite only counts up by itself in a column called INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")

#: An id of ours. Compared byte by byte, so that PostgreSQL sorts it as SQLite does, in any locale.
Key = Text().with_variant(Text(collation="C"), "postgresql")


class Moment(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970 in UTC and given back in UTC.

    A whole number sorts, compares and indexes alike in both databases and loses nothing, which neither
    SQLite's text dates nor floating seconds do.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002, D102
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002, D102
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Json(TypeDecorator[Any]):
    """A plain JSON value, kept as text; a tuple comes back as a list."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002, D102
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:  # noqa: ARG002, D102
        return None if value is None else orjson.loads(value)


def storable(text: str) -> str:
    """`text` as both databases can hold it: NUL becomes U+FFFD, a lone surrogate "?".

    PostgreSQL refuses a NUL in text, UTF-8 has no lone surrogates; a mail server may send either.
    """
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
