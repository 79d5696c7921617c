from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from clock import Clock
from ledger_records import FAILED, LEASE, LOST, SENT, claim, expanded, lapse, new_event, people

from dispatcher.domain.delivery import Claim, Lane, Status
from dispatcher.ledger import Filter, Ledger, Recorded
from dispatcher.ledger.suppressions import Suppression

ADA, BOB = "Ada@example.com", "bob@example.com"
NEWS, TIPS = "news", "tips"


async def take(ledger: Ledger, *optional: str) -> list[Claim]:
    """What a worker gets whose catalogue calls those types optional."""
    claims = await ledger.claims.claim(Lane.NORMAL, 100, worker="w1", lease=LEASE, optional=optional)
    return list(claims)


async def stands(ledger: Ledger, event: str) -> dict[str, tuple[Status, str]]:
    """Status and reason of the event's deliveries by address."""
    found = await ledger.deliveries.list(Filter(event=event))
    return {one.address: (one.status, one.reason) for one in found}


class TestStore:
    async def test_an_opt_out_is_kept(self, ledger: Ledger, clock: Clock) -> None:
        """It says who opted out of what, when and how, and is found by address and by type."""
        assert await ledger.suppressions.add(ADA, [NEWS, TIPS], "one-click") == 2
        await ledger.suppressions.add(BOB, [NEWS], "operator")

        first = Suppression(ADA, NEWS, "one-click", clock.now, None)
        assert (await ledger.suppressions.list())[0] == first
        assert [one.type for one in await ledger.suppressions.list("ADA@EXAMPLE.COM")] == [NEWS, TIPS]
        assert [one.address for one in await ledger.suppressions.list(type_=NEWS)] == [ADA, BOB]
        assert await ledger.suppressions.standing("ada@example.COM", NEWS) == {
            ("ada@example.com", NEWS): first
        }

    async def test_doing_it_again_changes_nothing(self, ledger: Ledger, clock: Clock) -> None:
        """A second click, of whatever kind and spelling, leaves the first opt-out as it was."""
        await ledger.suppressions.add(ADA, [NEWS], "one-click")
        before = await ledger.suppressions.list()
        clock.advance(seconds=5)

        assert await ledger.suppressions.add(ADA.lower(), [NEWS], "page") == 0
        assert await ledger.suppressions.list() == before

    async def test_a_lifted_one_is_remembered(self, ledger: Ledger, clock: Clock) -> None:
        """Lifting gives it an end; who opts out again has a second one."""
        await ledger.suppressions.add(ADA, [NEWS, TIPS], "page")
        clock.advance(seconds=5)

        assert await ledger.suppressions.lift(ADA.upper(), [NEWS]) == [NEWS]
        assert await ledger.suppressions.lift(ADA, [NEWS]) == []
        assert await ledger.suppressions.lift(ADA) == [TIPS]
        assert await ledger.suppressions.standing() == {}
        await ledger.suppressions.add(ADA, [NEWS], "page")
        assert [one.lifted_at for one in await ledger.suppressions.list()] == [clock.now, clock.now, None]

    async def test_choices_are_kept_together(self, ledger: Ledger) -> None:
        """What is to stop stops, what is to come comes; types that are in neither stay as they are."""
        await ledger.suppressions.add(ADA, [NEWS, "other"], "one-click")
        for _ in range(2):
            await ledger.suppressions.choose(ADA, stop=[TIPS], keep=[NEWS])

        standing = await ledger.suppressions.standing(ADA)
        assert {type_: one.origin for (_, type_), one in standing.items()} == {
            TIPS: "page",
            "other": "one-click",
        }

    async def test_many_at_once_are_one(self, ledger: Ledger) -> None:
        """A hundred clicks at the same moment make one opt-out."""
        clicks = (ledger.suppressions.add(ADA, [NEWS, TIPS], "one-click") for _ in range(100))

        assert sum(await asyncio.gather(*clicks)) == 2
        assert len(await ledger.suppressions.list()) == 2


class TestClaims:
    async def test_who_opted_out_is_not_written_to(self, ledger: Ledger) -> None:
        """A delivery of an optional type to such a reader is settled when it is its turn; others are sent."""
        event = await expanded(ledger, [ADA, BOB], new_event(type_=NEWS))
        await ledger.suppressions.add(ADA.upper(), [NEWS], "one-click")

        assert [one.address for one in await take(ledger, NEWS)] == [BOB]
        assert await stands(ledger, event) == {
            ADA: (Status.SUPPRESSED, "opted_out"),
            BOB: (Status.SENDING, ""),
        }
        counts = await ledger.deliveries.counts(event)
        assert counts == {Status.SUPPRESSED: 1, Status.SENDING: 1}

    async def test_only_what_is_optional_now_can_be_stopped(self, ledger: Ledger) -> None:
        """An opt-out of a type that the catalogue does not call optional has no effect."""
        await expanded(ledger, [ADA], new_event(type_=NEWS))
        await ledger.suppressions.add(ADA, [NEWS], "one-click")

        assert [one.address for one in await take(ledger, TIPS)] == [ADA]

    async def test_one_type_is_not_another(self, ledger: Ledger) -> None:
        """Who opted out of one type gets the other."""
        await expanded(ledger, [ADA], new_event(type_=TIPS))
        await ledger.suppressions.add(ADA, [NEWS], "one-click")

        assert [one.type for one in await take(ledger, NEWS, TIPS)] == [TIPS]

    async def test_a_lifted_one_holds_nobody_back(self, ledger: Ledger) -> None:
        """New mail comes again; what was suppressed meanwhile stays so."""
        await ledger.suppressions.add(ADA, [NEWS], "page")
        before = await expanded(ledger, [ADA], new_event("1", type_=NEWS))
        assert await take(ledger, NEWS) == []
        await ledger.suppressions.lift(ADA)
        after = await expanded(ledger, [ADA], new_event("2", type_=NEWS))

        assert [one.event for one in await take(ledger, NEWS)] == [after]
        assert await stands(ledger, before) == {ADA: (Status.SUPPRESSED, "opted_out")}

    async def test_those_behind_come_at_once(self, ledger: Ledger) -> None:
        """However many have opted out, one claim finds those who have not."""
        await expanded(ledger, [*people(250), BOB], new_event(type_=NEWS))
        for address in people(250):
            await ledger.suppressions.add(address, [NEWS], "page")
        claims = await ledger.claims.claim(Lane.NORMAL, 100, worker="w1", lease=LEASE, optional=[NEWS])

        assert [one.address for one in claims] == [BOB]

    async def test_a_deferred_one_is_stopped_too(self, ledger: Ledger, clock: Clock) -> None:
        """Who opts out between two tries gets no second one; no try is counted for it."""
        event = await expanded(ledger, [ADA], new_event(type_=NEWS))
        (one,) = await take(ledger, NEWS)
        await ledger.claims.record([Recorded(one, LOST, clock.now + timedelta(minutes=5))])
        await ledger.suppressions.add(ADA, [NEWS], "page")
        clock.advance(seconds=400)

        assert await take(ledger, NEWS) == []
        (found,) = await ledger.deliveries.list(Filter(event=event), with_attempts=True)
        assert (found.status, found.tries, len(found.attempts)) == (Status.SUPPRESSED, 1, 1)
        assert found.uncertain

    async def test_a_word_from_the_dead_still_counts(self, ledger: Ledger) -> None:
        """A worker that was taken for gone and reports after all is believed, opt-out or not."""
        event = await expanded(ledger, [ADA], new_event(type_=NEWS))
        (one,) = await take(ledger, NEWS)
        await lapse(ledger)
        await ledger.suppressions.add(ADA, [NEWS], "page")
        assert await take(ledger, NEWS) == []

        assert await ledger.claims.record([Recorded(one, SENT)]) == 0
        assert await stands(ledger, event) == {ADA: (Status.SENT, "accepted")}

    async def test_a_replay_does_not_get_past_it(self, ledger: Ledger) -> None:
        """What failed and is tried again is stopped like anything else."""
        event = await expanded(ledger, [ADA], new_event(type_=NEWS))
        (one,) = await take(ledger, NEWS)
        await ledger.claims.record([Recorded(one, FAILED)])
        await ledger.suppressions.add(ADA, [NEWS], "page")
        await ledger.deliveries.requeue(Filter(status=Status.FAILED), "replayed")

        assert await take(ledger, NEWS) == []
        assert await stands(ledger, event) == {ADA: (Status.SUPPRESSED, "opted_out")}

    async def test_without_optional_types_nobody_is_asked(self, ledger: Ledger) -> None:
        """A worker whose catalogue has no optional type claims as ever."""
        await expanded(ledger, [ADA], new_event(type_=NEWS))
        await ledger.suppressions.add(ADA, [NEWS], "page")

        assert len(await claim(ledger)) == 1


class TestLinkKeys:
    async def test_the_first_who_asks_makes_it(self, ledger: Ledger) -> None:
        """There is a key from the first use on, and it stays the same."""
        assert await ledger.link_keys.all() == {}
        key = await ledger.link_keys.newest()

        assert await ledger.link_keys.newest() == key
        assert await ledger.link_keys.all() == {key.id: key}
        assert len(key.secret) == 32

    async def test_processes_that_race_agree(self, database_url: str, clock: Clock) -> None:
        """Of several processes that sign their first link at once, all sign with one key."""
        ledgers = [await Ledger.open(database_url, clock=clock) for _ in range(3)]
        try:
            asked = (ledger.link_keys.newest() for ledger in ledgers for _ in range(5))
            keys = await asyncio.gather(*asked)
        finally:
            for ledger in ledgers:
                await ledger.close()

        assert len({key.secret for key in keys}) == 1

    async def test_a_new_key_signs_and_the_old_one_verifies(self, ledger: Ledger) -> None:
        """Rotating adds a key; more than nine are told apart as numbers."""
        first = await ledger.link_keys.newest()
        for _ in range(11):
            last = await ledger.link_keys.rotate()

        assert await ledger.link_keys.newest() == last
        assert last.id == "12"
        assert (await ledger.link_keys.all())[first.id] == first
        assert len({key.secret for key in (await ledger.link_keys.all()).values()}) == 12


@pytest.mark.parametrize("text", ["a\x00b@example.com", "\ud800@example.com"])
async def test_no_address_makes_it_fail(ledger: Ledger, text: str) -> None:
    """What no database can hold is kept as near as it can be, and found again."""
    await ledger.suppressions.add(text, [NEWS], "operator")

    assert len(await ledger.suppressions.list(text)) == 1
