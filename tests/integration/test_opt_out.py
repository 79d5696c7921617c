"""Opting out, from the mail that offers it to the mail that does not come; on each database."""

from __future__ import annotations

import email
import email.policy
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from clock import Clock
from way import Way, open_way

from dispatcher.domain.delivery import Lane, Status
from dispatcher.flow.attempt import Attempt
from dispatcher.flow.choices import Choices
from dispatcher.flow.deliver import Deliver
from dispatcher.flow.explain import explain, tell
from dispatcher.ledger import Ledger

URL = "https://notices.fabrikam.example/mail"
NEWS, TIPS, WORK = "general-awareness", "launch-readiness", "planned-maintenance"


@pytest.fixture
async def public(ledger: Ledger, clock: Clock, tmp_path: Path) -> AsyncIterator[Way]:
    """The way of an event where readers can reach the service."""
    async with open_way(ledger, clock, tmp_path, URL) as opened:
        yield opened


def mails(way: Way) -> dict[str, EmailMessage]:
    """The last mail to each address."""
    kept = way.server.kept
    return {
        one.recipient: email.message_from_bytes(one.message, _class=EmailMessage, policy=email.policy.default)
        for one in kept
    }


def one_click(mail: EmailMessage) -> str:
    """The token of the mail's one click."""
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = str(mail["List-Unsubscribe"])
    assert url.startswith(f"<{URL}/choices/")
    return url.rpartition("/")[2].rstrip(">")


def choices(way: Way) -> Choices:
    recipients = way.expand._recipients
    return Choices(way.catalogue, recipients, way.ledger, way.clock)


async def test_optional_mail_says_how_to_stop_it(public: Way) -> None:
    """Header, HTML and text lead to the reader's own link, each reader's to a different one."""
    await public.go(NEWS)

    found = mails(public)
    tokens = {address: one_click(mail) for address, mail in found.items()}
    assert len(set(tokens.values())) == 3
    for address, mail in found.items():
        for kind in ("plain", "html"):
            part = mail.get_body((kind,))
            assert part is not None
            assert f"{URL}/choices/{tokens[address]}" in part.get_content()
        assert (await choices(public).who(tokens[address])).address == address


async def test_other_mail_has_no_such_link(public: Way) -> None:
    """Mandatory mail cannot be stopped, and does not look as if it could."""
    await public.go(WORK)

    for mail in mails(public).values():
        assert "List-Unsubscribe" not in mail
        assert URL not in str(mail)


async def test_without_a_public_url_there_is_no_link(way: Way) -> None:
    """Optional mail goes out without the header, and the bodies say nothing of a link."""
    await way.go(NEWS)

    for mail in mails(way).values():
        assert "List-Unsubscribe" not in mail
        assert "/choices/" not in str(mail)


async def test_one_click_stops_the_next_mail_and_no_other(public: Way) -> None:
    """The reader gets no more of the type; the others do, and so does the reader of all that is mandatory."""
    await public.go(NEWS, id_="1")
    asked = choices(public)
    await asked.stop(await asked.who(one_click(mails(public)["a@contoso.example"])))

    rows = await public.go(NEWS, id_="2")
    assert [(one.status, one.reason) for one in rows] == [
        (Status.SUPPRESSED, "opted_out"),
        (Status.SENT, "accepted"),
        (Status.SENT, "accepted"),
    ]
    for key in (TIPS, WORK):
        assert all(one.status is Status.SENT for one in await public.go(key, id_=key))


async def test_the_story_tells_who_was_left_out(public: Way) -> None:
    """The event counts those who opted out, and says of each why nothing came."""
    await public.ledger.suppressions.add("a@contoso.example", [NEWS], "page")
    [row, *_] = await public.go(NEWS)
    event = await public.ledger.events.get(row.event)
    (story,) = await explain(public.ledger, row.event)

    assert event.counts == {Status.SUPPRESSED: 1, Status.SENT: 2}
    told = "\n".join(tell(story))
    assert "2 sent, 1 suppressed" in told
    assert "suppressed: its reader had opted out of general-awareness" in told
    assert "dispatcher suppressions --address a@contoso.example" in told
    trouble = (await public.ledger.backlog.look()).trouble
    assert trouble == {Status.SUPPRESSED: 1}


async def test_who_opts_out_before_it_is_sent_gets_nothing(public: Way) -> None:
    """What was expanded and has not left is stopped as well: the choice counts when it is a mail's turn."""
    event = await public.accept(NEWS)
    await public.expand(event)
    await public.ledger.suppressions.add("b@contoso.example", [NEWS], "one-click")
    await public.deliver(Lane.BULK)

    statuses = {one.address: one.status for one in await public.rows(event)}
    assert statuses["b@contoso.example"] is Status.SUPPRESSED
    assert set(mails(public)) == {"a@contoso.example", "c@contoso.example"}


async def test_a_lifted_opt_out_lets_the_next_mail_come(public: Way) -> None:
    """Lifting does not send what was suppressed; from then on mail comes again."""
    await public.ledger.suppressions.add("a@contoso.example", [NEWS], "page")
    [before, *_] = await public.go(NEWS, id_="1")
    await public.ledger.suppressions.lift("a@contoso.example")
    await public.sweeps(10)
    [after, *_] = await public.go(NEWS, id_="2")

    assert after.status is Status.SENT
    assert (await public.rows(before.event))[0].status is Status.SUPPRESSED


async def test_a_worker_that_knows_no_url_leaves_the_mail_to_others(public: Way) -> None:
    """A mail that was made with a link is put off, with what to do, and goes out where the URL is known."""
    attempt: Attempt = public.deliver._attempt
    unset = Deliver(public.catalogue, public.ledger, attempt.relay, attempt.terms)
    event = await public.accept(NEWS)
    await public.expand(event)
    await unset(Lane.BULK)

    for one in await public.rows(event):
        assert (one.status, one.reason) == (Status.DEFERRED, "unsendable")
        assert "set DISPATCHER_PUBLIC_URL" in one.attempts[-1].reply
    assert mails(public) == {}
    public.clock.advance(minutes=10)
    await public.deliver(Lane.BULK)
    assert {one.status for one in await public.rows(event)} == {Status.SENT}
    assert len(mails(public)) == 3


async def test_a_mail_made_without_a_link_still_gets_the_header(way: Way) -> None:
    """Where the URL was set after an event was expanded, mail programs can offer to stop it all the same."""
    attempt: Attempt = way.deliver._attempt
    event = await way.accept(NEWS)
    await way.expand(event)
    await Deliver(way.catalogue, way.ledger, attempt.relay, attempt.terms, URL)(Lane.BULK)

    assert {one_click(mail) != "" for mail in mails(way).values()} == {True}


async def test_a_link_outlives_a_new_key(public: Way) -> None:
    """Links of old mails work after the key was changed; new mails are signed with the new one."""
    await public.go(NEWS, id_="1")
    old = one_click(mails(public)["a@contoso.example"])
    key = await public.ledger.link_keys.rotate()
    await public.go(NEWS, id_="2")
    new = one_click(mails(public)["a@contoso.example"])

    assert (old.partition(".")[0], new.partition(".")[0]) == ("1", key.id)
    assert await choices(public).who(old) == await choices(public).who(new)
