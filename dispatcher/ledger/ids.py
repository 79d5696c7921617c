"""Ids that sort by the time at which they were made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

#: Digits and lower-case letters without i, l, o and u, in the order in which ASCII sorts them (Crockford).
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
_TIME = 5  # pairs of characters: 50 bits of milliseconds last for 35,000 years
_RANDOM = 6  # pairs of characters: 60 bits


def new_ids(prefix: str, moment: datetime, token: Callable[[int], str]) -> Iterator[str]:
    """Ids without end: `prefix`, the time, and a random number that rises by one from id to id.

    Those of one call sort in the order in which they were made, which also keeps inserting many of
    them at one end of an index.

    Args:
        prefix: What it is an id of: ``evt_``.
        moment: When it came; later ones sort after earlier ones, to the millisecond.
        token: Gives n random bytes as 2n hexadecimal digits, like `secrets.token_hex`.
    """
    head = prefix + _base32(int(moment.timestamp() * 1000), _TIME)
    number = int(token(8), 16) >> 5  # one bit is left free, so that counting on never overflows
    while True:
        high = head + _base32(number >> 10, _RANDOM - 1)
        for low in _PAIRS[number & 1023 :]:
            yield high + low
        number = (number | 1023) + 1


def _base32(number: int, pairs: int) -> str:
    return "".join([_PAIRS[number >> 10 * place & 1023] for place in range(pairs - 1, -1, -1)])
