"""The pages behind a link to decide, over a real HTTP service: what they show, what they change, what not."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from decide_desk import ADA, BOB, CY, DATES, KEY, A, B, C, Desk, open_desk
from web_service import cloud_event

from dispatcher.domain.link import LinkKey, sign
from dispatcher.domain.plan import PlanState
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.decide_links import decide_link, said_of


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path) as opened:
        yield opened


def form(page: httpx.Response, **chosen: str) -> dict[str, str]:
    """What a browser sends of a page's form."""
    tokens = set(re.findall(r'name="form" value="([^"]+)"', page.text))
    assert len(tokens) == 1, page.text
    return {"form": tokens.pop(), **chosen}


def approval(page: httpx.Response) -> dict[str, str]:
    assert 'value="approve"' in page.text
    return form(page, decide="approve")


def move(page: httpx.Response, preferred: str, alternate: str = "") -> dict[str, str]:
    assert f'value="{html.escape(preferred)}"' in page.text
    return form(page, decide="reschedule", preferred=preferred, alternate=alternate)


def title(page: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page.text, re.DOTALL)
    assert found, page.text
    return html.unescape(found[1]).strip()


class TestLooking:
    async def test_shows_the_date_where_the_reader_is_and_in_utc(self, desk: Desk) -> None:
        """The instance, the version, the date and the others that are offered, and both forms."""
        _, page = await desk.page()

        assert (page.status_code, title(page)) == (200, "Approve the date, or choose another")
        assert "Contoso &lt;Production&gt;" in page.text
        assert "10.0" in page.text
        assert page.text.count("JST") >= 7  # the date, the alternate, and three of each form
        assert "20:00 UTC" in page.text
        assert page.text.count('name="preferred"') == 3

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_a_scanner_changes_nothing(self, desk: Desk, method: str) -> None:
        """Whatever opens the link, with whatever it adds to it, decides nothing."""
        path = await desk.link()
        for query in ("", "?decide=approve", "?decide=reschedule&preferred=" + B):
            answer = await desk.api.http.request(method, path + query)

            assert answer.status_code == 200
            assert (answer.text == "") == (method == "HEAD")
        assert (await desk.plan()).state is PlanState.SCHEDULED
        assert await desk.decided() == []

    async def test_keeps_to_itself(self, desk: Desk) -> None:
        """No script, nothing that sends itself, no frame, no cache, no referrer, no cookie."""
        path, page = await desk.page()
        for answer in (page, await desk.api.http.post(path, data=approval(page))):
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "form-action 'self'" in policy
            assert "script" not in policy
            assert not re.search(r"<script|http-equiv|autofocus|\son[a-z]+=", answer.text)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-robots-tag"] == "noindex, nofollow"
            assert "set-cookie" not in answer.headers

    async def test_speaks_the_language_of_the_mail(self, desk: Desk) -> None:
        """Whatever the browser asks for."""
        path = await desk.link(language="de")
        answer = await desk.api.http.get(path, headers={"Accept-Language": "fr"})

        assert answer.headers["content-language"] in {"de", "en"}


class TestDeciding:
    async def test_approves(self, desk: Desk) -> None:
        """The plan is approved, by whom and from which delivery is recorded, and upstream will be told."""
        path, page = await desk.page(BOB)
        done = await desk.api.http.post(path, data=approval(page))

        assert (done.status_code, done.history, title(done)) == (200, [], "You approved the date")
        plan = await desk.plan()
        assert (plan.state, plan.anchor, plan.revision) == (PlanState.APPROVED, DATES[0], 1)
        assert await desk.decided() == [("approved", BOB, "dlv_1")]
        [message] = await desk.api.app.ledger.webhooks.list()
        assert (
            message.body["data"].items()
            >= {
                "plan": plan.id,
                "update": "update-2027-1",
                "instance": "contoso-prod",
                "scheduled_at": A.replace("+00:00", "Z"),
                "decided_by": BOB,
                "delivery": "dlv_1",
            }.items()
        )
        assert message.type == message.body["type"] == "update.approved"

    async def test_chooses_another_date(self, desk: Desk) -> None:
        """The plan moves and is approved; the page shows the new date, and that a mail follows."""
        path, page = await desk.page()
        done = await desk.api.http.post(path, data=move(page, C, B))

        assert (done.status_code, title(done)) == (200, "You chose the date")
        assert "A mail about the new date follows." in done.text
        plan = await desk.plan()
        assert (plan.state, plan.anchor, plan.alternate_at) == (PlanState.APPROVED, DATES[2], DATES[1])
        assert plan.revision == 2
        assert await desk.decided() == [("rescheduled", ADA, "dlv_1")]
        [message] = await desk.api.app.ledger.webhooks.list()
        assert message.type == "update.rescheduled"
        data = message.body["data"]
        assert (data["previous_at"], data["scheduled_at"], data["alternate_at"]) == tuple(
            one.replace("+00:00", "Z") for one in (A, C, B)
        )

    @pytest.mark.parametrize("act", ["approve", "move"])
    async def test_once_more_is_the_same(self, desk: Desk, act: str) -> None:
        """The same person's form a second time, or the link, gives the same page and no second decision."""
        path, page = await desk.page()
        data = approval(page) if act == "approve" else move(page, B)
        first = await desk.api.http.post(path, data=data)
        again = await desk.api.http.post(path, data=data)
        looked = await desk.api.http.get(path)

        for answer in (again, looked):
            assert answer.status_code == 200
            assert without_form(answer) == without_form(first)
        assert len(await desk.decided()) == 1
        assert len(await desk.api.app.ledger.webhooks.list()) == 1

    async def test_another_person_reads_who_has_decided(self, desk: Desk) -> None:
        """By link or by a form that was open meanwhile; nothing changes."""
        path, page = await desk.page(BOB)
        mine, seen = await desk.page()
        await desk.api.http.post(mine, data=approval(seen))
        for data in (approval(page), move(page, C)):
            answer = await desk.api.http.post(path, data=data)

            assert (answer.status_code, title(answer)) == (409, "An admin has already decided")
            assert f"{ADA} approved the date on" in answer.text
        looked = await desk.api.http.get(path)
        assert (looked.status_code, title(looked)) == (200, "An admin has already decided")
        assert await desk.decided() == [("approved", ADA, "dlv_1")]

    async def test_an_approved_date_can_still_be_moved(self, desk: Desk) -> None:
        """By whoever sees that it is approved, until the update starts; not approved a second time."""
        path, page = await desk.page()
        done = await desk.api.http.post(path, data=approval(page))
        assert 'value="approve"' not in done.text
        path, page = await desk.page(BOB)
        moved = await desk.api.http.post(path, data=move(page, B))

        assert title(moved) == "You chose the date"
        assert [one[:2] for one in await desk.decided()] == [("approved", ADA), ("rescheduled", BOB)]
        assert (await desk.plan()).anchor == DATES[1]

    async def test_a_mandatory_update_is_not_approved(self, desk: Desk) -> None:
        """It can be moved; the page says that it needs no approval."""
        event = cloud_event(
            "m",
            type="update-scheduled",
            time=None,
            data={
                "instances": ["contoso-prod"],
                "fields": {
                    "update": "update-2027-2",
                    "version": "11.0",
                    "scheduled_at": A,
                    "offered_dates": [A, B],
                    "mandatory": True,
                },
            },
        )
        assert (await desk.api.post(event)).status_code == 202
        key = KEY._replace(subject="update-2027-2")
        plan = (await desk.api.app.ledger.plans.find([key]))[key]
        path = await desk.link(plan=plan)
        page = await desk.api.http.get(path)

        assert title(page) == "Choose another date, if you need one"
        assert "needs no approval" in page.text
        assert 'value="approve"' not in page.text
        assert title(await desk.api.http.post(path, data=move(page, B))) == "You chose the date"


class TestRefusing:
    async def test_the_form_must_be_one_of_ours(self, desk: Desk) -> None:
        """Without the page's token, or with somebody else's, nothing happens."""
        path, page = await desk.page()
        _, other = await desk.page(BOB)
        key = await desk.api.app.ledger.link_keys.newest()
        plan = await desk.plan()
        forged = sign(LinkKey(key.id, b"x" * 32), "decide-form", {"p": plan.id, "r": "1", "a": ADA})
        for given in (
            {"decide": "approve"},
            {"decide": "approve", "form": "x"},
            {"decide": "approve", "form": path.rpartition("/")[2]},
            {"decide": "approve", "form": forged},
            approval(other),
            form(page, decide="none"),
            form(page),
        ):
            answer = await desk.api.http.post(path, data=given)

            assert answer.status_code == 400
            assert "Nothing was changed." in answer.text
        assert (await desk.api.http.post(path, content=b"\xff")).status_code == 400
        assert (await desk.api.http.post(path, content=b"x" * 20_000)).status_code == 413
        assert await desk.decided() == []

    async def test_a_form_is_good_for_two_hours(self, desk: Desk) -> None:
        """Later it says so, and leads to a fresh page."""
        path, page = await desk.page()
        plan, now = await desk.plan(), datetime.now(UTC)
        key = await desk.api.app.ledger.link_keys.newest()
        says = {"p": plan.id, "r": "1", "a": ADA, "s": "scheduled"}
        old = sign(key, "decide-form", says, now - timedelta(seconds=1))
        answer = await desk.api.http.post(path, data=approval(page) | {"form": old})

        assert (answer.status_code, title(answer)) == (400, "This page was open for too long")
        assert '<a href="">' in answer.text
        assert await desk.decided() == []

    async def test_only_offered_dates_can_be_chosen(self, desk: Desk) -> None:
        """Not another, not the same twice, not what is past or no date."""
        path, page = await desk.page()
        other = (DATES[0] + timedelta(days=1)).isoformat()
        for preferred, alternate, said in (
            (other, "", "not offered"),
            (C, other, "not offered"),
            ("x", "", "not offered"),
            ("", "", "not offered"),
            (B, B, "are the same"),
        ):
            data = move(page, C) | {"preferred": preferred, "alternate": alternate}
            answer = await desk.api.http.post(path, data=data)

            assert (answer.status_code, title(answer)) == (422, "This date cannot be chosen")
            assert said in answer.text
        assert await desk.decided() == []

    async def test_what_holds_already_is_not_chosen_again(self, desk: Desk) -> None:
        """The date with the alternate that it has is refused, and why is true; another alternate is taken."""
        path, page = await desk.page()
        same = await desk.api.http.post(path, data=move(page, A, B))

        assert (same.status_code, title(same)) == (422, "This date cannot be chosen")
        assert "These dates hold already" in same.text
        assert await desk.decided() == []
        assert (await desk.api.http.post(path, data=move(page, A, C))).status_code == 200
        assert (await desk.plan()).alternate_at == DATES[2]

    async def test_only_what_will_be_taken_is_shown(self, desk: Desk) -> None:
        """A date of the vendor's that is not on offer may be approved, and is no choice among the others."""
        far = DATES[2] + timedelta(days=30)
        await desk.say("update-rescheduled", scheduled_at=far.isoformat(), rescheduled_by="vendor")
        path, page = await desk.page()
        shown = re.findall(r'name="(preferred|alternate)" value="([^"]+)"', page.text)

        assert 'value="approve"' in page.text
        assert shown == [(name, date) for name in ("preferred", "alternate") for date in (A, B, C)]
        assert (await desk.api.http.post(path, data=move(page, A, C))).status_code == 200

    async def test_one_date_that_is_left_has_no_alternate(self, desk: Desk) -> None:
        """Where the one date to choose is the only one on offer, nothing stands beside it but none."""
        event = {"update": "update-2027-2", "version": "11.0", "scheduled_at": A, "offered_dates": [A]}
        await desk.say("update-scheduled", "one", **event)
        key = KEY._replace(subject="update-2027-2")
        [plan] = (await desk.api.app.ledger.plans.find([key])).values()
        page = await desk.api.http.get(await desk.link(plan=plan))

        assert title(page) == "Approve the date"

    @pytest.mark.parametrize("address", [CY, "gone@contoso.example"])
    async def test_only_admins_decide(self, desk: Desk, address: str) -> None:
        """Who is no admin of the instance (any more) reads no more than that."""
        path = await desk.link(address)
        for answer in (
            await desk.api.http.get(path),
            await desk.api.http.post(path, data={"decide": "approve"}),
        ):
            assert (answer.status_code, title(answer)) == (403, "You cannot decide about this update")
            assert "UTC" not in answer.text

    async def test_who_leaves_the_list_decides_nothing_more(self, desk: Desk) -> None:
        """At once, though nothing else came in meanwhile; a form that was open does not help."""
        path, page = await desk.page(BOB)
        file = desk.api.app.settings.root / "recipients" / "contoso-prod.yaml"
        file.write_text(file.read_text().replace("global_admins: [bob@contoso.example]\n", ""))
        for answer in (
            await desk.api.http.get(path),
            await desk.api.http.post(path, data=approval(page)),
        ):
            assert answer.status_code == 403
        assert await desk.decided() == []

    @pytest.mark.parametrize("token", ["x", "1.e30.AAAA", "%00", "a" * 5_000])
    async def test_what_is_no_link_gets_a_page_of_its_own(self, desk: Desk, token: str) -> None:
        """A garbled link, one that somebody else signed, and one for another purpose."""
        key, plan = await desk.api.app.ledger.link_keys.newest(), await desk.plan()
        says = {"p": plan.id, "r": "1", "a": ADA, "d": "", "l": "en"}
        for one in (
            token,
            sign(LinkKey(key.id, b"x" * 32), "decide", says),
            sign(key, "choices", says),
            sign(key, "decide-form", says),
            sign(key, "decide", says | {"r": "one"}),
            sign(key, "decide", says | {"p": "pln_none"}),
        ):
            for method in ("GET", "POST"):
                answer = await desk.api.http.request(method, f"/decide/{one}", data={"decide": "approve"})

                assert (answer.status_code, title(answer)) == (404, "This link does not work")


class TestLater:
    async def test_a_link_ends_with_its_date(self, desk: Desk) -> None:
        """After the date that its mail named, it says so, and nothing can be sent."""
        key, plan = await desk.api.app.ledger.link_keys.newest(), await desk.plan()
        said = said_of(plan) | {"until": str(int(datetime.now(UTC).timestamp()))}
        path = decide_link("", key, said, {"a": ADA, "d": "", "l": "en"})
        _, page = await desk.page()
        for answer in (
            await desk.api.http.get(path),
            await desk.api.http.post(path, data=approval(page)),
        ):
            assert (answer.status_code, title(answer)) == (410, "This link has expired")
        assert await desk.decided() == []

    async def test_a_date_that_upstream_moved_is_told_by_a_newer_mail(self, desk: Desk) -> None:
        """The old link shows the new date, and that the newest mail has the link."""
        path, page = await desk.page()
        await desk.say("update-rescheduled", scheduled_at=B, rescheduled_by="vendor")
        for answer in (
            await desk.api.http.get(path),
            await desk.api.http.post(path, data=approval(page)),
        ):
            assert title(answer) == "The date has changed since this mail"
            assert answer.status_code in {409, 410}
            assert 'name="form"' not in answer.text
        newer = await desk.api.http.get(await desk.link())
        assert title(newer) == "Approve the date, or choose another"

    @pytest.mark.parametrize(
        ("type_", "fields", "said"),
        [
            ("update-in-progress", {"stage": "queued"}, "The update is in progress"),
            ("update-succeeded", {"completed_at": A}, "The update is done"),
            ("update-cancelled", {}, "The update is cancelled"),
        ],
    )
    async def test_what_has_begun_or_is_over_cannot_be_decided(
        self, desk: Desk, type_: str, fields: dict[str, str], said: str
    ) -> None:
        """Each has a page of its own, by link and for a form that was open meanwhile."""
        path, page = await desk.page()
        await desk.say(type_, **fields)
        looked = await desk.api.http.get(path)
        sent = await desk.api.http.post(path, data=approval(page))

        assert (looked.status_code, title(looked)) == (200, said)
        assert (sent.status_code, title(sent)) == (409, said)
        assert await desk.decided() == []

    async def test_an_older_key_still_opens_its_links(self, desk: Desk) -> None:
        """Keys rotate; the links of mails that are out go on working."""
        path, page = await desk.page()
        data = approval(page)
        await desk.api.app.ledger.link_keys.rotate()

        assert title(await desk.api.http.post(path, data=data)) == "You approved the date"


class TestRaces:
    async def test_of_two_at_once_one_decides(self, desk: Desk) -> None:
        """Both get an answer that is true, and there is one decision."""
        (mine, seen), (other, looked) = await desk.page(), await desk.page(BOB)
        answers = await asyncio.gather(
            desk.api.http.post(mine, data=approval(seen)), desk.api.http.post(other, data=move(looked, C))
        )

        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert len(await desk.decided()) == 1

    async def test_without_the_ledger_it_asks_for_patience(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A page says so; why stays in the log, and so does all but the beginning of the link."""
        path = await desk.link()

        async def away(*_: object) -> object:
            raise ServiceUnreachable("database", "The database at db.internal is away.")

        monkeypatch.setattr(desk.api.app.ledger.link_keys, "all", away)
        for method in ("GET", "POST"):
            answer = await desk.api.http.request(method, path)

            assert answer.status_code == 503
            assert "db.internal" not in answer.text
        assert "db.internal" in caplog.text
        assert path[-20:] not in caplog.text


def without_form(page: httpx.Response) -> str:
    """A page without the token of its form, which is new at each look."""
    return re.sub(r'name="form" value="[^"]+"', "", page.text)
