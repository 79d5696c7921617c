"""What a database's error means to a user: what, where, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dispatcher.errors import DispatcherError, ServiceUnreachable

# What to do about SQLite's result codes (https://sqlite.org/rescode.html), by their first word.
_SQLITE: Final = {
    "FULL": ("is full", "Free space on that disk"),
    "READONLY": ("cannot be written", "Make the file and its directory writable for this user"),
    "CANTOPEN": ("cannot be opened", "Check that its directory exists and that this user may write there"),
    "BUSY": ("is kept locked by another process", "Stop the process that holds it, or try again"),
    "LOCKED": ("is kept locked by another process", "Stop the process that holds it, or try again"),
    "IOERR": ("cannot be read or written", "Check the disk and its free space"),
    "PERM": ("may not be opened", "Give this user access to the file"),
    "AUTH": ("may not be opened", "Give this user access to the file"),
    "NOTADB": ("is not an SQLite database", "Point DISPATCHER_DATABASE_URL at another file"),
    "CORRUPT": ("is damaged", "Restore it from a backup"),
    "PROTOCOL": ("cannot be locked", "Keep it on a local disk, not on a network share"),
}  # fmt: skip

# The same for PostgreSQL's SQLSTATE (its manual, appendix A): the longest matching beginning counts.
_POSTGRESQL: Final = {
    "08": ("lost the connection", "Check that it runs and can be reached"),
    "25006": ("accepts no writes", "Point DISPATCHER_DATABASE_URL at the primary server"),
    "28": ("refused the log-in", "Check the user and the password in DISPATCHER_DATABASE_URL"),
    "3D000": ("has no such database", "Create it, or correct its name in DISPATCHER_DATABASE_URL"),
    "40P01": ("gave up on a deadlock", "Try again"),
    "42501": ("refused access", "Give that user the right to create and to write tables"),
    "53": ("has run out of space, memory or connections", "Free some, or raise its limits"),
    "57": ("is stopping or starting, or cancelled the query", "Try again once it is up"),
    "58": ("has trouble with its disk", "Look into its log"),
}
_SILENT: Final = ("does not answer", "Check that it runs and that DISPATCHER_DATABASE_URL is right")


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn a failure to reach or to use the database at `place` into `ServiceUnreachable`.

    Anything else passes as it is: an error in a statement is a defect, and must look like one.
    """
    try:
        yield
    except DispatcherError:
        raise
    except Exception as error:
        meaning = _meaning(error)
        if meaning is None:
            raise
        (what, fix), cause = meaning, _cause(error)
        why = str(cause).strip().splitlines()
        detail = f" ({why[0][:200]})" if why else ""
        raise ServiceUnreachable("database", f"The database {place} {what}{detail}. {fix}.") from error


def sqlite_code(error: BaseException) -> str:
    """SQLite's name for what went wrong (``SQLITE_FULL``), or an empty string."""
    return str(getattr(_cause(error), "sqlite_errorname", ""))


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code for what went wrong (``53100``), or an empty string."""
    return str(getattr(_cause(error), "sqlstate", None) or "")


def _cause(error: BaseException) -> BaseException:
    """The driver's own error, which SQLAlchemy and its adapters wrap once or twice."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def _meaning(error: Exception) -> tuple[str, str] | None:
    """What went wrong and what to do, or None if the database was reached and the fault is ours."""
    if code := sqlite_code(error):
        return _SQLITE.get(code.split("_")[1])
    if state := sqlstate(error):
        return next((_POSTGRESQL[state[:n]] for n in (5, 2) if state[:n] in _POSTGRESQL), None)
    if isinstance(error, OSError | PoolTimeout) or _lost(error):
        return _SILENT
    return None


def _lost(error: Exception) -> bool:
    """Whether the driver says that there is no connection, in one of its ways without a code."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = _cause(error)
    return isinstance(cause, OSError) or type(cause).__name__ in {
        "ConnectionDoesNotExistError",
        "ClientConfigurationError",
        "InterfaceError",
        "InternalClientError",  # asyncpg, when the connection is closing under it
    }
