"""A body in quoted-printable (RFC 2045, 6.7), cut where the reader's own address and links go.

Each of these stands on lines of its own between soft line breaks, so that putting it in never makes another
line longer.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping

from dispatcher.mail.content import SLOTS

_LINE = 76  # with the sign of a soft break


def pieces(text: str) -> tuple[bytes, ...]:
    """`text` encoded and cut: every second piece is the name of a slot, one of `SLOTS`."""
    cut = [_normal(text)]
    for name in SLOTS:
        if name in text:
            cut = [piece for part in cut for piece in _cut(part, name)]
    last = len(cut) - 1
    return tuple(
        piece.encode() if index % 2 else _encoded(piece, closed=index < last)
        for index, piece in enumerate(cut)
    )


def said(text: str, filling: str) -> bytes:
    """What the body of `text` decodes to, where every slot is filled with `filling`."""
    for name in SLOTS:
        text = text.replace(name, filling)
    return _normal(text).replace("\n", "\r\n").encode()


def joined(cut: tuple[bytes, ...], slots: Mapping[bytes, bytes]) -> bytes:
    """The body of `pieces` with its `slots`, each made by `slot`, filled."""
    return b"".join([slots.get(piece, piece) for piece in cut])


def slot(text: str) -> bytes:
    """An address or a URL, in ASCII, on lines of its own with a soft break after each."""
    atoms = text.replace("=", "=3D")
    if len(atoms) < _LINE:
        return f"{atoms}=\r\n".encode("ascii")
    chunks = re.findall(rf"(?:=3D|[^=]){{1,{_LINE // 3}}}", atoms)
    return "".join(f"{chunk}=\r\n" for chunk in chunks).encode("ascii")


def _normal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _cut(part: str, name: str) -> list[str]:
    """`part` with `name` as every second piece; what is a name already has no other in it."""
    first, *others = part.split(name)
    return [first, *(piece for other in others for piece in (name, other))]


def _encoded(piece: str, *, closed: bool) -> bytes:
    encoded = binascii.b2a_qp(piece.encode()).replace(b"\n", b"\r\n")
    return _closed(encoded) if closed else encoded


def _closed(encoded: bytes) -> bytes:
    """An encoded piece with a soft break at its end; a full last line first makes room for the sign."""
    last = encoded[encoded.rfind(b"\n") + 1 :]
    if len(last) >= _LINE:
        cut = -3 if last[-3:-2] == b"=" else -1
        encoded = encoded[:cut] + b"=\r\n" + encoded[cut:]
    return encoded + b"=\r\n"
