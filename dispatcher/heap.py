"""One heap for all threads, and what was large for a moment given back.

glibc gives each thread that allocates while others do an arena of its own, and takes back from none of them
what was there for a moment: rendering and storing in turns by some threads would hold several times as much
memory as any of them needs at a time. Python's own threads hardly ever allocate at once. Large pieces get
pages of their own, but only until the first is given back: then glibc takes their size for usual.
"""

from __future__ import annotations

import ctypes

#: Options of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
#: Bytes from which on a piece is large: far more than a message, less than a recipient file.
_LARGE = 256 * 1024


def one_for_all() -> None:
    """Have no arenas made for threads to come; nothing where the C library has none."""
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_ARENA_MAX, 1)
        tune(_MMAP_THRESHOLD, _LARGE)
        tune(_TRIM_THRESHOLD, _LARGE)
