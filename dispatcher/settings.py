"""The settings in force, as one frozen record; `dispatcher.environment` reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

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


#: A URL as RFC 3986 writes it, so that it is certain which part is the password.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)"
    r"(?:(?P<user>[^\s\x00-\x1f\x7f:/?#\[\]@]*)(?P<password>:[^\s\x00-\x1f\x7f:/?#\[\]@]*)?@)?"
    r"(?P<server>(?:[A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?)"
    r"(?P<path>/[^\s\x00-\x1f\x7f?#@]*)?(?:\?(?P<query>[^\s\x00-\x1f\x7f#@]*))?"
)
#: What a query may say aloud; everything else in it might be a password.
_HARMLESS = frozenset(
    {"db", "host", "port", "sslmode", "passfile", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
)


def masked_url(text: str) -> str:
    """A URL as it may be shown to anybody: without passwords, and without all that might be one.

    Where the text is not quite a URL nobody can tell where its password begins and ends, so that only its
    scheme is shown. A name without a password is hidden too: some services take a token there.
    """
    if text.startswith("sqlite:///"):
        return text
    match = _URL.fullmatch(text)
    if match is None:
        scheme = re.match(r"[a-z]{2,12}://", text)
        return f"{scheme[0] if scheme else ''}****" if text else ""
    login = ""
    if match["user"] is not None:
        login = f"{match['user']}:****@" if match["password"] else "****@"
    query = "" if match["query"] is None else "?" + "&".join(map(_masked_pair, match["query"].split("&")))
    return f"{match['scheme']}{login}{match['server']}{match['path'] or ''}{query}"


def _masked_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    if equals and name in {"user", "username", "password", "sslpassword"}:
        return f"{name}=****"
    return pair if name in _HARMLESS else "****"  # a password with & in it looks like a name


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
        # RFC 3986, 3.2.2: brackets keep the colons of IPv6 apart from the port's.
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """An API token: its name, what it may do, and the SHA-256 of it in hexadecimal."""

    name: str
    scopes: frozenset[str]
    sha256: str = field(repr=False)


#: Whose limit holds for every domain that is not named, for each by itself.
EVERY_OTHER = "*"
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_LIMIT = re.compile(r"(?P<count>[1-9][0-9]{0,5})(?P<rate>/(?P<times>[1-9][0-9]{0,3})?(?P<unit>[smh]))?")
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class DomainLimit:
    """How much mail to one domain a worker process hands to the relay.

    Attributes:
        at_once: Messages on their way at a time; None for any number.
        count: Messages begun within any stretch of `seconds`; None for any number.
        seconds: The stretch.
    """

    at_once: int | None = None
    count: int | None = None
    seconds: float = 1.0

    ALLOWED: ClassVar[str] = (
        "gmail.com=5 20/m for five messages at once and twenty begun a minute, or one of the two; "
        "several parted by commas; * for each other domain; /s, /m, /h or /10s"
    )

    @staticmethod
    def read(text: str, _: Path) -> Mapping[str, DomainLimit]:
        """Limits by domain, of entries such as ``gmail.com=5 20/m`` parted by commas.

        Raises:
            ValueError: With the entry that is none, and what is wrong with it.
        """
        limits: dict[str, DomainLimit] = {}
        for entry in filter(None, map(str.strip, text.split(","))):
            domain, equals, words = (part.strip() for part in entry.partition("="))
            domain = domain.lower()
            if not equals or not words:
                raise ValueError(_without_limit(entry, domain))
            if domain != EVERY_OTHER and (fault := _no_domain(domain)):
                raise ValueError(f"{domain!r} {fault}")
            if domain in limits:
                raise ValueError(f"{domain} stands in it twice; put both into one entry, {domain}=5 20/m")
            limits[domain] = _limit(entry, words.split())
        return limits


def _without_limit(entry: str, domain: str) -> str:
    """What is wrong with an entry that has a domain at most."""
    if entry.isdigit():
        return f"{entry!r} names no domain; write gmail.com=5, and numbers without commas in them"
    domain, colon, limit = domain.partition(":")
    if domain != EVERY_OTHER and _no_domain(domain):
        return f"{entry!r} says no limit for a domain; write gmail.com=5, or nothing at all for no limits"
    return f"{entry!r} says no limit for its domain; write {domain}={(colon and limit.strip()) or 5}"


def _no_domain(text: str) -> str:
    """Why this cannot follow the @ of an address, and what can; empty if it can."""
    if not text.isascii():
        with suppress(UnicodeError):
            return f"is not ASCII; write it as DNS has it, {text.encode('idna').decode('ascii')}"
        return "is not ASCII; write it as DNS has it, xn--…"
    if _DOMAIN.fullmatch(text):
        return (
            ""
            if "." in text
            else f"is in no address; write gmail.com, or {EVERY_OTHER} for each other domain"
        )
    meant = text.rpartition("@")[2].removeprefix(f"{EVERY_OTHER}.").strip(".")
    if not _DOMAIN.fullmatch(meant) or "." not in meant:
        return f"is neither a domain nor {EVERY_OTHER}"
    return f"is neither a domain nor {EVERY_OTHER}; write {meant}, and each subdomain as an entry of its own"


def _limit(entry: str, words: Sequence[str]) -> DomainLimit:
    found = [_LIMIT.fullmatch(word) for word in words]
    if None in found:
        word = words[found.index(None)]
        raise ValueError(f"{word!r} is neither a number from 1 to 999999 nor a rate such as 20/m")
    at_once = [match for match in found if match and not match["rate"]]
    rates = [match for match in found if match and match["rate"]]
    if len(at_once) > 1 or len(rates) > 1:
        raise ValueError(f"{entry!r} has two of a kind; write a number, a rate, or one of each")
    limit = DomainLimit(int(at_once[0]["count"]) if at_once else None)
    for rate in rates:
        seconds = int(rate["times"] or 1) * _UNITS[rate["unit"]]
        limit = DomainLimit(limit.at_once, int(rate["count"]), seconds)
    return limit


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force.

    Attributes:
        database_url: ``sqlite:////absolute/path`` or ``postgresql://…``.
        lease_seconds: How long a claim holds before another worker may take the delivery over.
        grace_seconds: How long work that has begun may take to end once a process is told to stop.
        smtp_connections: SMTP sessions that one worker process keeps at most.
        smtp_domains: By domain how much mail one worker process hands over at most.
        public_url: Where readers reach the HTTP interface, without a slash at its end; None if they cannot.
        webhook_url: Where upstream is told of what admins decide; None if it is not. Its path may be secret.
        webhook_secrets: What signs that, as ``whsec_…``; more than one while they are exchanged.
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
    grace_seconds: int = 15
    smtp_connections: int = 8
    smtp_domains: Mapping[str, DomainLimit] = field(default_factory=dict)
    log_level: str = "warning"
    public_url: str | None = None
    webhook_url: Secret | None = None
    webhook_secrets: tuple[Secret, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
