"""From a URL to a pool of Redis connections that neither hangs, nor trusts a stranger, nor leaks.

arq's own `RedisSettings.from_dsn` leaves passwords percent-encoded, does not check a certificate's host
name, and falls back to pickle, which lets whoever writes to Redis run code. So the pool is built here.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import orjson
from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from dispatcher.errors import Problem, ServiceUnreachable, SettingsInvalid
from dispatcher.settings import Secret

VARIABLE = "DISPATCHER_REDIS_URL"
#: Seconds to wait for Redis at the start, where it is only asked what it is.
START_TIMEOUT = 2.0
#: What can go wrong on the way to Redis; `TimeoutError` is an `OSError`.
REDIS_ERRORS = (RedisError, OSError)

#: What the query of a URL may say. Nothing here can switch a TLS check off.
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
#: A peer that vanished without a word is noticed after 15 + 3 * 5 seconds. Only Linux has all three.
_KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is and how to log in; prints without the password.

    Attributes:
        path: The unix socket, or an empty string when `host` and `port` are meant.
        tls_files: ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``: paths of PEM files.
    """

    host: str = "localhost"
    port: int = 6379
    path: str = ""
    database: int = 0
    username: str | None = None
    password: Secret | None = None
    tls: bool = False
    tls_files: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"unix socket {self.path}" if self.path else f"{self.host}:{self.port}"


def parse(url: str) -> RedisAddress:
    """Take a Redis URL apart.

    Args:
        url: ``redis://[user][:password]@host[:port][/database]``, the same with ``rediss://`` for TLS, or
            ``unix:///path/of/socket[?db=0]``; user, password and path percent-encoded (RFC 3986). With
            TLS, the query may name ``ssl_ca_certs``, ``ssl_certfile`` and ``ssl_keyfile``.

    Raises:
        SettingsInvalid: The URL cannot be used. Its text never shows the URL, which may hold a password.
    """
    text = url.reveal() if isinstance(url, Secret) else url
    try:
        parts = urlsplit(text)
        port = parts.port or 6379
    except ValueError:
        raise _invalid("it is not a URL", "percent-encode the user name and the password") from None
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise _invalid("its scheme is unknown", "begin it with redis://, rediss:// or unix://")
    path = unquote(parts.path) if parts.scheme == "unix" else ""
    if parts.scheme == "unix" and not path:
        raise _invalid("it names no socket", "write unix:///path/of/the/socket")
    query = _query(parts)
    return RedisAddress(
        host=parts.hostname or "localhost",
        port=port,
        path=path,
        database=_database(parts, query),
        username=unquote(parts.username) if parts.username else None,
        password=Secret(unquote(parts.password)) if parts.password else None,
        tls=parts.scheme == "rediss",
        tls_files={name: query[name] for name in _FILES if name in query},
    )


def _query(parts: SplitResult) -> dict[str, str]:
    query = dict(parse_qsl(parts.query))
    known = {"db", *_FILES} if parts.scheme == "rediss" else {"db"}
    if unknown := sorted(query.keys() - known):
        raise _invalid(
            f"its query names {', '.join(unknown)}", f"only {', '.join(sorted(known))} may stand there"
        )
    return query


def _database(parts: SplitResult, query: Mapping[str, str]) -> int:
    text = query.get("db") or ("" if parts.scheme == "unix" else parts.path.strip("/")) or "0"
    if not (text.isascii() and text.isdigit()):
        raise _invalid("its database is not a number", "write redis://host:6379/0")
    return int(text)


def _invalid(what: str, fix: str) -> SettingsInvalid:
    return SettingsInvalid(Problem(VARIABLE, what, fix))


def connect(address: RedisAddress, *, timeout: float, connections: int) -> ArqRedis:
    """A pool for arq. Nothing is connected before the first command.

    Args:
        address: Where to.
        timeout: Seconds to wait for a connection, and again for each reply.
        connections: At most so many; who asks for one more waits `timeout` for it.

    Returns:
        The pool; close it with ``await close(pool)``.
    """
    kind, options = _transport(address)
    pool = BlockingConnectionPool(
        connection_class=kind,
        max_connections=connections,
        timeout=timeout,  # type: ignore[arg-type]  # takes a float, its annotation says int
        db=address.database,
        username=address.username,
        password=address.password.reveal() if address.password else None,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(ExponentialBackoff(cap=0.1, base=0.02), 1),
        **options,
    )
    return ArqRedis(pool_or_conn=pool, job_serializer=dump_job, job_deserializer=orjson.loads)


def _transport(address: RedisAddress) -> tuple[type[Any], dict[str, Any]]:
    if address.path:
        return UnixDomainSocketConnection, {"path": address.path}
    options: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "socket_keepalive": True,
        "socket_keepalive_options": _KEEPALIVE,
    }
    if not address.tls:
        return Connection, options
    checks = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    return SSLConnection, {**options, **checks, **address.tls_files}


async def close(redis: ArqRedis) -> None:
    """Close the pool and every connection of it."""
    await redis.aclose(close_connection_pool=True)


async def forget_idle(redis: ArqRedis) -> None:
    """Close the connections that nobody uses, so that the next command asks for the host's address anew.

    For a Redis that has become a replica: its name may by now mean the new primary, while the pool would
    hold on to the old one for ever.
    """
    await redis.connection_pool.disconnect(inuse_connections=False)


def dump_job(job: dict[str, Any]) -> bytes:
    """A job as JSON; what JSON lacks (arq hands us exceptions) shrinks to the name of its type."""
    return orjson.dumps(job, default=lambda value: type(value).__name__)


def explain(address: RedisAddress, error: BaseException) -> str:
    """Two sentences for a user: what went wrong with Redis and where, and what to do."""
    if isinstance(error.__cause__, (AuthenticationError, AuthorizationError)):
        error = error.__cause__  # redis-py wraps a refused log-in in a plain ConnectionError
    match error:
        case AuthenticationError() | AuthorizationError():
            what, fix = "refuses the log-in", f"Correct user and password, percent-encoded, in {VARIABLE}"
        case NoPermissionError():
            what = "forbids its user what arq needs"
            fix = "Give it the ACL ~dispatcher:* ~arq:* &dispatcher:* +@all -@dangerous"
        case OutOfMemoryError():
            what, fix = "is full", "Raise its maxmemory, or see what else fills it"
        case ReadOnlyError():
            what, fix = "is a read-only replica", f"Name the primary in {VARIABLE}"
        case RedisTimeoutError() | TimeoutError():
            what, fix = "does not answer in time", "See that it runs and that no firewall is between"
        case _ if "certificate" in str(error).lower():
            what = "shows a certificate that is not trusted"
            fix = (
                f"Use the host name it was issued for in {VARIABLE}; for a private authority, add "
                "?ssl_ca_certs=/path/of/ca.pem"
            )
        case _:
            what, fix = "cannot be used", f"Start it, or name another in {VARIABLE}"
    return f"Redis at {address} {what} ({_detail(address, error)}). {fix}."


def _detail(address: RedisAddress, error: BaseException) -> str:
    """The error's own words; a server may repeat a command it does not know, password and all."""
    words = str(error).rstrip(".") or type(error).__name__
    return words.replace(address.password.reveal(), "****") if address.password else words


async def check(redis: ArqRedis, address: RedisAddress) -> None:
    """See that Redis answers and never evicts: an evicted job is a bell that nobody heard.

    Raises:
        ServiceUnreachable: It does not answer.
        SettingsInvalid: Its ``maxmemory-policy`` is not ``noeviction``.
    """
    try:
        await redis.ping()
        policy = await _eviction_policy(redis)
    except REDIS_ERRORS as error:
        raise ServiceUnreachable("redis", explain(address, error)) from error
    if policy not in {None, "noeviction"}:
        what = f"Redis at {address} may throw queued jobs away: its maxmemory-policy is {policy}"
        command = f"{_redis_cli(address)} CONFIG SET maxmemory-policy noeviction"
        raise _invalid(what, f"run `{command}` and write it into its configuration, or name another Redis")


async def refuse_evicting(url: str) -> None:
    """Refuse a Redis that evicts; one that cannot be had is left to those who will wait for it.

    Args:
        url: As `parse` takes it.

    Raises:
        SettingsInvalid: Its ``maxmemory-policy`` is not ``noeviction``, or the URL cannot be used.
    """
    address = parse(url)
    redis = connect(address, timeout=START_TIMEOUT, connections=1)
    try:
        await check(redis, address)
    except ServiceUnreachable:
        pass  # whoever serves the queue tells of the outage, and looks again when it ends
    finally:
        await close(redis)


def _redis_cli(address: RedisAddress) -> str:
    """The command that reaches the server, to be completed by whoever knows the password."""
    place = f"-s {address.path}" if address.path else f"-h {address.host} -p {address.port}"
    return f"redis-cli {place}{' --tls' if address.tls else ''}"


async def _eviction_policy(redis: ArqRedis) -> str | None:
    """``noeviction``, ``allkeys-lru``, …, or None where a host forbids the question."""
    try:
        found = await redis.config_get("maxmemory-policy")
    except ResponseError:
        return None
    value = found.get("maxmemory-policy")
    return value.decode() if isinstance(value, bytes) else value
