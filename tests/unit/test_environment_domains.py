"""DISPATCHER_SMTP_DOMAINS: what may be written, and what is said of anything else."""

from __future__ import annotations

import pytest
from test_environment_load import refusal, settings

from dispatcher.settings import DomainLimit

RIGHT = (
    ("gmail.com=5", {"gmail.com": DomainLimit(5)}),
    ("gmail.com=20/m", {"gmail.com": DomainLimit(None, 20, 60)}),
    ("gmail.com = 5 20/m ,", {"gmail.com": DomainLimit(5, 20, 60)}),
    ("gmail.com=100/h 5", {"gmail.com": DomainLimit(5, 100, 3600)}),
    ("gmail.com=5/10s", {"gmail.com": DomainLimit(None, 5, 10)}),
    ("*=20, GMail.com=5", {"*": DomainLimit(20), "gmail.com": DomainLimit(5)}),
    ("xn--bcher-kva.example=1/s", {"xn--bcher-kva.example": DomainLimit(None, 1, 1)}),
)
WRONG = (
    ("gmail.com", "'gmail.com' says no limit for its domain; write gmail.com=5"),
    ("gmail.com=", "write gmail.com=5"),
    ("gmail.com:7", "write gmail.com=7"),
    ("*", "write *=5"),
    ("=5", "'' is neither a domain nor *"),
    ("5", "'5' names no domain; write gmail.com=5"),
    ("gmail.com=1,000", "numbers without commas"),
    ("none", "write gmail.com=5, or nothing at all for no limits"),
    ('{"gmail.com": 5}', "says no limit for a domain; write gmail.com=5"),
    ("default=5", "'default' is in no address; write gmail.com, or * for each other domain"),
    ("bücher.example=5", "'bücher.example' is not ASCII; write it as DNS has it, xn--bcher-kva.example"),
    (f"{'ü' * 70}.example=5", "is not ASCII; write it as DNS has it, xn--…"),
    ("ann@gmail.com=5", "'ann@gmail.com' is neither a domain nor *; write gmail.com"),
    ("*.gmail.com=5", "write gmail.com, and each subdomain as an entry of its own"),
    (".gmail.com=5", "write gmail.com"),
    ("gmail.com.=5", "write gmail.com"),
    ("*.com=5", "'*.com' is neither a domain nor *"),
    ("gmail.com=0", "'0' is neither a number from 1 to 999999 nor a rate such as 20/m"),
    ("gmail.com=5 6", "'gmail.com=5 6' has two of a kind; write a number, a rate, or one of each"),
    ("gmail.com=5/s 6/m", "or one of each"),
    ("gmail.com=5/d", "'5/d' is neither"),
    ("gmail.com=5/0s", "nor a rate such as 20/m"),
    ("gmail.com=5/", "nor a rate such as 20/m"),
    ("gmail.com=-1", "'-1' is neither"),
    ("gmail.com=5 gmx.de=6", "'gmx.de=6' is neither"),
    ("gmail.com=5, Gmail.com=20/m", "gmail.com stands in it twice; put both into one entry"),
)


@pytest.mark.parametrize(("text", "expected"), RIGHT)
def test_limits_are_read(text: str, expected: dict[str, DomainLimit]) -> None:
    """A number at once, a number within a time, or both; capitals and blanks do not matter."""
    assert settings(SMTP_DOMAINS=text).smtp_domains == expected


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_what_is_no_limit_is_refused_with_what_to_write(text: str, words: str) -> None:
    """The variable, the entry, what is wrong with it, and an example."""
    told = refusal(SMTP_DOMAINS=text)

    assert told.startswith("DISPATCHER_SMTP_DOMAINS")
    assert words in told
    assert "gmail.com=5 20/m" in told


def test_by_default_there_are_no_limits() -> None:
    """Every domain shares the sessions."""
    found = settings()

    assert (found.smtp_domains, found.shown["DISPATCHER_SMTP_DOMAINS"]) == (
        {},
        "none; domains share all sessions",
    )
