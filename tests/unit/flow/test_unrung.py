from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.unrung import Unrung


async def test_each_kind_of_work_runs_once_at_a_time() -> None:
    """A sweep that comes round again does not begin what still runs; other kinds run beside it."""
    unrung, go, began = Unrung(), asyncio.Event(), list[str]()

    async def work(kind: str) -> None:
        began.append(kind)
        await go.wait()

    for _ in range(3):
        unrung.begin("urgent", lambda: work("urgent"))
        unrung.begin("bulk", lambda: work("bulk"))
        await asyncio.sleep(0)
    go.set()
    await asyncio.sleep(0.01)
    unrung.begin("urgent", lambda: work("urgent"))
    await asyncio.sleep(0.01)
    await unrung.end(timedelta(seconds=5))
    unrung.begin("bulk", lambda: work("bulk"))
    await asyncio.sleep(0.01)

    assert began == ["urgent", "bulk", "urgent"]


async def test_work_that_does_not_end_is_cancelled_after_its_grace() -> None:
    """Stopping takes no longer than it may."""
    unrung, cancelled = Unrung(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    unrung.begin("urgent", work)
    await asyncio.sleep(0)
    await unrung.end(timedelta(seconds=0.01))

    assert cancelled.is_set()


@pytest.mark.parametrize("error", [ServiceUnreachable("database", "It is away."), RuntimeError("a bug")])
async def test_work_that_fails_is_told_and_begun_again(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """An error ends one round of it, with a line in the log."""
    unrung = Unrung()

    async def work() -> None:
        raise error

    for _ in range(2):
        unrung.begin("to deliver", work)
        await asyncio.sleep(0.01)
    await unrung.end(timedelta(seconds=5))

    assert len(caplog.records) == 2
    assert "to deliver" in caplog.text
