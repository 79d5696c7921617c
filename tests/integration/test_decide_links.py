"""Links to decide, from the mail that brings them to the decision; on each database."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from clock import Clock
from sqlalchemy import text
from way import Way, open_way

from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.plan import Decision, PlanKey, PlanState
from dispatcher.flow.attempt import Attempt
from dispatcher.flow.decide import Choice, Decide, Standing, date_key
from dispatcher.flow.deliver import Deliver
from dispatcher.ledger import Ledger

URL = "https://notices.fabrikam.example/mail"
KEY = PlanKey("major-update", "update-2027-1", "contoso-prod")
DATES = ("2026-06-06T20:00:00+00:00", "2026-06-13T20:00:00+00:00", "2026-06-20T20:00:00+00:00")
A, B = "a@contoso.example", "b@contoso.example"


@pytest.fixture
async def public(ledger: Ledger, clock: Clock, tmp_path: Path) -> AsyncIterator[Way]:
    """The way of an event where readers can reach the service."""
    async with open_way(ledger, clock, tmp_path, URL) as opened:
        yield opened


async def announce(way: Way, **fields: object) -> None:
    """An update that has a date, with mails to all who are told."""
    said = {
        "scheduled_at": DATES[0],
        "alternate_at": DATES[1],
        "offered_dates": list(DATES),
        "decide_url": None,
        **fields,
    }
    await way.go("update-scheduled", **{"update": KEY.subject, **said})


def mails(way: Way) -> dict[str, EmailMessage]:
    """The last mail to each address."""
    return {
        one.recipient: email.message_from_bytes(one.message, _class=EmailMessage, policy=email.policy.default)
        for one in way.server.kept
    }


def links(mail: EmailMessage) -> list[str]:
    """The tokens of the links to decide, in the text and in the HTML."""
    found = []
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        found += re.findall(rf"{URL}/decide/([A-Za-z0-9._-]+)", part.get_content())
    return found


def decide(way: Way) -> Decide:
    return Decide(way.catalogue, way.recipients, way.ledger, way.submit, way.clock)


async def test_each_admin_has_their_own_link(public: Way) -> None:
    """The button and the text lead to the same page, another for each admin; others have none."""
    await announce(public)

    found = mails(public)
    tokens = {address: links(mail) for address, mail in found.items()}
    assert tokens.pop("c@contoso.example") == []
    assert set(tokens) == {A, B}
    for address, two in tokens.items():
        assert len(two) == 2
        assert len(set(two)) == 1
        sight = await decide(public).look(two[0])
        assert (sight.standing, sight.asker.address) == (Standing.OPEN, address)
        [row] = [row for row in await public.ledger.deliveries.list() if row.address == address]
        assert sight.asker.delivery == row.id
    assert tokens[A] != tokens[B]


async def test_one_content_serves_all_admins(public: Way) -> None:
    """However many admins there are, what they read is rendered and kept once."""
    await announce(public)
    rows = await public.ledger.deliveries.list()
    claims = {row.address: row.message_id for row in rows}

    assert len(claims) == 3
    async with public.ledger.database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM variants"))).scalar_one() == 2


async def test_without_a_public_url_there_is_no_link(way: Way) -> None:
    """The mail says what to do, and shows no button that leads nowhere."""
    await announce(way)

    assert "/decide/" not in "".join(str(mail) for mail in mails(way).values())


async def test_an_address_of_the_events_own_comes_first(public: Way) -> None:
    """Whoever has a page for it keeps theirs."""
    await announce(public, decide_url="https://admin.fabrikam.example/updates/1")

    for mail in mails(public).values():
        assert links(mail) == []
    part = mails(public)[A].get_body(("html",))
    assert part is not None
    assert "https://admin.fabrikam.example/updates/1" in part.get_content()


async def test_a_worker_without_the_address_puts_the_mail_off(public: Way) -> None:
    """It says what to set; where the address is known, the mail leaves with its link."""
    attempt: Attempt = public.deliver._attempt
    unset = Deliver(public.catalogue, public.ledger, attempt.relay, attempt.terms)
    event = await public.accept(
        "update-scheduled", update=KEY.subject, scheduled_at=DATES[0], offered_dates=None, decide_url=None
    )
    await public.expand(event)
    await unset(Lane.NORMAL)
    waiting = [row for row in await public.rows(event) if row.address != "c@contoso.example"]

    assert [row.status for row in waiting] == [Status.DEFERRED] * 2
    assert "set DISPATCHER_PUBLIC_URL" in waiting[0].attempts[-1].reply
    public.clock.advance(hours=1)
    await public.deliver(Lane.NORMAL)
    assert len(links(mails(public)[A])) == 2


async def test_from_the_mail_to_the_new_date(public: Way) -> None:
    """A date chosen by link moves the plan, is recorded with its delivery, and is told in a new mail."""
    await announce(public)
    [token, _] = links(mails(public)[A])
    sight = await decide(public).look(token)
    choice = Choice("reschedule", date_key(datetime.fromisoformat(DATES[2])), "", sight.form)
    answer = await decide(public).decide(token, choice)

    assert (answer.refused, answer.sight.standing) == (None, Standing.DONE)
    plan = (await public.ledger.plans.find([KEY]))[KEY]
    assert (plan.state, plan.anchor) == (PlanState.APPROVED, datetime(2026, 6, 20, 20, tzinfo=UTC))
    last = (await public.ledger.plans.moves(plan.id))[-1]
    assert last.decision == Decision(A, sight.asker.delivery)
    await public.expand(last.event)
    await public.deliver(Lane.NORMAL)
    newer = links(mails(public)[B])
    assert len(newer) == 2
    theirs = await decide(public).look(newer[0])
    assert (theirs.standing, theirs.asker.revision, bool(theirs.offered)) == (Standing.ALREADY, 2, True)


async def test_a_mail_of_its_own_step_brings_a_link(public: Way) -> None:
    """Ninety days before, the reminder says that the date is not approved, and where to do it."""
    await announce(public)
    public.server.kept.clear()
    public.clock.now = datetime(2026, 3, 8, 9, 1, tzinfo=UTC)
    await public.schedule()
    for event in await public.ledger.events.unexpanded(10):
        await public.expand(event.id)
    await public.deliver(Lane.NORMAL)

    assert len(links(mails(public)[A])) == 2


async def test_the_link_ends_with_the_date(public: Way) -> None:
    """From the date on that its mail named, nothing can be decided by it."""
    await announce(public)
    [token, _] = links(mails(public)[A])
    public.clock.now = datetime(2026, 6, 6, 19, 59, tzinfo=UTC)
    assert (await decide(public).look(token)).form
    public.clock.now = datetime(2026, 6, 6, 20, tzinfo=UTC)
    late = await decide(public).look(token)

    assert (late.standing, late.form) == (Standing.EXPIRED, "")


async def test_of_many_at_once_one_decides(public: Way) -> None:
    """Two admins who approve and choose at the same moment: one decision, and both read which."""
    await announce(public)
    found = mails(public)
    mine, theirs = links(found[A])[0], links(found[B])[0]
    first, second = decide(public), decide(public)
    to_last = date_key(datetime.fromisoformat(DATES[2]))
    approve = Choice("approve", form=(await first.look(mine)).form)
    move = Choice("reschedule", to_last, "", (await second.look(theirs)).form)
    answers = await asyncio.gather(
        *(first.decide(mine, approve) for _ in range(3)), *(second.decide(theirs, move) for _ in range(3))
    )

    standings = [answer.sight.standing for answer in answers]
    assert sorted(set(standings)) == [Standing.ALREADY, Standing.DONE]
    assert len({*standings[:3]}) == len({*standings[3:]}) == 1
    plan = (await public.ledger.plans.find([KEY]))[KEY]
    assert len([move for move in await public.ledger.plans.moves(plan.id) if move.decision]) == 1
