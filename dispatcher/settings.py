"""The settings in force, as one frozen record; `dispatcher.environment` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

Tls = Literal["implicit", "starttls", "opportunistic"]


class Secret(str):
    """Text that prints as ``****``; `reveal` gives it up."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'****'" if self.reveal() else "''"

    def __str__(self) -> str:
        return "****" if self.reveal() else ""

    def __format__(self, format_spec: str) -> str:
        return format(str(self), format_spec)

    def reveal(self) -> str:
        """The text itself."""
        return str.__str__(self)


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """The SMTP server that takes our mail.

    Attributes:
        tls: ``implicit`` (TLS from the first byte), ``starttls`` (required before anything else) or
            ``opportunistic`` (used when offered; only ever without credentials).
    """

    host: str
    port: int
    username: str | None = None
    password: Secret | None = None
    tls: Tls = "opportunistic"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """An API token: its name, what it may do, and the SHA-256 of it in hexadecimal."""

    name: str
    scopes: frozenset[str]
    sha256: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force.

    Attributes:
        database_url: ``sqlite:////absolute/path`` or ``postgresql://…``.
        lease_seconds: How long a claim holds before another worker may take the delivery over.
        smtp_connections: SMTP sessions that one worker process keeps.
        sources: For each variable where its value comes from: ``default``, ``environment``,
            ``command line`` or the path of the ``.env``.
    """

    root: Path
    state_dir: Path
    database_url: Secret
    redis_url: Secret | None = None
    smtp: RelayAddress | None = None
    api_tokens: tuple[TokenEntry, ...] = ()
    lease_seconds: int = 30
    smtp_connections: int = 8
    log_level: str = "warning"
    sources: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)

    def with_relay(self, relay: RelayAddress) -> Settings:
        """The same settings with another relay: the catcher, where none is configured."""
        return replace(self, smtp=relay)

    def with_redis(self, url: str) -> Settings:
        """The same settings with another Redis: the embedded one, where none is configured."""
        return replace(self, redis_url=Secret(url))
