"""Settings read from the environment and ``.env``: each with its source, secrets masked.

The environment wins over ``.env``, which is read from the root and taken as it is written: ``${…}`` in it is
no reference, for passwords may hold it. Relative paths are taken from the root, so that one root means the
same ledger wherever one stands.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from dispatcher.errors import Problem, SettingsInvalid
from dispatcher.settings import Settings, masked_url
from dispatcher.variables import PREFIX, VARIABLES, Variable, masked, sqlite_url


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
    if values["WEBHOOK_URL"] and not texts["WEBHOOK_SECRET"]:
        fix = "set it to whsec_ and what `openssl rand -base64 32` prints"
        problems.append(
            Problem(f"{PREFIX}WEBHOOK_SECRET", "is missing, and DISPATCHER_WEBHOOK_URL is set", fix)
        )
    if problems:
        raise SettingsInvalid(problems)
    state = values["STATE_DIR"]
    database = values["DATABASE_URL"] or sqlite_url(state / "ledger.db")
    shown = {v.name: masked(v, texts[v.name]) or v.unset for v in VARIABLES}
    shown |= {"STATE_DIR": str(state), "DATABASE_URL": masked_url(database.reveal())}
    return Settings(
        root=folder,
        state_dir=state,
        database_url=database,
        redis_url=values["REDIS_URL"],
        smtp=values["SMTP_URL"],
        api_tokens=values["API_TOKENS"] or (),
        lease_seconds=values["LEASE_SECONDS"],
        grace_seconds=values["GRACE_SECONDS"],
        smtp_connections=values["SMTP_CONNECTIONS"],
        smtp_domains=values["SMTP_DOMAINS"] or {},
        log_level=values["LOG_LEVEL"],
        public_url=values["PUBLIC_URL"],
        webhook_url=values["WEBHOOK_URL"],
        webhook_secrets=values["WEBHOOK_SECRET"] or (),
        sources={f"{PREFIX}{name}": source for name, source in sources.items()},
        shown={f"{PREFIX}{name}": text for name, text in shown.items()},
    )


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Names in the environment that look like settings and are none: misspelt, most likely."""
    known = {f"{PREFIX}{variable.name}" for variable in VARIABLES}
    return [name for name in environ if name.startswith(PREFIX) and name not in known]


def _root(root: Path | None, environ: Mapping[str, str], base: Path) -> tuple[Path, str]:
    """The root and its source; never ``.env``, for where that lies follows from the root."""
    named = environ.get(f"{PREFIX}ROOT")
    text = named or "." if root is None else str(root)
    problems: list[Problem] = []
    folder = _read(VARIABLES[0], text, base, problems)
    if problems:
        raise SettingsInvalid(problems)
    return folder, "command line" if root is not None else "environment" if named else "default"


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
        return variable.read(text, folder)
    except ValueError as error:
        place = f" in {source}" if source.endswith(".env") else ""
        fault = f": {error}" if str(error) else ""
        what = f"{masked(variable, text)!r}{place} cannot be used{fault}"
        problems.append(Problem(f"{PREFIX}{variable.name}", what, f"give {variable.allowed}"))
        return None
