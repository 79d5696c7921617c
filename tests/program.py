"""The program as a user runs it: in processes of its own, with an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
_COMMAND = [sys.executable, "-c", "from dispatcher.cli.main import main; main()"]
SECONDS = 180
#: For processes that run what is measured elsewhere, or are killed before they could tell: half of the time
#: that a process takes to start goes into measuring its lines.
UNMEASURED = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
#: The recipient file of the contract, with one more entry.
CONTOSO = """\
instance: contoso-prod            # unique id
name: Contoso Production
kind: production                  # production | sandbox
url: https://contoso.example.com
region: emea                      # emea | americas | apac | japan
language: de                      # one of the nine; default en
time_zone: Europe/Berlin          # default UTC
version: "9.1"
admins:
  - admin@contoso.example
  - {address: oncall@contoso.example, name: On-call admin, language: en, time_zone: America/New_York}
global_admins: [root@contoso.example]
recipients:
  - {address: ops@contoso.example, only: [maintenance, major-service-incident], until: 9000-03-31}
  - news@contoso.example
users: [everyone@contoso.example]
partners: [partner@fabrikam.example]
"""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DISPATCHER_")}
    return kept | dict(variables)


def dispatcher(root: Path, *arguments: str, stdin: str = "", **variables: str) -> Done:
    """Run one command to its end."""
    done = subprocess.run(
        [*_COMMAND, "--root", str(root), *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=SECONDS,
        env=_environment(variables),
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def started(root: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """A command that was started; what it says on either stream comes through `stdout`."""
    return subprocess.Popen(
        [*_COMMAND, "--root", str(root), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(variables),
    )


@contextmanager
def staying(root: Path, *arguments: str, until: str, **variables: str) -> Iterator[re.Match[str]]:
    """A command that keeps running; yields the match of `until` in what it prints, stops it at the end."""
    process = started(root, *arguments, **variables)
    assert process.stdout is not None
    killer = threading.Timer(SECONDS, process.kill)
    killer.daemon = True
    killer.start()
    printed = ""
    try:
        for line in process.stdout:
            printed += line
            if found := re.search(until, line):
                killer.cancel()
                reader = threading.Thread(target=process.stdout.read, daemon=True)
                reader.start()
                yield found
                break
        else:
            raise AssertionError(f"the command ended without printing {until!r}: {printed}")
    finally:
        killer.cancel()
        process.terminate()
        code = process.wait(timeout=SECONDS)
        if "reader" in locals():
            reader.join(SECONDS)
        process.stdout.close()
    assert code == 0, f"the command ended with {code}: {printed}"
