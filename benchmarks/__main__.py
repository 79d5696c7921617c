"""``make bench``: renders, intake, end to end, memory, recipient lists.

Figures are of this machine, ratios of this run.

Options: ``--recipients N`` (10,000), ``--events N`` (2,000), ``--files N`` (10,000).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import uvloop
from premailer import Premailer

from benchmarks import processes, root
from dispatcher import environment
from dispatcher.app import open_project, system_clock
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.specimen import EXAMPLE, Specimens

RESULTS = Path(__file__).parent / "results.json"


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Seconds since the block began."""
    began = time.perf_counter()
    yield lambda: time.perf_counter() - began


def renders(folder: Path) -> dict[str, float]:
    """Mails rendered and finished per second: a shape's first, its later ones, and premailer every time."""
    project = open_project(environment.load(folder))
    specimens = Specimens(project.catalogue, project.renderer, system_clock())
    keys = [key for key, spec in project.catalogue.types.items() if spec.banner]
    with timed() as seconds:
        for key in keys:
            specimens.render(key, specimens.sample(key), EXAMPLE, "en")
        first = len(keys) / seconds()
    with timed() as seconds:
        for number in range(20):
            later = Specimens(project.catalogue, project.renderer, system_clock() + timedelta(days=number))
            for key in keys:
                later.render(key, later.sample(key), EXAMPLE, "en")
        again = 20 * len(keys) / seconds()
    pages = [specimens.render(key, specimens.sample(key), EXAMPLE, "en").html for key in keys]
    with timed() as seconds:
        for page in pages:
            Premailer(page, keep_style_tags=True, allow_network=False, disable_validation=True).transform()
        inlined = len(pages) / seconds()
    return {
        "renders per second, first of a shape": first,
        "renders per second, later ones": again,
        "ratio of later to first": again / first,
        "premailer alone over the same mails, per second": inlined,
        "ratio of later ones to premailer alone": again / inlined,
    }


async def _post(url: str, token: str, number: int, batch: int) -> float:
    """Events accepted per second: `number` of them, `batch` a request (1: single), 16 requests at a time."""
    headers = {"Authorization": f"Bearer {token}"}
    kind = "application/cloudevents+json" if batch == 1 else "application/cloudevents-batch+json"
    data = {
        "instances": ["large"],
        "fields": {"summary": "Storage is replaced", "downtime": False},
    }

    def body(start: int) -> bytes:
        events = [
            {
                "specversion": "1.0",
                "type": "security-update",
                "source": f"bench{batch}",
                "id": str(one),
                "data": data,
            }
            for one in range(start, start + batch)
        ]
        return json.dumps(events[0] if batch == 1 else events).encode()

    bodies = [body(start) for start in range(0, number, batch)]
    limits = httpx.Limits(max_connections=16)
    async with httpx.AsyncClient(
        headers=headers | {"Content-Type": kind}, limits=limits, timeout=60
    ) as client:
        queue = iter(bodies)

        async def poster() -> None:
            for content in queue:
                (await client.post(f"{url}/v1/events", content=content)).raise_for_status()

        with timed() as seconds:
            await asyncio.gather(*(poster() for _ in range(16)))
            return number / seconds()


def intake(folder: Path, events: int) -> dict[str, float]:
    """Events accepted over HTTP per second, the client on the same machine."""
    nothing = {"DISPATCHER_STATE_DIR": str(folder / "state-intake")}
    token = processes.run(folder, "token", "new", "bench", environment=nothing)["token"]
    with processes.running(folder, "up", "--port", "0", environment=nothing) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "Listening on" in line)
        url = line.rpartition(" ")[2].strip()
        single = uvloop.run(_post(url, token, events, 1))
        batches = uvloop.run(_post(url, token, events * 10, 1000))
        memory = processes.peak_memory(process)
    return {
        "events per second over HTTP, one a request": single,
        "events per second over HTTP, 1,000 a request": batches,
        "peak memory of the HTTP and worker process in MB": memory,
    }


def end_to_end(folder: Path, recipients: int) -> dict[str, float]:
    """Messages per second from the event to the SMTP server's 250, one event to so many recipients."""
    with processes.sink() as relay:
        variables = {
            "DISPATCHER_STATE_DIR": str(folder / "state-end"),
            "DISPATCHER_SMTP_URL": relay,
        }
        with processes.running(folder, "worker", environment=variables) as process:
            assert process.stdout is not None
            next(line for line in process.stdout if "Working" in line)
            with timed() as seconds:
                sent = processes.run(
                    folder,
                    "send",
                    "planned-maintenance",
                    "--all",
                    "--sample",
                    "--wait",
                    environment=variables,
                )
                elapsed = seconds()
            memory = processes.peak_memory(process)
    assert sent["deliveries"] == {"sent": recipients}, sent
    return {
        f"messages per second, event to 250, {recipients} recipients": recipients / elapsed,
        "seconds for all of them, the command's start included": elapsed,
        "peak memory of the worker in MB": memory,
    }


def recipient_lists(folder: Path, files: int) -> dict[str, float]:
    """Seconds to read so many files of 20 addresses: cold, with a cache, and after one file changed."""
    root.many_instances(folder, files, 20)
    keys = open_project(environment.load(folder)).catalogue.audience_keys
    cache = folder / "cache"
    with timed() as seconds:
        store = RecipientStore(folder, cache=cache, audience_keys=keys)
        store.refresh()
        cold = seconds()
    with timed() as seconds:
        warm_store = RecipientStore(folder, cache=cache, audience_keys=keys)
        warm_store.refresh()
        warm = seconds()
    file = folder / "recipients" / "instance-7.yaml"
    file.write_text(file.read_text() + "users: [new@i7.example]\n")
    with timed() as seconds:
        warm_store.refresh()
        changed = seconds()
    return {
        f"seconds to read {files} files with {files * 20} addresses, cold": cold,
        "the same, with the cache of an earlier process": warm,
        "the same, after one file changed": changed,
    }


def main() -> None:
    """Run everything, print a table, keep the figures in ``benchmarks/results.json``."""
    parser = argparse.ArgumentParser(prog="make bench BENCH=…")
    parser.add_argument("--recipients", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--files", type=int, default=10_000)
    options = parser.parse_args()
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = root.lay_out(Path(temporary) / "root")
        root.one_large_instance(folder, options.recipients)
        results |= renders(folder)
        results |= intake(folder, options.events)
        results |= end_to_end(folder, options.recipients)
        lists = root.lay_out(Path(temporary) / "lists")
        results |= recipient_lists(lists, options.files)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    print(f"{machine}, Python {platform.python_version()}")
    for name, value in results.items():
        print(f"{name:<72} {value:>12,.2f}")
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
