"""Turns at a SQLite file: one writer after the other, among processes, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher.ledger.turns import Turns


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Turns, Turns]]:
    """Two that share a file as two processes do: each has opened it for itself."""
    both = Turns(tmp_path / "turn", patience=60), Turns(tmp_path / "turn", patience=60)
    yield both
    for one in both:
        one.close()


async def test_one_writes_after_the_other(pair: tuple[Turns, Turns]) -> None:
    """While one has its turn the other waits, however often they come."""
    inside = most = 0

    async def write(turns: Turns) -> None:
        nonlocal inside, most
        for _ in range(20):
            async with turns.taken():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

    await asyncio.gather(*(write(turns) for turns in pair for _ in range(2)))
    assert most == 1


async def test_who_gives_up_waiting_holds_nothing(pair: tuple[Turns, Turns]) -> None:
    """A writer that is cancelled while it waits leaves the turn to others."""
    first, second = pair
    async with first.taken():
        waiting = asyncio.create_task(_turn(second))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
    await _turn(first)
    await _turn(second)


async def test_a_turn_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    """A process that was stopped in its turn keeps nobody from asking SQLite."""
    first, second = Turns(tmp_path / "turn", patience=60), Turns(tmp_path / "turn", patience=0)
    async with first.taken():
        await _turn(second)
    first.close()
    second.close()


async def test_only_one_waits_for_a_turn_that_does_not_come(pair: tuple[Turns, Turns]) -> None:
    """Who comes after it asks SQLite at once, and takes turns again as soon as they can be had."""
    first, second = pair
    second._patience = 0
    async with first.taken():
        await _turn(second)
        second._patience = 60
        async with asyncio.timeout(10):
            await _turn(second)
    await _turn(second)
    async with second.taken():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await _turn(first)


async def test_without_a_file_there_are_turns_all_the_same(tmp_path: Path) -> None:
    """Where it cannot be made, those of one process still follow each other."""
    turns = Turns(tmp_path / "no such folder" / "turn", patience=60)
    await _turn(turns)
    assert not list(tmp_path.iterdir())
    turns.close()


async def _turn(turns: Turns) -> None:
    async with turns.taken():
        pass
