"""One recipient file from disk to what the store keeps of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dispatcher.files.folder import NEVER, Stat, stat_of
from dispatcher.files.ownership import Entry
from dispatcher.files.recipient_files import read_instance, unreadable
from dispatcher.files.recipient_form import version_of
from dispatcher.files.source import MAX_BYTES

#: A file that changed this shortly before it was read may change again without its times moving on, for
#: file systems note them in ticks of some milliseconds; it is read once more.
SETTLE_NS = 50_000_000


def read_version(root: Path, name: str, keys: frozenset[str], known: Entry | None) -> Entry | None:
    """What the file says now.

    Args:
        root: The folder that `name` is relative to.
        name: The file.
        keys: The words that ``only`` and ``except`` may use.
        known: What was known of the file; its version in force is kept.

    Returns:
        None if the file has gone.
    """
    good = known.good if known is not None else None
    try:
        with (root / name).open("rb") as file:
            before = stat_of(os.fstat(file.fileno()))
            raw = file.read(MAX_BYTES + 1)
            stat = before if stat_of(os.fstat(file.fileno())) == before and _quiet(before) else NEVER
    except FileNotFoundError:
        return None
    except OSError as error:
        return Entry(good=good, problems=(unreadable(name, error),))
    reading = read_instance(raw, name, keys)
    if reading.instance is None:
        return Entry(stat, good=good, problems=reading.problems)
    read = version_of(reading.instance, reading.form, before[1])
    return Entry(stat, read=good if good == read else read, good=good)


def _quiet(stat: Stat) -> bool:
    # The file system's times come from the machine's clock, not from the one that tests turn.
    return time.time_ns() - max(stat[:2]) > SETTLE_NS
