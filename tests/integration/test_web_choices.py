"""The page behind the link in a mail, over a real HTTP service: what it shows, what it changes, what not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from web_service import Service, service

from dispatcher.domain.link import LinkKey, sign
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.choices import Chooser, choices_link
from dispatcher.web.limits import Limits

ADA = "ada@contoso.example"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
LISTED = """\
instance: northwind-prod
name: Northwind <Traders>
admins: [boss@northwind.example, Root@northwind.example]
recipients:
  - {address: Ada@Contoso.example, only: [maintenance]}
"""


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path, limits=Limits(seconds=0.5)) as running:
        yield running


async def link(
    api: Service, address: str = ADA, type_: str = "general-awareness", language: str = "en"
) -> str:
    """The path of a reader's link."""
    chooser = Chooser(address, type_, language)
    return choices_link("", await api.app.ledger.link_keys.newest(), chooser)


async def stopped(api: Service) -> list[tuple[str, str, str]]:
    """Each opt-out that stands: address, type, origin."""
    found = await api.app.ledger.suppressions.standing()
    return sorted((one.address, one.type, one.origin) for one in found.values())


def ticked(page: str) -> dict[str, bool]:
    """The types that a page offers, and which of them are ticked."""
    boxes = re.findall(r'<input type="checkbox"[^>]*value="([^"]+)"([^>]*)>', page)
    return {key: " checked" in rest for key, rest in boxes}


def form(page: str, *wanted: str) -> dict[str, str | list[str]]:
    """What a browser sends of a page's form with those boxes ticked."""
    return {
        "shown": re.findall(r'name="shown" value="([^"]+)"', page),
        "want": list(wanted),
        "save": "choices",
    }


class TestPage:
    async def test_shows_what_comes_and_why(self, api: Service) -> None:
        """The address, the optional types with ticks, the others by name, the roles, and whom to ask."""
        (api.app.settings.root / "recipients" / "northwind-prod.yaml").write_text(LISTED)
        api.app.project.recipients.refresh()
        answer = await api.http.get(await link(api))

        assert answer.status_code == 200
        assert ticked(answer.text) == {
            "general-awareness": True,
            "launch-readiness": True,
            "post-purchase": True,
        }
        for words in (
            ADA,
            "Planned maintenance",
            "You are a system admin of Contoso",
            "You are on the notification list of Northwind &lt;Traders&gt;",
            "boss@northwind.example",
            "Good to know",
        ):
            assert words in answer.text

    async def test_names_no_type_that_does_not_come(self, api: Service) -> None:
        """Of the mandatory types those are named that the lists send to the reader, as narrowed."""
        (api.app.settings.root / "recipients" / "northwind-prod.yaml").write_text(
            LISTED.replace("Ada@Contoso.example", "ops@northwind.example")
        )
        api.app.project.recipients.refresh()
        page = (await api.http.get(await link(api, "ops@northwind.example"))).text

        assert "Planned maintenance" in page
        assert "Major service incident" not in page

    async def test_says_if_no_list_names_the_reader(self, api: Service) -> None:
        """Who left the lists may still choose, and reads that nothing comes."""
        page = (await api.http.get(await link(api, "gone@contoso.example"))).text

        assert "No recipient list names you at present." in page
        assert len(ticked(page)) == 3
        assert "Mail that you always get" not in page

    async def test_speaks_the_language_of_the_mail(self, api: Service) -> None:
        """Whatever the browser asks for, the page is in the language that the link names."""
        answer = await api.http.get(await link(api, language="ja"), headers={"Accept-Language": "de"})

        assert answer.headers["content-language"] in {"ja", "en"}
        assert f'<html lang="{answer.headers["content-language"]}"' in answer.text

    async def test_keeps_to_itself(self, api: Service) -> None:
        """No script, no frame, no cache, no referrer, no search engine, no cookie."""
        answer = await api.http.get(await link(api))

        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert "<script" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert "set-cookie" not in answer.headers

    async def test_a_thousand_instances_are_counted(self, api: Service) -> None:
        """A global admin of very many instances gets a page of ordinary length."""
        folder = api.app.settings.root / "recipients"
        for number in range(1_000):
            name = f"tenant-{number:04}"
            (folder / f"{name}.yaml").write_text(
                f"instance: {name}\nadmins: [x@y.example]\nglobal_admins: [{ADA}]\n"
            )
        api.app.project.recipients.refresh()
        page = (await api.http.get(await link(api))).text

        assert "981 further instances name you" in page
        assert len(page) < 20_000


class TestLooking:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_a_scanner_changes_nothing(self, api: Service, method: str) -> None:
        """A program that opens the link of a mail, with whatever it adds to it, stops nothing."""
        path = await link(api)
        for query in ("", "?List-Unsubscribe=One-Click", "?save=choices&shown=general-awareness"):
            answer = await api.http.request(method, path + query)

            assert answer.status_code == 200
            assert (answer.text == "") == (method == "HEAD")
        assert await stopped(api) == []

    @pytest.mark.parametrize(
        "token",
        ["x", "1.e30.AAAA", "%00", "1..", "a" * 5_000, "1.%C3%A4.b"],
    )
    async def test_what_is_no_link_gets_a_page_of_its_own(self, api: Service, token: str) -> None:
        """A garbled link is answered for people, in their browser's language, and tells nothing."""
        for method in ("GET", "POST"):
            answer = await api.http.request(method, f"/choices/{token}", data=ONE_CLICK)

            assert answer.status_code == 404
            assert answer.headers["content-type"].startswith("text/html")
            assert "This link does not work" in answer.text
        assert await api.app.ledger.suppressions.list() == []

    async def test_a_forged_link_is_none(self, api: Service) -> None:
        """Signed by somebody else, or for another purpose, it stops nothing."""
        key = await api.app.ledger.link_keys.newest()
        says = {"a": ADA, "t": "general-awareness", "l": "en"}
        forged = (
            sign(LinkKey(key.id, b"x" * 32), "choices", says),
            sign(key, "decide", says),
            sign(key, "choices", {"a": ADA}),
        )
        for token in forged:
            answer = await api.http.post(f"/choices/{token}", data=ONE_CLICK)

            assert answer.status_code == 404
        assert await stopped(api) == []


class TestOneClick:
    async def test_stops_the_type_of_the_mail(self, api: Service) -> None:
        """RFC 8058, 3.2: no cookie, no redirect; once or twice, in one encoding or the other, it is one."""
        path = await link(api)
        async with httpx.AsyncClient(base_url=api.url, timeout=20) as nobody:
            for given in (
                {"data": ONE_CLICK},
                {"files": {"List-Unsubscribe": (None, "One-Click")}},
                {"data": ONE_CLICK},
            ):
                answer = await nobody.post(path, **given)

                assert (answer.status_code, answer.history) == (200, [])
                assert "set-cookie" not in answer.headers
        assert await stopped(api) == [(ADA, "general-awareness", "one-click")]

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"},
        ],
    )
    async def test_is_understood_whatever_the_body_is_called(
        self, api: Service, headers: dict[str, str]
    ) -> None:
        """A mail program that names no type, or a wrong one, is understood by what it says."""
        answer = await api.http.post(await link(api), content=b"List-Unsubscribe=One-Click", headers=headers)

        assert answer.status_code == 200
        assert len(await stopped(api)) == 1

    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (b"", "application/x-www-form-urlencoded"),
            (b"List-Unsubscribe=No", "application/x-www-form-urlencoded"),
            (b"want=general-awareness", "application/x-www-form-urlencoded"),
            (b"\xff\xfe", "application/x-www-form-urlencoded"),
            (b"a=b&" * 1_000, "application/x-www-form-urlencoded"),
            (b'{"List-Unsubscribe": "One-Click"}', "application/json"),
            (b"List-Unsubscribe=One-Click", "multipart/form-data"),
            (b"--x\r\n\r\nOne-Click\r\n--x--", "multipart/form-data; boundary=x"),
        ],
    )
    async def test_another_body_stops_nothing(self, api: Service, content: bytes, kind: str) -> None:
        """What is neither one click nor the page's form changes nothing, and says so."""
        answer = await api.http.post(await link(api), content=content, headers={"Content-Type": kind})

        assert answer.status_code == 400
        assert "Nothing was changed." in answer.text
        assert await stopped(api) == []

    async def test_no_body_holds_a_connection(self, api: Service) -> None:
        """One that is too long is refused, and one that does not come."""
        path = await link(api)
        long = await api.http.post(path, content=b"x" * 20_000)

        async def slow() -> AsyncIterator[bytes]:
            yield b"List-Unsubscribe="
            await asyncio.sleep(1.5)
            yield b"One-Click"

        assert long.status_code == 413
        assert (await api.http.post(path, content=slow())).status_code == 408
        assert await stopped(api) == []


class TestForm:
    async def test_keeps_what_was_chosen(self, api: Service) -> None:
        """Unticked types stop, ticked ones come; saving again is the same, and the page says what holds."""
        path = await link(api)
        page = (await api.http.get(path)).text
        for _ in range(2):
            answer = await api.http.post(path, data=form(page, "launch-readiness"))

            assert (answer.status_code, answer.history) == (200, [])
            assert "Your choices are saved." in answer.text
        assert ticked(answer.text) == ticked((await api.http.get(path)).text)
        assert [one[1:] for one in await stopped(api)] == [
            ("general-awareness", "page"),
            ("post-purchase", "page"),
        ]

    async def test_takes_a_stop_back(self, api: Service) -> None:
        """Who stopped a type by one click may tick it again."""
        path = await link(api)
        await api.http.post(path, data=ONE_CLICK)
        page = (await api.http.get(path)).text
        assert ticked(page)["general-awareness"] is False
        await api.http.post(path, data=form(page, *ticked(page)))

        assert await stopped(api) == []

    async def test_touches_no_other_type(self, api: Service) -> None:
        """Types that are mandatory, unknown or were not on the page stay as they are."""
        fields = {"shown": ["planned-maintenance", "none", "post-purchase"], "save": "choices"}
        await api.http.post(await link(api), data=fields)

        assert [one[1] for one in await stopped(api)] == ["post-purchase"]

    async def test_speaks_for_nobody_else(self, api: Service) -> None:
        """An address in the form means nothing; the link's does."""
        page = (await api.http.get(await link(api))).text
        await api.http.post(await link(api), data=form(page) | {"address": "boss@contoso.example"})

        assert {one[0] for one in await stopped(api)} == {ADA}


class TestMandatory:
    async def test_one_click_for_mail_that_is_not_optional_says_so(self, api: Service) -> None:
        """The link of a mail that was optional when it left stops nothing any more, and does not claim to."""
        answer = await api.http.post(await link(api, type_="planned-maintenance"), data=ONE_CLICK)

        assert answer.status_code == 200
        assert "You have opted out" not in answer.text
        assert "cannot be stopped here" in answer.text
        assert await stopped(api) == []


class TestOutage:
    async def test_without_the_ledger_it_asks_for_patience(
        self, api: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A page says so, for people; why stays in the log, and so does all but the beginning of the link."""
        path = await link(api)

        async def away(*_: object) -> object:
            raise ServiceUnreachable("database", "The database at db.internal is away.")

        monkeypatch.setattr(api.app.ledger.link_keys, "all", away)
        for method in ("GET", "POST"):
            answer = await api.http.request(
                method, path, data=ONE_CLICK, headers={"Accept-Language": "xx, en;q=0.5"}
            )

            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert "not available at the moment" in answer.text
            assert "db.internal" not in answer.text
        assert "db.internal" in caplog.text
        assert path[-20:] not in caplog.text

    async def test_a_defect_does_not_log_the_link(
        self, api: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whoever reads the log cannot use what stands there."""
        path = await link(api)

        async def broken(*_: object) -> object:
            raise RuntimeError("a defect")

        monkeypatch.setattr(api.app.ledger.link_keys, "all", broken)

        assert (await api.http.get(path)).status_code == 500
        assert "a defect" in caplog.text
        assert path[: len("/choices/") + 4] in caplog.text
        assert path[-43:] not in caplog.text
