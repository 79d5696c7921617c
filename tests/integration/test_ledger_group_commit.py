"""What several callers want written goes into one transaction, and none pays for another's mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.errors import NotFound, ServiceUnreachable
from dispatcher.ledger import Ledger
from dispatcher.ledger.group_commit import MOST, GroupCommit


class Book:
    """Numbers in a table; it notes which of them came together."""

    def __init__(self, ledger: Ledger) -> None:
        self.database = ledger.database
        self.groups: list[list[int]] = []
        self.begun = asyncio.Event()
        self.may_go = asyncio.Event()
        self.may_go.set()

    async def write(self, transaction: AsyncConnection, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.groups.append([*numbers])
        self.begun.set()
        await self.may_go.wait()
        for number in numbers:
            await transaction.execute(
                text("INSERT INTO numbers (number) VALUES (:number)"), {"number": number}
            )
            if number == 13:
                raise ValueError(number)
        return [NotFound("seven") if number == 7 else 10 * number for number in numbers]

    async def kept(self) -> list[int]:
        async with self.database.read() as connection:
            return sorted((await connection.execute(text("SELECT number FROM numbers"))).scalars())


@pytest.fixture
async def book(ledger: Ledger) -> Book:
    async with ledger.database.write() as transaction:
        await transaction.execute(text("CREATE TABLE numbers (number integer)"))
    return Book(ledger)


@pytest.fixture
def commit(book: Book) -> GroupCommit[int, int]:
    return GroupCommit(book.database, book.write)


async def together(book: Book, calls: Sequence[asyncio.Task[int]]) -> list[int | BaseException]:
    """Let the first call's transaction go on once all others wait."""
    book.may_go.clear()
    await book.begun.wait()
    book.may_go.set()
    return await asyncio.gather(*calls, return_exceptions=True)


def ask(commit: GroupCommit[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(commit(number)) for number in numbers]


async def test_who_comes_while_one_is_under_way_goes_with_the_next(
    book: Book, commit: GroupCommit[int, int]
) -> None:
    """The first waits for nobody, the others for no more than it."""
    first = ask(commit, 1)
    await book.begun.wait()
    came = await together(book, [*first, *ask(commit, 2, 3, 4)])

    assert came == [10, 20, 30, 40]
    assert book.groups == [[1], [2, 3, 4]]
    assert await book.kept() == [1, 2, 3, 4]


async def test_an_error_of_one_is_its_own(book: Book, commit: GroupCommit[int, int]) -> None:
    """What it raises undoes the group, and each is tried alone; what it answers hurts nobody at all."""
    came = await together(book, ask(commit, 1, 7, 13, 2))

    assert came[0] == 10
    assert isinstance(came[1], NotFound)
    assert isinstance(came[2], ValueError)
    assert came[3] == 20
    assert await book.kept() == [1, 2, 7]


async def test_a_ledger_that_is_away_is_asked_once(
    book: Book, commit: GroupCommit[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a group learn of it."""

    async def away(_: AsyncConnection, numbers: Sequence[int]) -> Sequence[int | Exception]:
        book.groups.append([*numbers])
        raise ServiceUnreachable("ledger", "it is away")

    monkeypatch.setattr(commit, "_write", away)
    came = await asyncio.gather(*ask(commit, 1, 2, 3), return_exceptions=True)

    assert [type(error) for error in came] == [ServiceUnreachable] * 3
    assert book.groups == [[1, 2, 3]]


async def test_who_gives_up_takes_nobody_along(book: Book, commit: GroupCommit[int, int]) -> None:
    """One that is cancelled while it waits is not written; one that is being written may be."""
    calls = ask(commit, 1)
    book.may_go.clear()
    await book.begun.wait()
    calls += ask(commit, 2, 3)
    await asyncio.sleep(0)
    calls[0].cancel()
    calls[1].cancel()
    book.may_go.set()
    came = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(came[0], asyncio.CancelledError)
    assert isinstance(came[1], asyncio.CancelledError)
    assert came[2] == 30
    assert await book.kept() == [1, 3]


async def test_a_group_is_bounded_and_holds_no_two_of_one_name(
    book: Book, commit: GroupCommit[int, int]
) -> None:
    """What is too much for one transaction, or would depend on what stands before it, goes with the next."""
    heavy = [asyncio.create_task(commit(number, weight=MOST // 2)) for number in (1, 2, 3)]
    named = [asyncio.create_task(commit(number, name="same")) for number in (4, 5)]
    await together(book, [*heavy, *named])

    assert book.groups == [[1, 2], [3, 4], [5]]
