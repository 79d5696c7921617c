"""API tokens: how one is made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

#: Tells people, and programs that look for leaked secrets, what a token is for.
PREFIX = "dsp_"
#: 256 bits, so that no list of hashes can be searched; written as 43 characters.
_BYTES = 32


def new_token(rng_token: Callable[[int], str]) -> tuple[str, str]:
    """A new token: its text, ``dsp_`` and 43 characters, and the hash by which it is known.

    Args:
        rng_token: Gives n random bytes in URL-safe base64, like `secrets.token_urlsafe`.
    """
    text = PREFIX + rng_token(_BYTES)
    return text, token_hash(text)


def token_hash(text: str) -> str:
    """The SHA-256 of a token's text, 64 hexadecimal digits; all that is ever kept of it."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
