"""The rows that an expansion is stored in, and how they are parted among transactions."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from dispatcher.domain.address import folded
from dispatcher.domain.delivery import NewDelivery, NewVariant

DELIVERIES = 5000  # rows in one transaction: about a tenth of a second
VARIANTS = 500  # the same, with content of 15 kB each
_LEVEL = 1  # zlib: a third of the time of the default for a tenth more bytes

#: What goes into the database together: rows of variants, and deliveries with their Message-IDs.
Part = tuple[Sequence[dict[str, Any]], Sequence[tuple[NewDelivery, str]]]


def packed(event: str, contents: Sequence[NewVariant]) -> list[dict[str, Any]]:
    """The rows of an event's variants."""
    return [
        {
            "event": event,
            "key": variant.key,
            "subject": variant.subject,
            "template": variant.template,
            "content": zlib.compress(variant.content, _LEVEL),
        }
        for variant in contents
    ]


def distinct(deliveries: Sequence[NewDelivery], message_ids: Sequence[str]) -> list[tuple[NewDelivery, str]]:
    """Each delivery with its Message-ID, the first of those to one address about one instance."""
    wanted: dict[tuple[str, str], tuple[NewDelivery, str]] = {}
    for delivery, message_id in zip(deliveries, message_ids, strict=True):
        wanted.setdefault((delivery.instance, folded(delivery.address)), (delivery, message_id))
    return list(wanted.values())


def parts(contents: Sequence[dict[str, Any]], people: Sequence[tuple[NewDelivery, str]]) -> Iterator[Part]:
    """What goes into each transaction: all content comes before, or with, the first deliveries."""
    rest = iter(contents)
    part = list(islice(rest, VARIANTS))
    while following := list(islice(rest, VARIANTS)):
        yield part, ()
        part = following
    yield part, people[:DELIVERIES]
    for start in range(DELIVERIES, len(people), DELIVERIES):
        yield (), people[start : start + DELIVERIES]


def row_of(
    delivery: NewDelivery, shared: dict[str, Any], id_: str, message_id: str, keys: dict[str, int]
) -> dict[str, Any]:
    """The row of a delivery: what it shares with others, and its own.

    Args:
        delivery: The delivery.
        shared: What is the same in all rows of its part.
        id_: Its id.
        message_id: Its Message-ID.
        keys: The ids of the variants, by their keys.
    """
    return shared | {
        "id": id_,
        "instance": delivery.instance,
        "instances": delivery.instances,
        "address": delivery.address,
        "folded": folded(delivery.address),
        "name": delivery.name,
        "language": delivery.language,
        "time_zone": delivery.time_zone,
        "reasons": delivery.reasons,
        "sender": delivery.sender,
        "variant": keys[delivery.variant],
        "message_id": message_id,
        "expires_at": delivery.expires_at,
        "thread_root": delivery.thread_root,
    }
