"""What a request may ask of the service, over plain sockets where a client library would be too polite."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from slow import PATIENT
from web_service import BATCH, STRUCTURED, TOKEN, Service, cloud_event, problems, service

from dispatcher.web.limits import Limits

LIMIT = 1024 * 1024


def head(*headers: str, path: str = "/v1/events") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {TOKEN}",
        f"Content-Type: {STRUCTURED}",
    ]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


async def exchange(api: Service, *parts: bytes) -> bytes:
    """Write the parts as far as the server takes them, and read until it closes."""
    address = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10 * PATIENT)
    finally:
        writer.close()


async def flood(writer: asyncio.StreamWriter) -> None:
    """Write a chunked body until the server has enough."""
    while True:
        writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await writer.drain()


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65536):
        yield b" " * 65536


def padded(size: int) -> bytes:
    """A right event, blown up with blanks to so many bytes."""
    return json.dumps(cloud_event()).encode().ljust(size)


async def test_takes_a_body_up_to_the_limit(tmp_path: Path) -> None:
    """A mebibyte is allowed, one byte more is not."""
    async with service(tmp_path) as api:
        headers = {"Content-Type": STRUCTURED}
        right = await api.http.post("/v1/events", content=padded(LIMIT), headers=headers)
        wrong = await api.http.post("/v1/events", content=padded(LIMIT + 1), headers=headers)

    assert right.status_code == 202
    assert wrong.status_code == 413
    assert problems(wrong) == {}


async def test_counts_a_body_without_a_length(tmp_path: Path) -> None:
    """A chunked body is counted as it comes in, and refused at the limit."""
    async with service(tmp_path) as api:
        answer = await api.http.post(
            "/v1/events", content=chunks(3 * LIMIT), headers={"Content-Type": STRUCTURED}
        )

    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


async def test_answers_while_the_body_comes_in(tmp_path: Path) -> None:
    """The answer is whole although the caller was still sending when it came."""
    async with service(tmp_path) as api:
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        said = await exchange(api, head("Transfer-Encoding: chunked"), *[chunk] * 30)

    assert said.startswith(b"HTTP/1.1 413 ")
    assert said.endswith(b"}")


async def test_stops_reading_an_endless_body(tmp_path: Path) -> None:
    """A body without end is cut off."""
    async with service(tmp_path) as api:
        address = urlsplit(api.url)
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(head("Transfer-Encoding: chunked"))
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(flood(writer), 20 * PATIENT)
        writer.close()
        answer = await api.http.get("/healthz")

    assert answer.status_code == 200


async def test_believes_no_length(tmp_path: Path) -> None:
    """A length beyond the limit is refused before any of it was sent."""
    async with service(tmp_path) as api:
        said = await exchange(api, head("Content-Length: 99999999999999999999999"))

    assert said.startswith(b"HTTP/1.1 4")
    assert b"413" in said or b"400" in said


async def test_gives_up_on_a_slow_body(tmp_path: Path) -> None:
    """A body that does not come in time is refused, and the connection ends."""
    async with service(tmp_path, limits=Limits(seconds=0.2)) as api:
        said = await exchange(api, head("Content-Length: 100"), b"{")

    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in said


async def test_survives_a_caller_who_goes_away(tmp_path: Path) -> None:
    """A caller who hangs up in the middle of a body leaves no event and no trace."""
    async with service(tmp_path) as api:
        address = urlsplit(api.url)
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(head("Content-Length: 100") + b"{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        answer = await api.post(cloud_event())
        events = await api.events()

    assert answer.status_code == 202
    assert events == 1


async def test_limits_a_batch(tmp_path: Path) -> None:
    """A thousand events are a batch, one more is too many."""
    small = {"data": {"instances": "all", "fields": {}}}
    async with service(tmp_path) as api:
        right = await api.post([cloud_event(str(number)) for number in range(1000)], BATCH)
        wrong = await api.post([cloud_event(str(number), **small) for number in range(1001)], BATCH)
        events = await api.events()

    assert right.status_code == 202
    assert len(right.json()["events"]) == 1000
    assert wrong.status_code == 413
    assert events == 1000


async def test_ends_while_a_caller_dawdles(tmp_path: Path) -> None:
    """Stopping waits for no idle connection."""
    async with service(tmp_path) as api:
        address = urlsplit(api.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        await api.http.get("/healthz")
    ended = await asyncio.wait_for(reader.read(), 10 * PATIENT)
    writer.close()

    assert ended == b""
