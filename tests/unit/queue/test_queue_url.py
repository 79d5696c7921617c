"""Redis URLs, and what is said when Redis cannot be had."""

from __future__ import annotations

import ssl
from typing import Any

import orjson
import pytest
from redis.exceptions import AuthenticationError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dispatcher.errors import SettingsInvalid
from dispatcher.queue.connection import RedisAddress, connect, dump_job, explain, parse
from dispatcher.settings import Secret

VALID = (
    ("redis://cache", RedisAddress(host="cache")),
    ("redis://cache:6380/3", RedisAddress(host="cache", port=6380, database=3)),
    ("redis://cache?db=2", RedisAddress(host="cache", database=2)),
    ("redis://[::1]:6380/", RedisAddress(host="::1", port=6380)),
    ("unix:///run/a%20b/v.sock?db=1", RedisAddress(path="/run/a b/v.sock", database=1)),
    ("rediss://cache", RedisAddress(host="cache", tls=True)),
    (
        "rediss://cache?ssl_ca_certs=/etc/ca.pem",
        RedisAddress(host="cache", tls=True, tls_files={"ssl_ca_certs": "/etc/ca.pem"}),
    ),
)
INVALID = (
    ("http://cache", "scheme"),
    ("cache:6379", "scheme"),
    ("redis://cache:port", "not a URL"),
    ("redis://cache:70000", "not a URL"),
    ("redis://u:s3cr[et@cache", "not a URL"),
    ("redis://cache/first", "not a number"),
    ("unix://?db=1", "no socket"),
    ("rediss://cache?ssl_cert_reqs=none", "ssl_cert_reqs"),
    ("rediss://cache?ssl_check_hostname=false", "ssl_check_hostname"),
    ("redis://cache?ssl_ca_certs=/etc/ca.pem", "ssl_ca_certs"),
)


@pytest.mark.parametrize(("url", "address"), VALID)
def test_a_url_names_an_address(url: str, address: RedisAddress) -> None:
    """Every documented form of URL is understood."""
    assert parse(url) == address


@pytest.mark.parametrize(("url", "word"), INVALID)
def test_an_unusable_url_is_refused_without_being_shown(url: str, word: str) -> None:
    """The refusal names the variable and the fault, and never shows the URL."""
    with pytest.raises(SettingsInvalid, match=word) as refused:
        parse(url)

    assert "DISPATCHER_REDIS_URL" in str(refused.value)
    assert url not in str(refused.value)
    assert "s3cr" not in str(refused.value)


@pytest.mark.parametrize("wrap", [str, Secret])
def test_user_and_password_are_decoded_and_never_printed(wrap: type[str]) -> None:
    """Percent-encoding is undone; what prints hides the password, masked settings included."""
    address = parse(wrap("redis://us%40er:p%40ss%3Aw%2Fr%25d@cache"))

    assert address.username == "us@er"
    assert address.password is not None
    assert address.password.reveal() == "p@ss:w/r%d"
    assert "p@ss" not in f"{address} {address!r}"


async def test_tls_checks_certificate_and_host_name() -> None:
    """A rediss connection trusts nobody whose certificate is for another host."""
    pool: Any = connect(parse("rediss://cache"), timeout=1, connections=1).connection_pool

    context = pool.make_connection().ssl_context

    assert context.check_hostname is True
    assert context.cert_reqs == ssl.CERT_REQUIRED


async def test_a_pool_does_not_print_its_password() -> None:
    """Neither the pool nor its connections show the password."""
    redis = connect(parse("redis://:s3cret@cache"), timeout=1, connections=1)

    assert "s3cret" not in f"{redis!r} {redis.connection_pool!r}"


def test_jobs_travel_as_json() -> None:
    """A job is JSON, whatever arq puts into it."""
    job = {"f": "expand", "a": ("id",), "r": ValueError("somebody@example.com")}

    assert orjson.loads(dump_job(job)) == {"f": "expand", "a": ["id"], "r": "ValueError"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AuthenticationError("WRONGPASS"), "refuses the log-in"),
        (OutOfMemoryError("OOM"), "is full"),
        (ReadOnlyError("READONLY"), "read-only replica"),
        (RedisTimeoutError("Timeout"), "in time"),
        (TimeoutError(), "in time"),
        (RedisConnectionError("CERTIFICATE_VERIFY_FAILED: Hostname mismatch"), "not trusted"),
        (RedisConnectionError("Connection refused."), "cannot be used"),
    ],
)
def test_an_error_is_explained(error: Exception, words: str) -> None:
    """Each way to fail is named with its place."""
    text = explain(parse("redis://cache:6380"), error)

    assert text.startswith("Redis at cache:6380 ")
    assert words in text


def test_a_password_that_the_server_repeats_is_hidden() -> None:
    """Some servers quote the arguments of a command that they do not know."""
    error = ResponseError("unknown command 'AUTH', with args beginning with: 's3cret'")

    assert "s3cret" not in explain(parse("redis://:s3cret@cache"), error)
