"""Looks that are shared by those who ask at the same time."""

from __future__ import annotations

import asyncio

import pytest

from dispatcher.web.shared import Shared


class Slow:
    """Something that takes until it is let go; each look sees the next number."""

    def __init__(self) -> None:
        self.looks = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.looks += 1
        seen = self.looks
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return seen


async def turns() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_during_a_look_shares_the_next() -> None:
    """Nobody is given what was seen before he asked, and a crowd costs one look."""
    slow = Slow()
    shared = Shared(slow)
    first = [asyncio.create_task(shared()) for _ in range(3)]
    await turns()
    later = [asyncio.create_task(shared()) for _ in range(5)]
    await turns()
    assert slow.looks == 1
    slow.go.set()

    assert await asyncio.gather(*first) == [1, 1, 1]
    assert await asyncio.gather(*later) == [2] * 5
    assert await shared() == 3


async def test_a_failure_is_told_to_all_who_asked_and_to_nobody_else() -> None:
    """The next look is one of its own."""
    slow = Slow()
    slow.go.set()
    slow.error = ValueError("away")
    shared = Shared(slow)
    asked = await asyncio.gather(shared(), shared(), return_exceptions=True)
    slow.error = None

    assert [str(one) for one in asked] == ["away", "away"]
    assert await shared() == 2


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    """A caller that went away neither ends the look nor leaves its failure unheard."""
    slow = Slow()
    shared = Shared(slow)
    gone, here = asyncio.create_task(shared()), asyncio.create_task(shared())
    await turns()
    gone.cancel()
    await turns()
    slow.go.set()

    assert await here == 1
    with pytest.raises(asyncio.CancelledError):
        await gone
