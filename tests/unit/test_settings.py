from __future__ import annotations

import copy
import pickle
import time
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import quote

import pytest
from domain_examples import steady
from hypothesis import assume, given
from hypothesis import strategies as st
from slow import PATIENT

from dispatcher.settings import RelayAddress, Secret, Settings, TokenEntry, masked_url

SETTINGS = Settings(
    root=Path("/srv"),
    state_dir=Path("/srv/.dispatcher"),
    database_url=Secret("postgresql://me:hunter2@db/ledger"),
    redis_url=Secret("redis://:hunter2@redis"),
    smtp=RelayAddress("mail.example.com", 587, "me", Secret("hunter2"), "starttls"),
    api_tokens=(TokenEntry("ci", frozenset({"send"}), "hunter2" * 9),),
)


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret("hunter2")),
        repr(Secret("hunter2")),
        f"{Secret('hunter2')}",
        f"{Secret('hunter2')!r:>40}",
        f"{Secret('hunter2'):>40}",
        "%s %r" % (Secret("hunter2"), Secret("hunter2")),  # noqa: UP031 - logging formats in this way
        "{} {!r} {:s}".format(*[Secret("hunter2")] * 3),
        repr([Secret("hunter2")]),
        repr({"key": Secret("hunter2")}),
        repr(copy.deepcopy(Secret("hunter2"))),
        str(copy.copy(Secret("hunter2"))),
        str(pickle.loads(pickle.dumps(Secret("hunter2")))),
        repr(SETTINGS),
        str(SETTINGS),
        repr(replace(SETTINGS, log_level="info")),
        repr(asdict(SETTINGS)["database_url"]),
        str(SETTINGS.smtp),
    ],
)
def test_a_secret_is_never_printed(shown: str) -> None:
    """However it is turned into text, a secret shows as asterisks; so do the settings that hold it."""
    assert "hunter2" not in shown


def test_a_secret_can_be_had_on_purpose() -> None:
    """`reveal` gives the text, as a plain one; a secret equals its text, and an empty one shows as empty."""
    assert Secret("hunter2").reveal() == Secret("hunter2") == "hunter2"
    assert type(Secret("hunter2").reveal()) is str
    assert (str(Secret("")), repr(Secret("")), f"{Secret('hunter2'):>6}") == ("", "''", "  ****")


@pytest.mark.parametrize(
    ("host", "text"),
    [("mail.example.com", "mail.example.com:25"), ("192.0.2.1", "192.0.2.1:25"), ("::1", "[::1]:25")],
)
def test_a_relay_is_called_by_host_and_port(host: str, text: str) -> None:
    """An IPv6 address stands in brackets, so that its port can be told from it."""
    assert str(RelayAddress(host, 25)) == text


MASKED = (
    ("", ""),
    ("smtp://mail.example.com", "smtp://mail.example.com"),
    ("smtp://mail.example.com:587", "smtp://mail.example.com:587"),
    ("smtp://me:hunter2@mail.example.com:587", "smtp://me:****@mail.example.com:587"),
    ("smtp://me%40x:hunter2@[2001:db8::1]:587/", "smtp://me%40x:****@[2001:db8::1]:587/"),
    ("smtp://me:@mail.example.com", "smtp://me:****@mail.example.com"),
    ("smtp://hunter2@mail.example.com", "smtp://****@mail.example.com"),
    ("redis://:hunter2@redis:6379/0", "redis://:****@redis:6379/0"),
    ("rediss://redis/0?ssl_ca_certs=/ca.pem", "rediss://redis/0?ssl_ca_certs=/ca.pem"),
    ("redis://redis/0?password=hunter2&db=1", "redis://redis/0?password=****&db=1"),
    ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=0"),
    ("postgresql://db/ledger?user=me&password=hunter2&sslmode=require",
     "postgresql://db/ledger?user=****&password=****&sslmode=require"),
    ("postgresql://db/ledger?password=hun&ter2=&db=1", "postgresql://db/ledger?password=****&****&db=1"),
    ("postgresql://db/ledger?hunter2", "postgresql://db/ledger?****"),
    ("sqlite:////var/my files/a@b:c.db", "sqlite:////var/my files/a@b:c.db"),
    ("sqlite://me:hunter2@host/x", "sqlite://me:****@host/x"),
    ("smtp://me:hun@ter2@mail.example.com", "smtp://****"),
    ("smtp://me@example.com:hunter2@mail.example.com", "smtp://****"),
    ("smtp://me:hun/ter2@mail.example.com", "smtp://****"),
    ("smtp://me:hun?ter2@mail.example.com", "smtp://****"),
    ("smtp://me:hun#ter2@mail.example.com", "smtp://****"),
    ("smtp://me:hun:ter2@mail.example.com", "smtp://****"),
    ("smtp://me:hun ter2@mail.example.com", "smtp://****"),
    ("smtp://me:hun\nter2@mail.example.com", "smtp://****"),
    ("smtp://me:hun[ter2@mail.example.com", "smtp://****"),
    ("smtp://me:hunter2", "smtp://****"),
    ("smtp:/me:hunter2@mail.example.com", "****"),
    ("smtp:me:hunter2@mail.example.com", "****"),
    ("me:hunter2@mail.example.com", "****"),
    ("//me:hunter2@mail.example.com", "****"),
    ("hunter2", "****"),
    ("postgresql+asyncpg://me:hunter2@db/ledger", "postgresql+asyncpg://me:****@db/ledger"),
)  # fmt: skip


@pytest.mark.parametrize(("url", "shown"), MASKED)
def test_a_url_is_shown_without_what_may_be_a_password(url: str, shown: str) -> None:
    """A right URL loses its password only; of a wrong one nothing is shown but its scheme."""
    assert masked_url(url) == shown


PASSWORD = st.text(st.characters(min_codepoint=1, codec="utf-8"), min_size=1, max_size=20).map(
    lambda x: f"zq{x}qz"
)
FRAMES = st.sampled_from(
    [
        "smtp://me:{}@h",
        "smtp://me@x:{}@h:25",
        "redis://:{}@h/0",
        "redis://h?password={}",
        "smtp://{}@h",
        "me:{}@h",
        "{}",
    ]
)


@steady
@given(FRAMES, PASSWORD)
def test_no_password_is_shown_however_it_is_written(frame: str, password: str) -> None:
    """Percent-encoded or raw, in its place or out of it, no password comes through whole or by its ends."""
    # What is a URL by itself, in place of the URL, cannot be told from one.
    assume(frame != "{}" or "://" not in password)
    for written in (password, quote(password, safe="")):
        shown = masked_url(frame.format(written))

        assert "zq" not in shown
        assert "qz" not in shown


@steady
@given(st.text(max_size=60))
def test_any_text_can_be_masked(text: str) -> None:
    """Nothing that is set can make the masking fail."""
    assert isinstance(masked_url(text), str)


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "a://" + "a" * 100_000 + " ", "a://" + "a:@" * 30_000, "a://?" + "&" * 100_000]
)
def test_a_huge_text_is_masked_at_once(text: str) -> None:
    """No text keeps the expression busy."""
    start = time.process_time()
    masked_url(text)

    assert time.process_time() - start < 0.5 * PATIENT
