"""The proxy of tests/proxy.py does to a connection what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from postgres_server import PostgresServer
from proxy import Proxy
from slow import PATIENT


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    writer.transport.abort()


class Client:
    """One connection that says lines and hears them back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, proxy: Proxy) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", proxy.port))

    async def say(self, line: bytes) -> bytes:
        self.writer.write(line + b"\n")
        return await self.hear()

    async def hear(self, seconds: float = 5.0 * PATIENT) -> bytes:
        """A line; nothing if the connection is gone."""
        async with asyncio.timeout(seconds):
            try:
                return (await self.reader.readline()).strip()
            except ConnectionResetError:
                return b""

    def close(self) -> None:
        self.writer.transport.abort()


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    """In front of an echo on a unix socket."""
    path = tmp_path / "echo.sock"
    server = await asyncio.start_unix_server(_echo, path)
    async with Proxy(path) as it:
        yield it
    server.close()
    await asyncio.sleep(0.01)


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Client]:
    it = await Client.at(proxy)
    yield it
    it.close()


async def test_passes_on_what_is_said(proxy: Proxy, client: Client) -> None:
    """Untouched, it is not noticed."""
    heard = [await client.say(b"one"), await client.say(b"two")]

    assert heard == [b"one", b"two"]
    assert proxy.open == 1


async def test_a_cut_ends_all_and_the_next_is_served(proxy: Proxy, client: Client) -> None:
    """Who was inside is hung up on; whoever comes again gets through."""
    await client.say(b"one")
    proxy.cut()
    cut = await client.hear()
    again = await Client.at(proxy)
    heard = await again.say(b"two")
    again.close()

    assert (cut, heard) == (b"", b"two")


async def test_a_stall_holds_back_and_loses_nothing(proxy: Proxy, client: Client) -> None:
    """Nothing passes, newcomers are let in and wait as well, and all goes on where it was."""
    await client.say(b"one")
    proxy.stall()
    newcomer = await Client.at(proxy)
    newcomer.writer.write(b"three\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.say(b"two"), 0.2)
    await proxy.restore()
    heard = [await client.hear(), await newcomer.hear()]
    newcomer.close()

    assert heard == [b"two", b"three"]


async def test_refuses_newcomers_alone(proxy: Proxy, client: Client) -> None:
    """The port is closed to new connections, and open again on the same number."""
    await client.say(b"one")
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await Client.at(proxy)
    inside = await client.say(b"two")
    await proxy.restore()
    newcomer = await Client.at(proxy)
    heard = await newcomer.say(b"three")
    newcomer.close()

    assert (inside, heard) == (b"two", b"three")


@pytest.mark.parametrize("passed", [False, True])
async def test_a_trap_springs_once_before_or_after_its_bytes(
    proxy: Proxy, client: Client, *, passed: bool
) -> None:
    """A stall at a marker lets the bytes through or not; the answer waits in either case."""
    trap = proxy.once(b"COMMIT", "stall", passed=passed)
    before = await client.say(b"BEGIN")
    client.writer.write(b"COMMIT\n")
    await asyncio.wait_for(trap.wait(), 5 * PATIENT)
    with pytest.raises(TimeoutError):
        await client.hear(0.2)
    await proxy.restore()

    assert (before, await client.hear()) == (b"BEGIN", b"COMMIT")
    assert await client.say(b"COMMIT") == b"COMMIT"


async def alone(connection: asyncpg.Connection, database: str) -> None:
    """Wait until nobody else is in the database: what they had asked for is done, or never will be."""
    others = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = $1 AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    async with asyncio.timeout(5 * PATIENT):
        while await connection.fetchval(others, database):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("passed", [False, True])
async def test_a_commit_whose_answer_is_lost(
    postgres: PostgresServer, postgres_url: str, *, passed: bool
) -> None:
    """PostgreSQL behind it commits or does not, as the trap says; the client hears neither."""
    name = postgres_url.partition("@/")[2].partition("?")[0]
    direct = await asyncpg.connect(postgres_url)
    await direct.execute("CREATE TABLE kept (number integer)")
    async with Proxy.postgresql(postgres.directory) as proxy:
        through = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}")
        trap = proxy.once(b"COMMIT", "cut", passed=passed)
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            async with through.transaction():
                await through.execute("INSERT INTO kept VALUES (1)")
        through.terminate()
        await alone(direct, name)
    found = await direct.fetchval("SELECT count(*) FROM kept")
    await direct.close()

    assert trap.sprung
    assert found == int(passed)
