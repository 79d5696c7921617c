"""Messages to upstream: what leaves, what is tried again, what is given up; on each database."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from clock import Clock
from standardwebhooks import Webhook as Standard
from standardwebhooks import WebhookVerificationError
from webhook_receiver import NEXT_SECRET, OK, SECRET, Receiver, answer, receiving

import dispatcher.upstream
from dispatcher.domain.webhook import LONGEST_WAIT, PAUSES, Webhook, WebhookStatus
from dispatcher.flow.webhooks import LEASE, Webhooks
from dispatcher.ledger import Ledger
from dispatcher.settings import Secret
from dispatcher.upstream import READ, Upstream

BODY = {"type": "update.approved", "timestamp": "2027-01-05T08:00:00Z", "data": {"update": "Überblick"}}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def claimed(ledger: Ledger) -> Webhook:
    """The message that is due longest."""
    message = await ledger.webhooks.claim(LEASE)
    assert message is not None
    return message


async def put(ledger: Ledger, *types: str) -> None:
    """Messages, committed together."""
    new = [(type_, BODY | {"type": type_}) for type_ in types]
    async with ledger.database.write() as transaction:
        await ledger.webhooks.add(transaction, new, ledger.database.now())


def sender(ledger: Ledger, clock: Clock, url: str, *secrets: str) -> Webhooks:
    upstream = Upstream(Secret(url), [Secret(secret) for secret in secrets or (SECRET,)])
    return Webhooks(ledger, upstream, clock, random.Random(1))


class TestSending:
    async def test_a_message_arrives_signed(self, ledger: Ledger, receiver: Receiver) -> None:
        """What arrives is what the ledger holds, and the standard's library verifies it; it leaves once."""
        await put(ledger, "update.approved")
        clock = Clock(datetime.now(UTC))  # the library compares with the real time
        webhooks = sender(ledger, clock, receiver.url)
        # What was written at the tests' time is due for a clock of the real time as well.
        assert await webhooks() == 1
        assert await webhooks() == 0
        await webhooks.close()

        [got] = receiver.got
        assert Standard(SECRET).verify(got.body, dict(got.headers)) == BODY
        assert got.headers["content-type"] == "application/json"
        assert got.path == "/hooks/4f1d"
        [kept] = await ledger.webhooks.list()
        assert (kept.status, kept.tries, kept.reply) == (WebhookStatus.SENT, 1, "204")
        assert got.headers["webhook-id"] == kept.id

    async def test_two_secrets_are_in_force_while_one_replaces_the_other(
        self, ledger: Ledger, clock: Clock, receiver: Receiver
    ) -> None:
        """A receiver with either of them verifies the message, one with a third does not."""
        await put(ledger, "update.approved")
        webhooks = sender(ledger, clock, receiver.url, SECRET, NEXT_SECRET)
        await webhooks()
        await webhooks.close()

        [got] = receiver.got
        assert got.signed_by(SECRET)
        assert got.signed_by(NEXT_SECRET)
        assert len(got.headers["webhook-signature"].split()) == 2
        third = Standard("whsec_" + "AAAA" * 8)
        with pytest.raises(WebhookVerificationError):
            third.verify(got.body, dict(got.headers))

    async def test_without_an_endpoint_nothing_is_sent(self, ledger: Ledger, clock: Clock) -> None:
        """What was written while there was one waits."""
        await put(ledger, "update.approved")

        assert await Webhooks(ledger, None, clock, random.Random(1))() == 0
        assert (await ledger.webhooks.waiting()).pending == 1

    async def test_two_workers_send_a_message_once(
        self, ledger: Ledger, clock: Clock, receiver: Receiver
    ) -> None:
        """Whoever claims it first sends it."""
        await put(ledger, "update.approved", "update.rescheduled")
        both = [sender(ledger, clock, receiver.url) for _ in range(2)]
        tries = await asyncio.gather(*(webhooks() for webhooks in both))
        for webhooks in both:
            await webhooks.close()

        assert sum(tries) == 2
        assert len({got.headers["webhook-id"] for got in receiver.got}) == len(receiver.got) == 2

    async def test_what_a_worker_left_behind_is_sent_by_another(
        self, ledger: Ledger, clock: Clock, receiver: Receiver
    ) -> None:
        """A claim ends with its lease, and what the one who is late records counts no more."""
        await put(ledger, "update.approved")
        late = await ledger.webhooks.claim(LEASE)
        assert late is not None
        webhooks = sender(ledger, clock, receiver.url)
        assert await webhooks() == 0
        clock.advance(seconds=LEASE.total_seconds())
        assert await webhooks() == 1
        await webhooks.close()
        await ledger.webhooks.settle(late, WebhookStatus.FAILED, "too late")

        assert [one.status for one in await ledger.webhooks.list()] == [WebhookStatus.SENT]


class TestFailing:
    async def test_it_is_tried_again_until_it_is_given_up(
        self, ledger: Ledger, clock: Clock, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        """By the schedule, under the same id; then it is failed, says so, and can be tried again by hand."""
        receiver.answers = [answer("500 Oh", b"no \x1b[31m database\n")]
        await put(ledger, "update.approved")
        webhooks = sender(ledger, clock, receiver.url)
        for number in range(1, len(PAUSES) + 1):
            assert await webhooks() == 1
            [kept] = await ledger.webhooks.list()
            assert (kept.status, kept.tries) == (WebhookStatus.PENDING, number)
            assert kept.reply == "500 Oh: no [31m database"
            assert kept.next_try_at is not None
            assert kept.next_try_at - clock() >= PAUSES[number - 1]
            clock.now = kept.next_try_at - timedelta(seconds=1)
            assert await webhooks() == 0
            clock.advance(seconds=1)
        assert await webhooks() == 1

        [kept] = await ledger.webhooks.list()
        assert (kept.status, kept.next_try_at) == (WebhookStatus.FAILED, None)
        assert f"dispatcher webhooks retry {kept.id}" in caplog.text
        assert (await ledger.webhooks.waiting()).failed == 1
        receiver.answers = [OK]
        assert await ledger.webhooks.retry() == 1
        assert await webhooks() == 1
        await webhooks.close()
        assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
        assert [one.status for one in await ledger.webhooks.list()] == [WebhookStatus.SENT]

    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            (answer("302 Found", Location="http://169.254.169.254/latest"), "302 Found: redirects are not"),
            (answer("307 Temporary Redirect", Location="/elsewhere"), "307 Temporary Redirect: redirects"),
            (answer("400 Bad Request", b"bad signature"), "400 Bad Request: bad signature"),
            (answer("302 Found", Location="http://xn--a/"), "302 Found: redirects are not followed"),
            (b"not http at all\r\n\r\n", "no answer: "),
            (b"", "no answer: "),
        ],
    )
    async def test_every_other_answer_is_a_failure(
        self, ledger: Ledger, clock: Clock, receiver: Receiver, raw: bytes, said: str
    ) -> None:
        """No redirect is followed, whatever it leads to; what came is kept for people, in a line."""
        receiver.answers = [raw]
        await put(ledger, "update.approved")
        webhooks = sender(ledger, clock, receiver.url)
        await webhooks()
        await webhooks.close()

        [kept] = await ledger.webhooks.list()
        assert kept.status is WebhookStatus.PENDING
        assert kept.reply.startswith(said)
        assert len(receiver.got) == 1

    async def test_retry_after_is_honoured(self, ledger: Ledger, clock: Clock, receiver: Receiver) -> None:
        """In seconds and as a date."""
        at = clock() + timedelta(hours=3)
        date = f"{at:%a, %d %b %Y %H:%M:%S} GMT"
        await put(ledger, "update.approved")
        webhooks = sender(ledger, clock, receiver.url)
        for wanted, pause in (("600", timedelta(minutes=10)), (date, timedelta(hours=3))):
            receiver.answers = [answer("503 Busy", Retry_After=wanted)]
            await ledger.webhooks.retry()
            await webhooks()
            [kept] = await ledger.webhooks.list()

            assert kept.next_try_at == clock() + pause
        await webhooks.close()

    @pytest.mark.parametrize(
        ("wanted", "pause"),
        [
            ("Thu, 01 Jan 2026 00:00:00 +99999999999999999999", PAUSES[0]),
            ("Thu, 01 Jan 99999999999 00:00:00 GMT", PAUSES[0]),
            ("Mon, 01 Jan 0001 00:00:00 +2300", PAUSES[0]),
            ("Fri, 31 Dec 9999 23:59:59 -2300", LONGEST_WAIT),
            ("9" * 500, LONGEST_WAIT),
            ("-5", PAUSES[0]),
            ("soon", PAUSES[0]),
        ],
    )
    async def test_retry_after_is_bounded(
        self, ledger: Ledger, clock: Clock, receiver: Receiver, wanted: str, pause: timedelta
    ) -> None:
        """Whatever it says, the try has failed, and the next one comes within a day."""
        receiver.answers = [answer("503 Busy", Retry_After=wanted)]
        await put(ledger, "update.approved")
        webhooks = sender(ledger, clock, receiver.url)
        assert await webhooks() == 1
        await webhooks.close()

        [kept] = await ledger.webhooks.list()
        assert (kept.tries, kept.reply) == (1, "503 Busy")
        assert kept.next_try_at is not None
        assert pause <= kept.next_try_at - clock() <= pause * 1.1

    async def test_410_ends_it_until_the_worker_is_started_again(
        self, ledger: Ledger, clock: Clock, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A receiver that wants nothing more gets nothing more; nothing is lost."""
        receiver.answers = [answer("410 Gone")]
        await put(ledger, "update.approved", "update.rescheduled")
        webhooks = sender(ledger, clock, receiver.url)
        assert await webhooks() == 1
        clock.advance(days=1)
        assert await webhooks() == 0
        await webhooks.close()

        assert webhooks.gone
        assert "answered 410" in caplog.text
        assert "4f1d" not in caplog.text  # a receiver's path may be its secret
        assert (await ledger.webhooks.waiting()).pending == 2
        receiver.answers = [OK]
        again = sender(ledger, clock, receiver.url)
        assert await again() == 2
        await again.close()

    async def test_a_receiver_that_stalls_is_not_waited_for(
        self, ledger: Ledger, clock: Clock, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After the longest time that a try may take it has failed."""
        monkeypatch.setattr(dispatcher.upstream, "LONGEST", 0.2)
        receiver.stalls = True
        await put(ledger, "update.approved")
        webhooks = sender(ledger, clock, receiver.url)
        await webhooks()
        await webhooks.close()

        [kept] = await ledger.webhooks.list()
        assert kept.reply == "no answer within 0.2 seconds"

    async def test_an_endless_answer_is_not_read(
        self, ledger: Ledger, clock: Clock, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Of what comes, the beginning is read; the connection is closed."""
        head = b"HTTP/1.1 500 Oh\r\nContent-Length: 1000000000\r\n\r\n"
        receiver.answers = [head + b"x" * READ * 50]
        await put(ledger, "update.approved")
        webhooks = sender(ledger, clock, receiver.url)
        with caplog.at_level(logging.WARNING):
            await asyncio.wait_for(webhooks(), 5)
        await webhooks.close()

        [kept] = await ledger.webhooks.list()
        assert len(kept.reply) <= 200
        assert kept.reply.startswith("500 Oh: xxx")

    async def test_nobody_there(self, ledger: Ledger, clock: Clock) -> None:
        """A receiver that is away is tried again."""
        await put(ledger, "update.approved")
        webhooks = sender(ledger, clock, "http://127.0.0.1:1/hooks")
        await webhooks()
        await webhooks.close()

        waiting = await ledger.webhooks.waiting()
        assert (waiting.pending, waiting.failed) == (1, 0)
        [kept] = await ledger.webhooks.list()
        assert kept.reply.startswith("no answer: ")


class TestBooks:
    async def test_one_may_be_tried_again_by_its_id(self, ledger: Ledger, clock: Clock) -> None:
        """Also one that waits; not one that was sent, or that there is not."""
        await put(ledger, "update.approved", "update.rescheduled")
        oldest, newest = [await claimed(ledger) for _ in range(2)]
        await ledger.webhooks.settle(oldest, WebhookStatus.SENT, "200")
        await ledger.webhooks.settle(newest, WebhookStatus.PENDING, "500", clock() + timedelta(hours=1))

        assert await ledger.webhooks.retry(newest.id) == 1
        for wrong in (oldest.id, "msg_none"):
            assert await ledger.webhooks.retry(wrong) == 0
        again = await ledger.webhooks.claim(LEASE)
        assert again is not None
        assert (again.id, again.tries) == (newest.id, 0)

    async def test_pages_of_the_list(self, ledger: Ledger) -> None:
        """Newest first, page by page, and by where they stand."""
        await put(ledger, *(f"update.{number}" for number in range(5)))
        first = await ledger.webhooks.list(limit=3)
        rest = await ledger.webhooks.list(limit=3, before=first[-1].id)

        assert [one.type for one in (*first, *rest)] == [f"update.{number}" for number in (4, 3, 2, 1, 0)]
        assert await ledger.webhooks.list(status=WebhookStatus.FAILED) == []
