"""Settings read from the environment and ``.env``: each with its source, secrets masked.

The environment wins over ``.env``, which is read from the root and taken as it is written: ``${…}`` in it is
no reference, for passwords may hold it. Relative paths are taken from the root, so that one root means the
same ledger wherever one stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from dotenv import dotenv_values

from dispatcher.errors import Problem, SettingsInvalid
from dispatcher.settings import RelayAddress, Secret, Settings, Tls, TokenEntry, masked_url

PREFIX = "DISPATCHER_"
SCOPES = ("send", "read", "admin")
LOG_LEVELS = ("debug", "info", "warning", "error")

_TOKEN = re.compile(r"([A-Za-z0-9._-]{1,64}):([a-z]+(?:\+[a-z]+)*):([0-9a-fA-F]{64})")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting's variable.

    Attributes:
        name: Without the prefix.
        default: The text that stands for it where nothing is set; empty for none.
        allowed: What may be written, for people.
        hides: ``url`` masks a password within, ``tokens`` masks hashes, an empty string nothing.
    """

    name: str
    default: str
    allowed: str
    hides: Literal["", "url", "tokens"] = ""


VARIABLES = (
    Variable("ROOT", ".", "the folder that holds catalogue.yaml, templates/ and recipients/"),
    Variable("STATE_DIR", ".dispatcher", "a folder for the ledger and other state, taken from the root"),
    Variable(
        "DATABASE_URL",
        "",
        "sqlite:///relative.db, sqlite:////absolute.db or postgresql://user:password@host:5432/name",
        "url",
    ),
    Variable(
        "REDIS_URL", "", "redis://host:6379/0, rediss://… or unix:///path; none for the embedded one", "url"
    ),
    Variable("SMTP_URL", "", "smtp://user:password@host:587 or smtps://user:password@host:465", "url"),
    Variable(
        "API_TOKENS",
        "",
        "name:scope+scope:sha256, several parted by commas; scopes send, read, admin",
        "tokens",
    ),
    Variable("LEASE_SECONDS", "30", "a whole number from 5 to 3600"),
    Variable("SMTP_CONNECTIONS", "8", "a whole number from 1 to 100"),
    Variable("LOG_LEVEL", "warning", "debug, info, warning or error"),
)


def load(
    root: Path | None = None, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Settings:
    """The settings in force.

    Args:
        root: From ``--root``; wins over the environment.
        environ: The environment; the process's own by default.
        cwd: Where relative roots start; the process's own by default.

    Raises:
        SettingsInvalid: With every variable whose value cannot be used.
    """
    environ = os.environ if environ is None else environ
    folder, source = _root(root, environ, cwd or Path.cwd())
    texts, sources = _texts(folder, environ)
    texts["ROOT"], sources["ROOT"] = str(folder), source
    problems: list[Problem] = []
    values = {v.name: _read(v, texts[v.name], folder, problems, sources[v.name]) for v in VARIABLES}
    if problems:
        raise SettingsInvalid(problems)
    state = values["STATE_DIR"]
    database = values["DATABASE_URL"] or _sqlite(state / "ledger.db")
    shown = {v.name: masked(v, texts[v.name]) for v in VARIABLES}
    shown |= {"STATE_DIR": str(state), "DATABASE_URL": masked_url(database.reveal())}
    return Settings(
        root=folder,
        state_dir=state,
        database_url=database,
        redis_url=values["REDIS_URL"],
        smtp=values["SMTP_URL"],
        api_tokens=values["API_TOKENS"] or (),
        lease_seconds=values["LEASE_SECONDS"],
        smtp_connections=values["SMTP_CONNECTIONS"],
        log_level=values["LOG_LEVEL"],
        sources={f"{PREFIX}{name}": source for name, source in sources.items()},
        shown={f"{PREFIX}{name}": text for name, text in shown.items()},
    )


def _root(root: Path | None, environ: Mapping[str, str], base: Path) -> tuple[Path, str]:
    """The root and its source; never ``.env``, for where that lies follows from the root."""
    named = environ.get(f"{PREFIX}ROOT")
    text = named or "." if root is None else str(root)
    problems: list[Problem] = []
    folder = _read(VARIABLES[0], text, base, problems)
    if problems:
        raise SettingsInvalid(problems)
    return folder, "command line" if root is not None else "environment" if named else "default"


def masked(variable: Variable, text: str) -> str:
    """The value as it may be shown to anybody."""
    if variable.hides == "url":
        return masked_url(text)
    if variable.hides == "tokens":
        return ",".join(_masked_token(entry.strip()) for entry in text.split(",")) if text else ""
    return text


def _masked_token(entry: str) -> str:
    """Name and scopes of an entry; nothing of what is none, for it may be a token itself."""
    match = _TOKEN.fullmatch(entry)
    return f"{match[1]}:{match[2]}:****" if match else "****"


def _texts(folder: Path, environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Each variable's text and source. An empty variable counts as not set."""
    path = folder / ".env"
    dotenv = _dotenv(path)
    texts: dict[str, str] = {}
    sources: dict[str, str] = {}
    for variable in VARIABLES:
        name = f"{PREFIX}{variable.name}"
        layers = (
            (environ.get(name), "environment"),
            (dotenv.get(name), str(path)),
            (variable.default, "default"),
        )
        texts[variable.name], sources[variable.name] = next(
            ((text, source) for text, source in layers if text), ("", "default")
        )
    return texts, sources


def _dotenv(path: Path) -> Mapping[str, str | None]:
    try:
        # utf-8-sig: Windows editors begin a file with a mark that would become part of the first name.
        return dotenv_values(path, interpolate=False, encoding="utf-8-sig") if path.is_file() else {}
    except OSError as error:
        fix = "let this user read it, or remove it"
        raise SettingsInvalid(Problem(str(path), f"cannot be read: {error.strerror}", fix)) from None
    except UnicodeDecodeError:
        raise SettingsInvalid(Problem(str(path), "is not UTF-8", "save the file as UTF-8")) from None


def _read(
    variable: Variable, text: str, folder: Path, problems: list[Problem], source: str = "environment"
) -> Any:
    """The value, or None with a problem added."""
    if not text:
        return None
    try:
        return _READERS[variable.name](text, folder)
    except ValueError as error:
        place = f" in {source}" if source.endswith(".env") else ""
        fault = f": {error}" if str(error) else ""
        what = f"{masked(variable, text)!r}{place} cannot be used{fault}"
        problems.append(Problem(f"{PREFIX}{variable.name}", what, f"give {variable.allowed}"))
        return None


def _number(lowest: int, highest: int) -> Callable[[str, Path], int]:
    def read(text: str, _: Path) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or not lowest <= int(text) <= highest:
            raise ValueError
        return int(text)

    return read


def _folder(text: str, folder: Path) -> Path:
    try:
        return (folder / Path(text).expanduser()).resolve()
    except (RuntimeError, OSError, ValueError):  # ~nobody, a circle of links, a name too long
        raise ValueError("there can be no such folder") from None


def _sqlite(path: Path) -> Secret:
    """The URL of a file: whoever opens it undoes percent-encoding, and takes ? and # for its parts."""
    encoded = re.sub("[%?#]", lambda match: f"%{ord(match[0]):02X}", str(path))
    return Secret(f"sqlite:///{encoded}")


def _database(text: str, folder: Path) -> Secret:
    parts = _split(text)
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise ValueError("an SQLite address has three slashes and a path")
        if parts.query or parts.fragment:
            raise ValueError("in the name of a file ? is written %3F and # is written %23")
        if parts.path == "/:memory:":
            raise ValueError("the ledger must outlive the process, so it needs a file")
        return _sqlite(folder / _decoded(parts.path[1:]))
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


_READERS: Mapping[str, Callable[[str, Path], Any]] = {
    "ROOT": _folder,
    "STATE_DIR": _folder,
    "DATABASE_URL": _database,
    "REDIS_URL": _redis,
    "SMTP_URL": _smtp,
    "API_TOKENS": _tokens,
    "LEASE_SECONDS": _number(5, 3600),
    "SMTP_CONNECTIONS": _number(1, 100),
    "LOG_LEVEL": _level,
}
