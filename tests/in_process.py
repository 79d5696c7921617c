"""Commands in the process of the test: quicker than one of their own, where that is no matter."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from dispatcher.cli.main import cli
from dispatcher.errors import DispatcherError


class Commands:
    """A root, and commands in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run one command: its exit code, standard output and standard error."""
        done = CliRunner().invoke(cli, ["--root", str(self.root), *arguments])
        if isinstance(done.exception, DispatcherError):
            return 2, done.stdout, str(done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr
