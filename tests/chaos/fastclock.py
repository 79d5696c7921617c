"""A wall clock that runs faster than time and can be set, the same for several processes.

It counts from the monotonic clock, which all processes of a machine share; the offsets lie in a small file
that they all map. Slot 0 moves everybody's clock, the slot of a process its own alone.
"""

from __future__ import annotations

import mmap
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEAD = struct.Struct("ddd")  # a monotonic second, the wall clock's at that moment, and the rate
_OFFSET = struct.Struct("d")
SLOTS = 16


class FastClock:
    """The clock of one slot; call it for the time."""

    def __init__(self, path: Path, slot: int = 0) -> None:
        """Map the file that `make` made.

        Args:
            path: The file.
            slot: Whose offset counts besides everybody's.
        """
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._slot = slot
        self._began, self._wall, self.rate = _HEAD.unpack_from(self._map, 0)

    @staticmethod
    def make(path: Path, rate: float) -> None:
        """Write a file whose clock is right now and passes `rate` seconds in each second."""
        path.write_bytes(_HEAD.pack(time.monotonic(), time.time(), rate) + _OFFSET.pack(0.0) * SLOTS)

    def __call__(self) -> datetime:
        seconds = (time.monotonic() - self._began) * self.rate + self.offset(0)
        own = self.offset(self._slot) if self._slot else 0.0
        return _EPOCH + timedelta(seconds=self._wall + seconds + own)

    @property
    def microseconds(self) -> int:
        """The time as the ledger keeps moments."""
        return (self() - _EPOCH) // timedelta(microseconds=1)

    def offset(self, slot: int) -> float:
        """By how many of its seconds a slot is off."""
        return float(_OFFSET.unpack_from(self._map, _HEAD.size + slot * _OFFSET.size)[0])

    def set_offset(self, slot: int, seconds: float) -> None:
        """Let a slot be off by so many of its seconds; every process sees it at once."""
        _OFFSET.pack_into(self._map, _HEAD.size + slot * _OFFSET.size, seconds)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
