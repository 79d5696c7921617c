from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from clock import Clock

from dispatcher.errors import InvalidInput, NotFound
from dispatcher.ledger import Heartbeat, Ledger, Token
from dispatcher.settings import TokenEntry

HASH = "ab" * 32


async def test_a_token_is_in_force_until_it_is_revoked(ledger: Ledger, clock: Clock) -> None:
    """A token can be used from when it is added until it is revoked, and stays on the list."""
    made = clock.now
    await ledger.tokens.add("ci", HASH, {"send", "read"})
    active = await ledger.tokens.active()
    used = clock.advance(hours=1)
    await ledger.tokens.used(HASH)
    revoked = clock.advance(hours=1)
    await ledger.tokens.revoke("ci")

    assert active == [TokenEntry("ci", frozenset({"send", "read"}), HASH)]
    assert await ledger.tokens.active() == []
    assert await ledger.tokens.list() == [Token("ci", HASH, frozenset({"send", "read"}), made, revoked, used)]
    assert HASH not in repr(await ledger.tokens.list())


async def test_a_name_is_taken_while_its_token_is_in_force(ledger: Ledger) -> None:
    """Two tokens in force cannot have one name; after a revocation the name is free."""
    await ledger.tokens.add("ci", HASH, {"send"})
    with pytest.raises(InvalidInput, match="'ci' is taken"):
        await ledger.tokens.add("ci", "cd" * 32, {"send"})
    await ledger.tokens.revoke("ci")
    await ledger.tokens.add("ci", "cd" * 32, {"read"})

    assert [token.sha256 for token in await ledger.tokens.active()] == ["cd" * 32]


async def test_a_token_that_is_not_in_force_cannot_be_revoked(ledger: Ledger) -> None:
    """Revoking an unknown token, or one twice, says that there is none."""
    await ledger.tokens.add("ci", HASH, {"send"})
    await ledger.tokens.revoke("ci")
    for name in ("ci", "none", "\x00"):
        with pytest.raises(NotFound, match="no token"):
            await ledger.tokens.revoke(name)


async def test_a_worker_is_alive_while_it_is_seen(ledger: Ledger, clock: Clock) -> None:
    """Workers are listed while their heartbeat is recent, and no more once they stop."""
    one = Heartbeat("w1", "mx1", 4711, "0.1.0", clock.now, clock.now)
    two = Heartbeat("w2", "mx2", 4712, "0.1.0", clock.now, clock.now)
    await ledger.workers.heartbeat(one)
    await ledger.workers.heartbeat(two)
    one = replace(one, seen_at=clock.advance(seconds=20))
    await ledger.workers.heartbeat(one)

    assert await ledger.workers.alive(timedelta(seconds=20)) == [one, two]
    assert await ledger.workers.alive(timedelta(seconds=19)) == [one]
    await ledger.workers.remove("w1")
    assert await ledger.workers.alive(timedelta(seconds=20)) == [two]


async def test_a_worker_that_crashed_is_forgotten(ledger: Ledger, clock: Clock) -> None:
    """A worker that was not seen for more than a day leaves the list with another's heartbeat."""
    await ledger.workers.heartbeat(Heartbeat("w1", "mx1", 1, "0.1.0", clock.now, clock.now))
    clock.advance(hours=25)
    two = Heartbeat("w2", "mx2", 2, "0.1.0", clock.now, clock.now)
    await asyncio.gather(*(ledger.workers.heartbeat(two) for _ in range(10)))

    assert await ledger.workers.alive(timedelta(days=9)) == [two]


async def test_a_heartbeat_says_how_its_worker_is(ledger: Ledger, clock: Clock) -> None:
    """How the SMTP server is, and how many outcomes were refused, change with each heartbeat."""
    first = Heartbeat("w1", "mx1", 1, "0.1.0", clock.now, clock.now)
    later = replace(first, seen_at=clock.advance(seconds=5), relay={"state": "open", "for": 1.5}, stale=3)
    await ledger.workers.heartbeat(first)
    before = await ledger.workers.alive(timedelta(minutes=1))
    await ledger.workers.heartbeat(later)
    after = await ledger.workers.alive(timedelta(minutes=1))
    await ledger.workers.heartbeat(replace(first, seen_at=clock.advance(seconds=5)))

    assert (before, after) == ([first], [later])
    assert [one.relay for one in await ledger.workers.alive(timedelta(minutes=1))] == [None]
