"""A message without its reader, as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

_VERSION = 1


class Place(NamedTuple):
    """Where the reader's own address or link goes: the name of a slot, and whether that is in the page."""

    slot: bytes
    page: bool


@dataclass(frozen=True, slots=True)
class Sealed:
    """What `dispatcher.mail.message.seal` makes once per variant, and a worker reads back once.

    Attributes:
        names: The headers that are the same for all readers, in their order.
        subject: The ``Subject`` header with its CRLF.
        head: The other headers that are the same for all, the blank line and the first part's headers.
        text: The first part's body in quoted-printable, cut by `body.pieces`.
        middle: What stands between the two bodies.
        html: The second part's body, cut likewise.
        tail: What comes after it, the file for calendars in it.
        decide: What a link to decide says beside who reads it; empty where the mail has none.
    """

    names: tuple[str, ...]
    subject: bytes
    head: bytes
    text: tuple[bytes, ...]
    middle: bytes
    html: tuple[bytes, ...]
    tail: bytes
    decide: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, data: bytes) -> Sealed:
        """What `seal` gave as bytes.

        Raises:
            ValueError: `data` was not made by `seal` of this version.
        """
        kept = orjson.loads(data)
        if not isinstance(kept, dict) or kept.get("version") != _VERSION:
            raise ValueError("a sealed message of another version; render its event again")
        return cls(
            names=tuple(kept["names"]),
            subject=kept["subject"].encode("ascii"),
            head=kept["head"].encode("ascii"),
            text=tuple(piece.encode("ascii") for piece in kept["text"]),
            middle=kept["middle"].encode("ascii"),
            html=tuple(piece.encode("ascii") for piece in kept["html"]),
            tail=kept["tail"].encode("ascii"),
            decide=kept.get("decide", {}),
        )

    def has(self, slot: str) -> bool:
        """Whether there is a place in the bodies for what is the reader's own."""
        return slot.encode() in self.text or slot.encode() in self.html

    def runs(self) -> tuple[bytes | Place, ...]:
        """All that follows the reader's own headers: whole lines, and between them the places to fill."""
        found: list[bytes | Place] = []
        run = self.head
        for pieces, after, page in ((self.text, self.middle, False), (self.html, self.tail, True)):
            for index, piece in enumerate(pieces):
                if index % 2:
                    found += [run, Place(piece, page)]
                run = b"" if index % 2 else run + piece
            run += after
        return (*found, run)

    def dump(self) -> bytes:
        """The bytes that `load` reads."""
        kept: dict[str, object] = {"version": _VERSION, "names": self.names}
        for key in ("subject", "head", "middle", "tail"):
            kept[key] = getattr(self, key).decode("ascii")
        for key in ("text", "html"):
            kept[key] = [piece.decode("ascii") for piece in getattr(self, key)]
        return orjson.dumps(kept | ({"decide": self.decide} if self.decide else {}))
