"""Threads share one heap, in a process of their own."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

_ALLOCATE = """
import ctypes, re, sys, tempfile, threading
from dispatcher import heap

if sys.argv[1] == "one":
    heap.one_for_all()
libc = ctypes.CDLL(None)  # its calls let go of the interpreter, so threads allocate at once
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
meet = threading.Barrier(4)

def allocate():
    meet.wait()
    libc.free(libc.malloc(5000))
    meet.wait()

threads = [threading.Thread(target=allocate) for _ in range(4)]
for one in threads: one.start()
for one in threads: one.join()
with tempfile.NamedTemporaryFile() as file:
    libc.fopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(len(re.findall("<heap nr=", open(file.name).read())))
"""


def heaps(word: str) -> int:
    """How many heaps a process with some threads has."""
    command = [sys.executable, "-c", _ALLOCATE, word]
    return int(subprocess.run(command, capture_output=True, check=True, timeout=30, text=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not the C library that has them")
def test_threads_share_one_heap() -> None:
    """Each thread has one of its own otherwise."""
    assert heaps("one") == 1
    assert heaps("many") > 1
