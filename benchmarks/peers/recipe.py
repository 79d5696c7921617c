"""The recipe that most people write: one arq job per recipient.

As the demo of arq's documentation (arq-docs.helpmanual.io, "Usage": a `WorkerSettings` with functions and
`on_startup`, started by ``arq module.WorkerSettings``; one `enqueue_job` for each piece of work), with the
example of aiosmtplib's ("Sending Messages": build an `EmailMessage`, ``await aiosmtplib.send(message,
hostname=…, port=…)``, which connects anew for each). The job renders with Jinja2, inlines with premailer and
builds the message. Two worker processes, real Valkey. Run twice: with arq's own defaults (10 jobs, a look
every 0.5 s, which holds a worker to some tens of jobs a second, whatever the machine), and with settings
raised until the processor is the limit; ratios are to the faster.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiosmtplib
from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.harness.clock import wait_until
from benchmarks.harness.sinks import Sink, expect
from benchmarks.peers.mails import Mails, reader
from dispatcher.queue.embedded import EmbeddedValkey

_ENVIRONMENT = os.environ.get
WORKERS = 2


async def send_mail(ctx: dict[str, Any], address: str, language: str, zone: str) -> None:
    """The job."""
    message = ctx["mails"].message(address, language, zone)
    await aiosmtplib.send(message, hostname="127.0.0.1", port=ctx["port"])


async def startup(ctx: dict[str, Any]) -> None:
    """Load the templates once; send one mail of each language and zone nowhere, so that all is warm."""
    folder = Path(os.environ["RECIPE_FOLDER"])
    ctx["mails"] = mails = Mails(folder / "root")
    ctx["port"] = int(os.environ["RECIPE_PORT"])
    for number in range(180):
        mails.wording(*reader(number)[1:])
    for number in range(9):
        mails.message(*reader(number))
    (folder / f"ready-{os.getpid()}").touch()


class WorkerSettings:
    """What `arq` reads."""

    functions = [send_mail]
    on_startup = startup
    redis_settings = RedisSettings(unix_socket_path=_ENVIRONMENT("RECIPE_REDIS"))
    max_jobs = int(_ENVIRONMENT("RECIPE_JOBS", "10"))
    poll_delay = float(_ENVIRONMENT("RECIPE_POLL", "0.5"))


async def _enqueue(socket: str, number: int) -> None:
    redis = await create_pool(RedisSettings(unix_socket_path=socket))
    try:
        for one in range(number):
            await redis.enqueue_job("send_mail", *reader(one))
    finally:
        await redis.aclose()


def rate(folder: Path, sink: Sink, number: int, *, jobs: int = 10, poll: float = 0.5) -> float:
    """Messages per second, from the first `enqueue_job` to the last 250.

    Args:
        folder: Holds ``root``, and takes the rest.
        sink: Takes the messages; fresh or not.
        number: How many recipients.
        jobs: arq's `max_jobs`.
        poll: arq's `poll_delay` in seconds.

    Raises:
        Mismatch: The sink took another number of messages.
    """
    state = folder / f"state-{jobs}"
    with EmbeddedValkey(state):
        socket = EmbeddedValkey.url(state).removeprefix("unix://")
        environment = {
            "RECIPE_FOLDER": str(folder),
            "RECIPE_REDIS": socket,
            "RECIPE_PORT": str(sink.port),
            "RECIPE_JOBS": str(jobs),
            "RECIPE_POLL": str(poll),
        }
        with _workers(folder, environment):
            before, began = sink.taken(), time.monotonic()
            asyncio.run(_enqueue(socket, number))
            return number / (expect(sink, before + number, 60 + number / 5) - began)


@contextmanager
def _workers(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    for old in folder.glob("ready-*"):
        old.unlink()
    command = [sys.executable, "-m", "arq", "benchmarks.peers.recipe.WorkerSettings"]
    with (folder / "recipe.log").open("wb") as log:
        processes = [
            subprocess.Popen(
                command,
                env=os.environ | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).resolve().parents[2],
            )
            for _ in range(WORKERS)
        ]
    try:
        if not wait_until(lambda: len(list(folder.glob("ready-*"))) == WORKERS, 120):
            text = (folder / "recipe.log").read_text(errors="replace")
            raise RuntimeError(f"arq did not start; it printed: {text[-2000:]}")
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
