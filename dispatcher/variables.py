"""Each setting's variable: what may be written, and what is made of it."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from dispatcher.settings import DomainLimit, RelayAddress, Secret, Tls, TokenEntry, masked_url

PREFIX = "DISPATCHER_"
SCOPES = ("send", "read", "admin")
LOG_LEVELS = ("debug", "info", "warning", "error")

TOKEN_NAME = re.compile("[A-Za-z0-9._-]{1,64}")
_TOKEN = re.compile("(" + TOKEN_NAME.pattern + r"):([a-z]+(?:\+[a-z]+)*):([0-9a-fA-F]{64})")
#: What goes into a header's line and into a link of a mail, so it holds nothing that needs escaping there.
_PUBLIC = re.compile(r"https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/*")
_MAX_PUBLIC = 200
#: Bytes (Standard Webhooks, "Signature scheme").
_SECRET_SIZES = range(24, 65)
#: Webhook secrets at a time; two are in force while one takes the other's place.
_MOST_SECRETS = 5
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting's variable.

    Attributes:
        name: Without the prefix.
        default: The text that stands for it where nothing is set; empty for none.
        allowed: What may be written, for people.
        read: Makes the value of a text that is not empty; the second argument is the folder that relative
            paths start from. Raises ValueError with what is wrong, which holds nothing that is secret.
        unset: What holds where nothing is set and there is no default, in words.
        hides: ``url`` masks a password within, ``path`` all that follows a server as well, ``tokens`` hashes,
            ``all`` everything, an empty string nothing.
    """

    name: str
    default: str
    allowed: str
    read: Callable[[str, Path], Any]
    unset: str = ""
    hides: Literal["", "url", "path", "tokens", "all"] = ""


def masked(variable: Variable, text: str) -> str:
    """The value as it may be shown to anybody."""
    if variable.hides == "all":
        return "****" if text else ""
    if variable.hides == "url":
        return masked_url(text)
    if variable.hides == "path":
        # Who receives may be known by a path that nobody can guess.
        return re.sub(r"^(https?://[^/?#]*)[/?#].+", r"\1/****", masked_url(text))
    if variable.hides == "tokens":
        # Nothing is shown of what is no entry: it may be a token itself.
        found = (_TOKEN.fullmatch(entry.strip()) for entry in text.split(","))
        return ",".join(f"{match[1]}:{match[2]}:****" if match else "****" for match in found) if text else ""
    return text


def _number(lowest: int, highest: int) -> Callable[[str, Path], int]:
    def read(text: str, _: Path) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or not lowest <= int(text) <= highest:
            raise ValueError
        return int(text)

    return read


def folder(text: str, base: Path) -> Path:
    """The folder that `text` names, from `base` where it is relative.

    Raises:
        ValueError: There can be none of that name.
    """
    try:
        return (base / Path(text).expanduser()).resolve()
    except (RuntimeError, OSError, ValueError):  # ~nobody, a circle of links, a name too long
        raise ValueError("there can be no such folder") from None


def sqlite_url(path: Path) -> Secret:
    """The URL of a file: whoever opens it undoes percent-encoding, and takes ? and # for its parts."""
    encoded = re.sub("[%?#]", lambda match: f"%{ord(match[0]):02X}", str(path))
    return Secret(f"sqlite:///{encoded}")


def _database(text: str, base: Path) -> Secret:
    parts = _split(text)
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise ValueError("an SQLite address has three slashes and a path")
        if parts.query or parts.fragment:
            raise ValueError("in the name of a file ? is written %3F and # is written %23")
        if parts.path == "/:memory:":
            raise ValueError("the ledger must outlive the process, so it needs a file")
        return sqlite_url(base / _decoded(parts.path[1:]))
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ValueError("the scheme is neither sqlite nor postgresql")
    if not re.fullmatch("/[^/@]+", parts.path) or parts.fragment:
        raise ValueError("it does not end in /name; in a password / is %2F, ? is %3F, # is %23 and @ is %40")
    return Secret("postgresql" + text[len(parts.scheme) :])


def _redis(text: str, _: Path) -> Secret:
    parts = _split(text)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("the scheme is none of redis, rediss, unix")
    if not (parts.path if parts.scheme == "unix" else parts.hostname):
        raise ValueError("the server is missing")
    if parts.fragment or (parts.scheme != "unix" and not re.fullmatch("(/[0-9]{0,5})?", parts.path)):
        raise ValueError("after the server comes the number of a database, if anything")
    return Secret(text)


def _smtp(text: str, _: Path) -> RelayAddress:
    parts = _split(text)
    if parts.scheme not in {"smtp", "smtps"}:
        raise ValueError("the scheme is neither smtp nor smtps")
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("it is not of the form scheme://user:password@host:port")
    username = _decoded(parts.username) if parts.username else None
    password = Secret(_decoded(parts.password)) if parts.password else None
    if bool(username) != bool(password):
        raise ValueError("a user name and a password belong together")
    implicit = parts.scheme == "smtps"
    # RFC 8314: 465 for TLS from the first byte; RFC 6409: 587 for submission; 25 between servers.
    port = parts.port or (465 if implicit else 587 if username else 25)
    tls: Tls = "implicit" if implicit else "starttls" if username else "opportunistic"
    return RelayAddress(parts.hostname, port, username, password, tls)


def _public(text: str, _: Path) -> str:
    parts = _split(text)
    if parts.scheme != "https":
        raise ValueError("mail programs open https links only")
    if parts.username is not None or parts.password is not None:
        raise ValueError("everybody who gets mail sees it, so no user or password may stand in it")
    if parts.query or parts.fragment or not _PUBLIC.fullmatch(text):
        raise ValueError("after the host comes a plain path, if anything")
    if len(text) > _MAX_PUBLIC:
        raise ValueError(f"it is longer than {_MAX_PUBLIC} characters")
    return text.rstrip("/")


def _webhook(text: str, _: Path) -> Secret:
    parts = _split(text)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise ValueError("the scheme is not https, which is needed but to this machine itself")
    if not parts.hostname:
        raise ValueError("the server is missing")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a user or password has no place in it; who receives checks signatures")
    if parts.fragment:
        raise ValueError("what follows # is never sent")
    return Secret(text)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _webhook_secrets(text: str, _: Path) -> tuple[Secret, ...]:
    secrets = text.split()
    if len(secrets) > _MOST_SECRETS:
        raise ValueError(f"there are more than {_MOST_SECRETS}")
    for secret in secrets:
        try:
            size = len(b64decode(secret.removeprefix("whsec_"), validate=True))
        except ValueError:
            size = 0
        if not secret.startswith("whsec_") or size not in _SECRET_SIZES:
            raise ValueError("one is not whsec_ and the base64 of 24 to 64 bytes")
    return tuple(map(Secret, secrets))


def _tokens(text: str, _: Path) -> tuple[TokenEntry, ...]:
    entries = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = _TOKEN.fullmatch(entry)
        if match is None or not set(match[2].split("+")) <= set(SCOPES):
            raise ValueError("an entry is not of the form name:scope+scope:sha256")
        entries.append(TokenEntry(match[1], frozenset(match[2].split("+")), match[3].lower()))
    return tuple(entries)


def _level(text: str, _: Path) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError
    return text.lower()


def _split(text: str) -> SplitResult:
    if _UNPRINTABLE.search(text):
        raise ValueError("it holds a blank or a control character")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its text may quote a part of the password
        port = 0
    if port == 0:
        fault = "what stands for its server and port is none; in a password / ? # @ [ ] are percent-encoded"
        raise ValueError(fault)
    return parts


def _decoded(text: str) -> str:
    """Percent-encoding undone (RFC 3986, 2.1)."""
    try:
        plain = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValueError("what is percent-encoded in it is not UTF-8") from None
    if re.search(r"[\x00-\x1f\x7f]", plain):
        raise ValueError("it holds a control character, percent-encoded")
    return plain


VARIABLES = (
    Variable("ROOT", ".", "the folder that holds catalogue.yaml, templates/ and recipients/", folder),
    Variable(
        "STATE_DIR", ".dispatcher", "a folder for the ledger and other state, taken from the root", folder
    ),
    Variable(
        "DATABASE_URL",
        "",
        "sqlite:///relative.db, sqlite:////absolute.db or postgresql://user:password@host:5432/name",
        _database,
        hides="url",
    ),
    Variable(
        "REDIS_URL",
        "",
        "redis://host:6379/0, rediss://… or unix:///path; none for the embedded one",
        _redis,
        "none; the embedded Valkey",
        "url",
    ),
    Variable(
        "SMTP_URL",
        "",
        "smtp://user:password@host:587 or smtps://user:password@host:465",
        _smtp,
        "none; `up` catches mail",
        "url",
    ),
    Variable(
        "API_TOKENS",
        "",
        "name:scope+scope:sha256, several parted by commas; scopes send, read, admin",
        _tokens,
        "none but those of `dispatcher token`",
        "tokens",
    ),
    Variable(
        "PUBLIC_URL",
        "",
        "https://host or https://host/path, where readers of mail reach the HTTP interface",
        _public,
        "none; mails have no links to opt out or decide",
        "url",
    ),
    Variable(
        "WEBHOOK_URL",
        "",
        "https://host/path, or http:// on this machine, which is told of what admins decide",
        _webhook,
        "none; nobody is told over HTTP of what admins decide",
        "path",
    ),
    Variable(
        "WEBHOOK_SECRET",
        "",
        "whsec_ and the base64 of 24 to 64 bytes (`openssl rand -base64 32` makes them); "
        "several parted by blanks while one takes another's place",
        _webhook_secrets,
        "none",
        "all",
    ),
    Variable("LEASE_SECONDS", "30", "a whole number from 5 to 3600", _number(5, 3600)),
    Variable("GRACE_SECONDS", "15", "a whole number from 1 to 3600", _number(1, 3600)),
    Variable("SMTP_CONNECTIONS", "8", "a whole number from 1 to 100", _number(1, 100)),
    Variable("SMTP_DOMAINS", "", DomainLimit.ALLOWED, DomainLimit.read, "none; domains share all sessions"),
    Variable("LOG_LEVEL", "warning", "debug, info, warning or error", _level),
)
