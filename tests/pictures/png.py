"""PNG as Chromium writes it, read pixel by pixel and written small, without a library."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = b"\x89PNG\r\n\x1a\n"
#: What a palette holds.
_COLOURS = 256


@dataclass(frozen=True, slots=True)
class Picture:
    """Rows of pixels, each pixel `0xRRGGBB`."""

    rows: list[list[int]]

    @property
    def lightness(self) -> float:
        """The mean of all channels, from 0 (black) to 1 (white)."""
        channels = [sum(pixel.to_bytes(3, "big")) for row in self.rows for pixel in row]
        return sum(channels) / (len(channels) * 3 * 255)

    def trimmed(self, margin: int = 16) -> Picture:
        """Without the rows of one colour at the bottom, but for `margin` of them."""
        last = len(self.rows)
        while last and len(set(self.rows[last - 1])) == 1 and self.rows[last - 1] == self.rows[-1]:
            last -= 1
        return Picture(self.rows[: last + margin])


def read(content: bytes) -> Picture:
    """The picture; of PNG's kinds only the one that Chromium writes: 8 bits, RGB or RGBA, not interlaced."""
    chunks = list(_chunks(content))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, interlaced) == (8, 0)
    size = {2: 3, 6: 4}[kind]
    raw = zlib.decompress(b"".join(data for name, data in chunks if name == b"IDAT"))
    stride = width * size
    above, rows = bytearray(stride), []
    for start in range(0, height * (stride + 1), stride + 1):
        line = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], line, above, size)
        rows.append([line[i] << 16 | line[i + 1] << 8 | line[i + 2] for i in range(0, stride, size)])
        above = line
    return Picture(rows)


def write(picture: Picture) -> bytes:
    """PNG with a palette; where there are more colours than it holds, the rare ones take their nearest."""
    counts = Counter(pixel for row in picture.rows for pixel in row)
    palette = [colour for colour, _ in counts.most_common(_COLOURS)]
    index = {colour: number for number, colour in enumerate(palette)}
    for colour in counts:
        if colour not in index:
            index[colour] = min(range(len(palette)), key=lambda n: _distance(palette[n], colour))
    raw = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in picture.rows)
    header = struct.pack(">IIBBBBB", len(picture.rows[0]), len(picture.rows), 8, 3, 0, 0, 0)
    colours = b"".join(colour.to_bytes(3, "big") for colour in palette)
    packed = zlib.compress(raw, 9)
    parts = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", packed), (b"IEND", b""))
    return _MAGIC + b"".join(_chunk(name, data) for name, data in parts)


def _distance(first: int, second: int) -> int:
    return sum((a - b) ** 2 for a, b in zip(first.to_bytes(3, "big"), second.to_bytes(3, "big"), strict=True))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert content.startswith(_MAGIC)
    at = len(_MAGIC)
    while at < len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        yield name, content[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _unfilter(how: int, line: bytearray, above: bytearray, size: int) -> None:
    """Undo the filter of one line (PNG, section 9.2), in place."""
    if how == 1:
        for i in range(size, len(line)):
            line[i] = (line[i] + line[i - size]) & 255
    elif how == 2:
        line[:] = bytes([(a + b) & 255 for a, b in zip(line, above, strict=True)])
    elif how == 3:
        for i in range(len(line)):
            left = line[i - size] if i >= size else 0
            line[i] = (line[i] + (left + above[i]) // 2) & 255
    elif how == 4:
        for i in range(len(line)):
            left, corner = (line[i - size], above[i - size]) if i >= size else (0, 0)
            line[i] = (line[i] + _paeth(left, above[i], corner)) & 255


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    to_left, to_up, to_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner
