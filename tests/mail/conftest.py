"""What all checkers look at: every mail, and one deliberately poor one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mail.mails import Mail, rendered, unpacked, written
from mail.tools import ToolMissingError, all_are_needed


def pytest_configure(config: pytest.Config) -> None:
    """The mark of tests whose programs pip and npm cannot install."""
    config.addinivalue_line("markers", "debian: needs a program that `make test-mail` installs with apt-get")


@pytest.fixture(scope="session")
def mails() -> tuple[Mail, ...]:
    """Every type in every language."""
    return rendered()


@pytest.fixture(scope="session")
def folder(mails: tuple[Mail, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with NAME.html, NAME.txt and NAME.eml of every mail."""
    return written(mails, tmp_path_factory.mktemp("mails"))


@pytest.fixture(scope="session")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a mail in it that no checker may let pass: poor.eml, and its HTML."""
    return unpacked(Path(__file__).parent / "bad" / "poor.eml", tmp_path_factory.mktemp("poor"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """A checker whose program is missing: its tests fail if all are asked for, else they are skipped."""
    try:
        yield
    except ToolMissingError as error:
        _missing(error)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """The same for what a test calls itself."""
    try:
        yield
    except ToolMissingError as error:
        _missing(error)


def _missing(error: ToolMissingError) -> None:
    if all_are_needed():
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))
