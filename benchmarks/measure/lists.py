"""Recipient lists: how long a process takes to know them."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.harness import roots
from benchmarks.harness.clock import timed
from benchmarks.harness.figures import Row, Section
from dispatcher import environment
from dispatcher.app import open_project
from dispatcher.files.recipient_store import RecipientStore

_ADDRESSES = 20


def lists(bench: Bench) -> Section:
    """Seconds to read all files: cold, with the cache of an earlier process, and after one file changed."""
    number = bench.options.files
    with bench.place("lists") as folder:
        root = roots.lay_out(folder / "root")
        roots.narrowed(root, number, _ADDRESSES)
        keys = open_project(environment.load(root, {})).catalogue.audience_keys
        cache = folder / "cache"
        with timed() as seconds:
            RecipientStore(root, cache=cache, audience_keys=keys).refresh()
            cold = seconds()
        with timed() as seconds:
            store = RecipientStore(root, cache=cache, audience_keys=keys)
            store.refresh()
            warm = seconds()
        file = root / "recipients" / "instance-0.yaml"
        file.write_text(file.read_text() + "users: [new@i0.example]\n")
        with timed() as seconds:
            store.refresh()
            changed = seconds()
    what = f"{number:,} recipient files with {number * _ADDRESSES:,} addresses"
    return Section(
        [
            Row(f"{what}, cold", cold, "s"),
            Row("the same, with the cache of an earlier process", warm, "s"),
            Row("the same, after one file changed", changed, "s"),
        ],
        {"cold": cold, "warm": warm, "changed": changed},
    )
