"""Links in mails that let a reader act without signing in: signed, so that nobody can make one up.

A token is ``key.payload.mac``: the id of the key that signed it, what the link says as JSON in base64url
without padding, and an HMAC-SHA256 (RFC 2104) over all of it. The purpose goes into the MAC and stands
nowhere in the token, so that a link made for one purpose is none for another. Whoever has a token can read
it; nobody can change it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

#: What a link is for.
Purpose = Literal["choices", "decide", "decide-form"]

#: Characters. An address of full length, a type and a language come to 620; a header's line holds 998.
MAX_TOKEN: Final = 800
#: Bytes of a key's secret: as many as the hash gives (RFC 2104, 3).
SECRET_BYTES: Final = 32
_TOKEN: Final = re.compile(r"([a-z0-9]{1,16})\.([A-Za-z0-9_-]{2,700})\.([A-Za-z0-9_-]{43})")
_FORMAT: Final = b"dispatcher link 1"
_EXPIRY: Final = "exp"


class LinkInvalid(ValueError):  # noqa: N818
    """A token that we did not make for this purpose; the text says no more than that."""

    def __init__(self) -> None:
        super().__init__("the link is not one of ours, or was changed on its way")


class LinkExpired(LinkInvalid):
    """A token that we made, whose time is over.

    Attributes:
        said: What it says.
        until: Since when it is refused.
    """

    def __init__(self, said: Mapping[str, str], until: datetime) -> None:
        super().__init__()
        self.said, self.until = said, until


@dataclass(frozen=True, slots=True)
class LinkKey:
    """What signs tokens.

    Attributes:
        id: Stands in each token that it signed; small letters and digits.
        secret: `SECRET_BYTES` random bytes.
    """

    id: str
    secret: bytes = field(repr=False)


def sign(key: LinkKey, purpose: Purpose, says: Mapping[str, str], expires_at: datetime | None = None) -> str:
    """A token that says `says`; the same for the same arguments.

    Args:
        key: The key to sign with.
        purpose: What the link is for.
        says: What it says, by short names; anybody who has the link can read it.
        expires_at: From when on it is refused, to the second; None for never.

    Raises:
        ValueError: It says too much for a link.
    """
    said: dict[str, Any] = dict(says)
    if expires_at is not None:
        said[_EXPIRY] = int(expires_at.timestamp())
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    signed = f"{key.id}.{_encoded(text.encode())}"
    token = f"{signed}.{_encoded(_mac(key, purpose, signed))}"
    if len(token) > MAX_TOKEN or _TOKEN.fullmatch(token) is None:
        raise ValueError(f"a link of {len(token)} characters cannot be signed")
    return token


def key_of(token: str) -> str:
    """The id of the key that a token names, before anything of it is known to be true.

    Raises:
        LinkInvalid: It has not the form of a token.
    """
    return _parts(token)[0]


def verify(token: str, purpose: Purpose, keys: Mapping[str, LinkKey], now: datetime) -> Mapping[str, str]:
    """What a token says.

    Args:
        token: As it came in.
        purpose: What it must have been made for.
        keys: Every key that may have signed it, by its id.
        now: The time.

    Raises:
        LinkInvalid: It was not signed by one of the keys for this purpose, whatever is wrong with it.
        LinkExpired: It was, and its time is over.
    """
    name, payload, mac = _parts(token)
    key = keys.get(name)
    if key is None or not hmac.compare_digest(_mac(key, purpose, f"{name}.{payload}"), _decoded(mac)):
        raise LinkInvalid
    said = json.loads(_decoded(payload))
    expiry = said.pop(_EXPIRY, None)
    says = {str(one): str(value) for one, value in said.items()}
    if expiry is not None and now >= (until := datetime.fromtimestamp(expiry, UTC)):
        raise LinkExpired(says, until)
    return says


def _parts(token: str) -> tuple[str, str, str]:
    match = _TOKEN.fullmatch(token) if len(token) <= MAX_TOKEN else None
    if match is None:
        raise LinkInvalid
    return match[1], match[2], match[3]


def _mac(key: LinkKey, purpose: Purpose, signed: str) -> bytes:
    message = b"\0".join((_FORMAT, purpose.encode(), signed.encode()))
    return hmac.digest(key.secret, message, hashlib.sha256)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """What base64url stands for; one spelling alone counts (RFC 4648, 3.5), or a MAC would have four."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise LinkInvalid from None
    if _encoded(data) != text:
        raise LinkInvalid
    return data
